//! The list of levels: defaults by kind, what fits which kind, shares of one budget.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use cache_enterprise_core::{BackendConfig, Capacity, GIB, MIB};

use crate::keys;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::tree::{Setting, Tree, level_of};
use crate::value::{OptionValue, Typed};

/// What the first level holds when nobody says.
const MEMORY_DEFAULT: Capacity = Capacity::bytes(64 * MIB);
/// What a disk level holds when nobody says.
const DISK_DEFAULT: Capacity = Capacity::bytes(GIB);

/// One level that is switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelSettings {
    /// Its number in the settings, from 0: its keys begin with `levels.`, the number and a dot.
    pub number: usize,
    /// What it is.
    pub kind: LevelKind,
    /// Longest life of an entry in it. Default: the entry's own.
    pub ttl: Option<Duration>,
    /// When writes reach it. Default: through; says nothing about level 1.
    pub write: WriteSettings,
}

/// What a level is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LevelKind {
    /// Values in memory: level 1 when it is the top, else a tier.
    Memory {
        /// What it may hold. Default 64 MiB.
        max_size: Capacity,
        /// Name of the eviction policy. Default: the store's own.
        eviction_policy: Option<String>,
    },
    /// Bytes on disk.
    Disk {
        /// The directory. Default `var/cache`.
        path: PathBuf,
        /// Bytes it may hold. Default 1 GiB.
        max_size: u64,
    },
    /// A backend that another crate brings.
    Other {
        /// Its name in the registry of backends.
        name: String,
        /// Its options, for that crate to judge.
        options: BTreeMap<String, OptionValue>,
    },
}

/// When writes reach a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteSettings {
    /// Before the call that writes returns.
    Through,
    /// Soon after: queued.
    Behind {
        /// Longest queue. Default 10000.
        queue_max: u32,
    },
    /// Never on a write.
    Around,
}

impl LevelSettings {
    /// The level as a factory of its backend takes it.
    ///
    /// ```
    /// use cache_enterprise_settings::Settings;
    ///
    /// let settings = Settings::builder().set("levels.1.path", "var/shop").build()?;
    /// let disk = settings.levels()[1].backend();
    /// assert_eq!((disk.kind(), disk.path.as_deref()), ("disk", Some("var/shop".as_ref())));
    /// # Ok::<(), cache_enterprise_settings::SettingsErrors>(())
    /// ```
    pub fn backend(&self) -> BackendConfig {
        match &self.kind {
            LevelKind::Memory { max_size, .. } => {
                let mut config = BackendConfig::new("memory");
                config.max_size = Some(*max_size);
                config
            }
            LevelKind::Disk { path, max_size } => {
                let mut config = BackendConfig::new("disk");
                config.path = Some(path.clone());
                config.max_size = Some(Capacity::bytes(*max_size));
                config
            }
            LevelKind::Other { name, options } => {
                let options = options.iter().map(|(name, value)| (name, value.clone().into()));
                options.fold(BackendConfig::new(name), |config, (name, value)| {
                    config.option(name, value)
                })
            }
        }
    }

    /// The canonical path of one of its keys.
    pub fn key(&self, field: &str) -> String {
        format!("levels.{}.{field}", self.number)
    }
}

/// Completes every level with the defaults of its kind, and tells what does not fit together.
pub(crate) fn complete(tree: &mut Tree, problems: &mut Vec<Problem>) {
    let mut numbers = tree.levels();
    numbers.insert(0);
    if tree.get("budget.l1_ratio").or(tree.get("budget.l2_ratio")).is_some() {
        numbers.insert(1);
    }
    let last = numbers.last().copied().unwrap_or(0);
    for number in (0..=last).filter(|number| !numbers.contains(number)) {
        let what = format!("there is a level {last} but no level {number}");
        let fix = format!("add `levels.{number}`, or count from 0 without gaps");
        problems.push(Problem::new(format!("levels.{last}"), tree.level_origin(last), what, fix));
    }
    for number in &numbers {
        complete_one(tree, *number, problems);
    }
    complete_writes(tree, &numbers, problems);
    let on: Vec<_> = numbers.into_iter().filter(|number| is_on(tree, *number)).collect();
    if on.is_empty() {
        let origin = tree.get("levels.0.enabled").map(|setting| setting.origin.clone());
        let origin = origin.unwrap_or(Origin::Default);
        problems.push(Problem::new("levels", origin, "every level is off", "switch one on"));
    }
    check_count(tree, on.len(), problems);
}

fn complete_one(tree: &mut Tree, number: usize, problems: &mut Vec<Problem>) {
    let path = |field: &str| format!("levels.{number}.{field}");
    if tree.is_faulty(&path("kind")) {
        return;
    }
    tree.complete(path("enabled"), Typed::Flag(true), Origin::Default);
    match number {
        0 => tree.complete(path("kind"), Typed::Name("memory".into()), Origin::Default),
        1 => tree.complete(path("kind"), Typed::Name("disk".into()), Origin::Default),
        _ => {}
    }
    let Some(kind) = name(tree, &path("kind")) else {
        let what = format!("nothing says what level {number} is");
        let fix = "write its `kind`: memory, disk, or the name of another backend";
        return problems.push(Problem::new(path("kind"), tree.level_origin(number), what, fix));
    };
    problems.extend(misfits(tree, number, &kind));
    if !is_on(tree, number) {
        return;
    }
    tree.complete(path("ttl"), Typed::Off, Origin::Default);
    if kind == "memory" {
        let policy = default_of("levels.*.eviction_policy");
        tree.complete(path("eviction_policy"), Typed::Name(policy.into()), Origin::Default);
    }
    if kind == "disk" {
        let directory = PathBuf::from(default_of("levels.*.path"));
        tree.complete(path("path"), Typed::Path(directory), Origin::Default);
    }
}

/// Every level but level 1 is written to by a policy, and only a queue has a length.
fn complete_writes(tree: &mut Tree, numbers: &BTreeSet<usize>, problems: &mut Vec<Problem>) {
    let top = numbers.iter().find(|number| is_on(tree, **number)).copied();
    for number in numbers {
        let path = |field: &str| format!("levels.{number}.{field}");
        let (policy, queue) = (path("write_policy"), path("write_queue_max"));
        let is_memory = name(tree, &path("kind")).as_deref() == Some("memory");
        if Some(*number) == top && is_memory {
            let set = [&policy, &queue].into_iter().filter_map(|path| tree.get(path));
            problems.extend(set.map(|setting| {
                let fix = "remove it, or write it to a level below";
                misplaced(setting, "level 1 is written by every call", fix)
            }));
            continue;
        }
        if !is_on(tree, *number) || tree.is_faulty(&policy) {
            continue;
        }
        let through = Typed::Name(default_of("levels.*.write_policy").into());
        tree.complete(policy.clone(), through, Origin::Default);
        if name(tree, &policy).as_deref() == Some("behind") {
            let queue_max = default_of("levels.*.write_queue_max").parse().unwrap_or(u32::MAX);
            tree.complete(queue, Typed::Count(queue_max), Origin::Default);
        } else if let Some(setting) = tree.get(&queue) {
            let fix = format!("remove it, or set `{policy}` to behind");
            problems.push(misplaced(setting, "there is no queue unless writes go behind", &fix));
        }
    }
}

fn misplaced(setting: &Setting, what: &str, fix: &str) -> Problem {
    Problem::new(&setting.written, setting.origin.clone(), what, fix)
}

/// Sizes come after the shares of the budget had their say.
pub(crate) fn complete_sizes(tree: &mut Tree) {
    for number in tree.levels().into_iter().chain([0, 1]) {
        let size = match name(tree, &format!("levels.{number}.kind")).as_deref() {
            Some("memory") => MEMORY_DEFAULT,
            Some("disk") => DISK_DEFAULT,
            _ => continue,
        };
        if is_on(tree, number) {
            let path = format!("levels.{number}.max_size");
            tree.complete(path, Typed::Capacity(size), Origin::Default);
        }
    }
}

/// Fields of this level that say nothing about a level of this kind.
fn misfits(tree: &Tree, number: usize, kind: &str) -> Vec<Problem> {
    let fields: &[&str] = match kind {
        "memory" => &["kind", "enabled", "ttl", "max_size", "eviction_policy"],
        "disk" => &["kind", "enabled", "ttl", "max_size", "path"],
        _ => &["kind", "enabled", "ttl", "options"],
    };
    // Whether a level is written to is judged once it is known which one is the top.
    let writes = ["write_policy", "write_queue_max"];
    let mut problems = Vec::new();
    for (path, setting) in tree.iter().filter(|(path, _)| level_of(path) == Some(number)) {
        let field = path.split('.').nth(2).unwrap_or_default();
        let in_entries = matches!(setting.typed, Typed::Capacity(Capacity::Entries(_)));
        let fault = if !fields.contains(&field) && !writes.contains(&field) {
            (format!("does not apply to a level of kind {kind}"), "remove it, or change the kind")
        } else if kind == "disk" && in_entries {
            ("a disk is limited in bytes".to_owned(), "write a size with a unit, such as \"1GiB\"")
        } else {
            continue;
        };
        let origin = setting.origin.clone();
        problems.push(Problem::new(&setting.written, origin, fault.0, fault.1));
    }
    problems
}

fn check_count(tree: &Tree, on: usize, problems: &mut Vec<Problem>) {
    let Some(Setting { typed: Typed::Count(meant), origin, written }) = tree.get("cache_levels")
    else {
        return;
    };
    if *meant as usize != on {
        let what = format!("says {meant}, and {on} are switched on");
        let fix = "correct it, or remove it: the list of levels counts";
        problems.push(Problem::new(written, origin.clone(), what, fix));
    }
}

/// The levels that are on, top first.
pub(crate) fn levels(tree: &Tree) -> Vec<LevelSettings> {
    let numbers = tree.iter().filter_map(|(path, _)| level_of(path));
    let numbers: BTreeSet<_> = numbers.collect();
    numbers
        .into_iter()
        .filter(|number| is_on(tree, *number))
        .filter_map(|number| level(tree, number))
        .collect()
}

fn level(tree: &Tree, number: usize) -> Option<LevelSettings> {
    let typed = |field: &str| Some(&tree.get(&format!("levels.{number}.{field}"))?.typed);
    let ttl = match typed("ttl") {
        Some(Typed::Time(ttl)) => Some(*ttl),
        _ => None,
    };
    let write = match (typed("write_policy"), typed("write_queue_max")) {
        (Some(Typed::Name(policy)), _) if policy == "around" => WriteSettings::Around,
        (_, Some(Typed::Count(queue_max))) => WriteSettings::Behind { queue_max: *queue_max },
        _ => WriteSettings::Through,
    };
    Some(LevelSettings { number, kind: kind(tree, number)?, ttl, write })
}

fn kind(tree: &Tree, number: usize) -> Option<LevelKind> {
    let path = |field: &str| format!("levels.{number}.{field}");
    let typed = |field: &str| Some(tree.get(&path(field))?.typed.clone());
    match (name(tree, &path("kind"))?.as_str(), typed("max_size")) {
        ("memory", Some(Typed::Capacity(max_size))) => {
            let policy = name(tree, &path("eviction_policy"));
            let own = default_of("levels.*.eviction_policy");
            let eviction_policy = policy.filter(|policy| policy != own);
            Some(LevelKind::Memory { max_size, eviction_policy })
        }
        ("disk", Some(Typed::Capacity(Capacity::Bytes(max_size)))) => match typed("path") {
            Some(Typed::Path(path)) => Some(LevelKind::Disk { path, max_size }),
            _ => None,
        },
        (name, _) => {
            let options = options(tree, &path("options."));
            Some(LevelKind::Other { name: name.to_owned(), options })
        }
    }
}

fn options(tree: &Tree, prefix: &str) -> BTreeMap<String, OptionValue> {
    let option = |(path, setting): (&str, &Setting)| match &setting.typed {
        Typed::Free(value) => Some((path.strip_prefix(prefix)?.to_owned(), value.clone())),
        _ => None,
    };
    tree.iter().filter_map(option).collect()
}

pub(crate) fn is_on(tree: &Tree, number: usize) -> bool {
    let enabled = tree.get(&format!("levels.{number}.enabled")).map(|setting| &setting.typed);
    matches!(enabled, Some(Typed::Flag(true)))
}

fn name(tree: &Tree, path: &str) -> Option<String> {
    match &tree.get(path)?.typed {
        Typed::Name(name) => Some(name.clone()),
        _ => None,
    }
}

fn default_of(path: &str) -> &'static str {
    keys::KEYS.iter().find(|key| key.path == path).map_or("", |key| key.default)
}
