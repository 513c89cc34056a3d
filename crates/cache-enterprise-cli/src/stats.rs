//! `cachectl stats`: how the levels below memory are.

use std::fmt::Write;
use std::path::Path;

use cache_enterprise::core::{Backend, BackendHealth};
use cache_enterprise::prelude::*;
use cache_enterprise::settings::LevelKind;
use cache_enterprise::{LevelHealth, Wiring};

use crate::entry::{self, SHUTDOWN_MAX};
use crate::failure::Failure;
use crate::{config, say};

pub(crate) fn run(file: Option<&Path>) -> Result<(), Failure> {
    entry::run(async {
        let settings = config::load(file)?;
        let manager = Wiring::new().manager(&settings).await?;
        let levels = manager.health().await;
        manager.shutdown(SHUTDOWN_MAX).await;
        if levels.is_empty() {
            return Err(Failure::input("the settings name no level below memory"));
        }
        // The manager has given the directories back by now.
        let mut disks = settings.levels().iter().filter_map(|level| match &level.kind {
            LevelKind::Disk { path, max_size } => Some(Disk::at(path).budget(*max_size)),
            _ => None,
        });
        let mut text = String::new();
        for level in &levels {
            write_health(&mut text, level).expect("a string takes all text");
            let disk = (level.name == "disk").then(|| disks.next()).flatten();
            if let Some(disk) = disk.filter(|_| level.health == BackendHealth::Up) {
                text.push_str(&numbers(disk).await?);
            }
        }
        say(text.as_bytes())
    })
}

fn write_health(out: &mut String, level: &LevelHealth) -> std::fmt::Result {
    let health = match &level.health {
        BackendHealth::Up => "up".to_owned(),
        BackendHealth::Degraded(why) => format!("degraded: {why}"),
        BackendHealth::Down(why) => format!("down: {why}"),
    };
    writeln!(
        out,
        "level                L{} {}\nhealth               {health}",
        level.level, level.name
    )
}

/// The numbers of a disk that nobody has open.
async fn numbers(disk: Disk) -> Result<String, Failure> {
    let disk = disk.open().await?;
    let stats = disk.stats();
    let text = format!(
        "directory            {}\nbytes                {}\ngenerations          {}\n",
        disk.directory().display(),
        stats.bytes,
        stats.generations,
    );
    disk.close().await?;
    Ok(text)
}
