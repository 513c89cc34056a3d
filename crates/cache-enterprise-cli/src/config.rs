//! `cachectl config`: what the settings say, and what is wrong with them.

use std::path::Path;

use cache_enterprise::Wiring;
use cache_enterprise::settings::Settings;

use crate::args::ConfigAction;
use crate::failure::Failure;
use crate::say;

pub(crate) fn run(action: &ConfigAction) -> Result<(), Failure> {
    match action {
        ConfigAction::Check { file } => {
            let settings = load(file.as_deref())?;
            let checked = Wiring::new().check(&settings);
            checked.map_err(|problems| Failure::input(problems.to_string()))?;
            say(format!("settings are fine: {} levels\n", settings.levels().len()).as_bytes())
        }
        ConfigAction::Show { file } => {
            let settings = load(file.as_deref())?;
            say(format!("{}\n", settings.describe()).as_bytes())
        }
    }
}

/// The settings of `file`, or those of the standard places.
pub(crate) fn load(file: Option<&Path>) -> Result<Settings, Failure> {
    let loaded = match file {
        Some(file) => Settings::builder().file(file).build(),
        None => Settings::load(),
    };
    loaded.map_err(|problems| Failure::input(problems.to_string()))
}
