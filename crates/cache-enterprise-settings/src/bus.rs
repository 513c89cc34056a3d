//! The bus between processes.

use std::collections::BTreeMap;
use std::time::Duration;

use cache_enterprise_core::BackendConfig;

use crate::level::LevelSettings;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::tree::Tree;
use crate::value::{OptionValue, Typed};

const OPTIONS: &str = "bus.options.";

/// The bus that tells other processes what ended here.
///
/// ```
/// use cache_enterprise_settings::Settings;
///
/// let settings = Settings::builder()
///     .set("levels.1.kind", "redis")
///     .set("levels.1.options.url", "redis://cache:6379")
///     .set("bus.kind", "redis")
///     .build()?;
/// let bus = settings.bus().expect("it was chosen");
/// assert_eq!(bus.config().text("url").expect("it is one text"), Some("redis://cache:6379"));
/// # Ok::<(), cache_enterprise_settings::SettingsErrors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusSettings {
    /// Its name in the registry of buses.
    pub kind: String,
    /// Its options, for its factory to judge.
    pub options: BTreeMap<String, OptionValue>,
    /// How long level 1 is believed after the bus was heard last. Default 1 s.
    pub unsure_max: Duration,
}

impl BusSettings {
    /// The bus as its factory takes it.
    pub fn config(&self) -> BackendConfig {
        let options = self.options.iter().map(|(name, value)| (name, value.clone().into()));
        options.fold(BackendConfig::new(&self.kind), |config, (name, value)| {
            config.option(name, value)
        })
    }

    /// The bus of a tree that was completed and checked.
    pub(crate) fn of(tree: &Tree) -> Option<Self> {
        let kind = kind(tree)?.to_owned();
        let options = tree.iter().filter_map(|(path, setting)| match &setting.typed {
            Typed::Free(value) => Some((path.strip_prefix(OPTIONS)?.to_owned(), value.clone())),
            _ => None,
        });
        Some(Self { kind, options: options.collect(), unsure_max: tree.time("bus.unsure_max") })
    }
}

/// Gives a bus without options those of the level or backend of its kind.
pub(crate) fn complete(tree: &mut Tree, levels: &[LevelSettings], problems: &mut Vec<Problem>) {
    let written: Vec<_> =
        tree.iter().filter(|(path, _)| path.starts_with(OPTIONS)).map(|(_, set)| set).collect();
    let Some(kind) = kind(tree) else {
        let unsure = tree.get("bus.unsure_max").filter(|set| set.origin != Origin::Default);
        let said = written.into_iter().chain(unsure);
        if !tree.is_faulty("bus.kind") {
            problems.extend(said.map(|set| {
                let what = "says something about a bus, and there is none";
                let fix = "remove it, or write `bus.kind`, such as redis";
                Problem::new(&set.written, set.origin.clone(), what, fix)
            }));
        }
        return;
    };
    if !written.is_empty() {
        return;
    }
    let Some(level) = levels.iter().find(|level| level.backend().kind() == kind) else { return };
    let prefix = level.key("options.");
    let taken: Vec<_> = tree
        .iter()
        .filter(|(_, setting)| matches!(setting.typed, Typed::Free(_)))
        .filter_map(|(path, setting)| Some((path.strip_prefix(&prefix)?, setting)))
        .map(|(name, setting)| (format!("{OPTIONS}{name}"), setting.clone()))
        .collect();
    for (path, setting) in taken {
        tree.complete(path, setting.typed, setting.origin);
    }
}

fn kind(tree: &Tree) -> Option<&str> {
    match &tree.get("bus.kind")?.typed {
        Typed::Name(kind) => Some(kind),
        _ => None,
    }
}
