//! The bus between processes.

use std::collections::BTreeMap;
use std::time::Duration;

use cache_enterprise_core::BackendConfig;
use cache_enterprise_core::coherence::FRAME_VALUES_MAX;

use crate::level::LevelSettings;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::tree::Tree;
use crate::value::{OptionValue, Typed};

const OPTIONS: &str = "bus.options.";
const PUSH_MAX: &str = "bus.push_max";

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
    /// Bytes of the largest value that goes along with its notice. Default 0: none does.
    pub push_max: usize,
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
        let push_max = tree.size_or_off(PUSH_MAX).unwrap_or_default();
        let push_max = usize::try_from(push_max).unwrap_or(usize::MAX);
        let unsure_max = tree.time("bus.unsure_max");
        Some(Self { kind, options: options.collect(), unsure_max, push_max })
    }
}

/// Gives a bus without options those of the level or backend of its kind.
pub(crate) fn complete(tree: &mut Tree, levels: &[LevelSettings], problems: &mut Vec<Problem>) {
    let written: Vec<_> =
        tree.iter().filter(|(path, _)| path.starts_with(OPTIONS)).map(|(_, set)| set).collect();
    let Some(kind) = kind(tree) else {
        let own = ["bus.unsure_max", PUSH_MAX].into_iter().filter_map(|path| tree.get(path));
        let own = own.filter(|set| set.origin != Origin::Default);
        let said = written.into_iter().chain(own);
        if !tree.is_faulty("bus.kind") {
            problems.extend(said.map(|set| {
                let what = "says something about a bus, and there is none";
                let fix = "remove it, or write `bus.kind`, such as redis";
                Problem::new(&set.written, set.origin.clone(), what, fix)
            }));
        }
        return;
    };
    let is_written = !written.is_empty();
    if let Some(set) = tree.get(PUSH_MAX)
        && matches!(set.typed, Typed::Size(bytes) if bytes > FRAME_VALUES_MAX as u64)
    {
        let (what, fix) = ("is more than is pushed", "write at most `64KiB`");
        problems.push(Problem::new(&set.written, set.origin.clone(), what, fix));
    }
    if is_written {
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
