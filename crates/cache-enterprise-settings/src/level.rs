//! Levels, and backends beside them: defaults by kind, and what fits which kind.

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

/// Where the keys of a level, or of a backend beside the levels, stand.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Level(usize),
    Backend(String),
}

impl Place {
    fn path(&self, field: &str) -> String {
        match self {
            Self::Level(number) => format!("levels.{number}.{field}"),
            Self::Backend(name) => format!("backends.{name}.{field}"),
        }
    }

    /// Where its options stand.
    fn options(&self) -> String {
        match self {
            Self::Level(_) => self.path("options."),
            Self::Backend(_) => self.path(""),
        }
    }

    fn origin(&self, tree: &Tree) -> Origin {
        match self {
            Self::Level(number) => tree.level_origin(*number),
            Self::Backend(name) => tree.backend_origin(name),
        }
    }
}

/// One level that is switched on, or one backend beside the levels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelSettings {
    /// Its number in the settings, from 0; `None` for a backend beside the levels.
    pub number: Option<usize>,
    /// The name of its backend, where the map of backends gives it one.
    pub name: Option<String>,
    /// What it is.
    pub kind: LevelKind,
    /// Longest life of an entry in it. Default: the entry's own.
    pub ttl: Option<Duration>,
    /// When writes reach it. Default: through; says nothing about level 1.
    pub write: WriteSettings,
    /// Name of its compressor, where somebody wrote one.
    pub compression: Option<String>,
    /// How often a failed call to it is tried again, where somebody wrote it.
    pub retry_attempts: Option<u32>,
    place: Place,
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
        match field.strip_prefix("options.") {
            Some(option) => format!("{}{option}", self.place.options()),
            None => self.place.path(field),
        }
    }
}

/// Completes every level with the defaults of its kind, and tells what does not fit together.
pub(crate) fn complete(tree: &mut Tree, problems: &mut Vec<Problem>) {
    let mentioned = tree.levels();
    let mut numbers = mentioned.clone();
    numbers.retain(|number| !is_only_off(tree, *number));
    numbers.insert(0);
    if tree.get("budget.l1_ratio").or(tree.get("budget.l2_ratio")).is_some() {
        numbers.insert(1);
    }
    let last = numbers.last().copied().unwrap_or(0);
    let is_there = |number: &usize| numbers.contains(number) || mentioned.contains(number);
    for number in (0..=last).filter(|number| !is_there(number)) {
        let what = format!("there is a level {last} but no level {number}");
        let fix = format!("add `levels.{number}`, or count from 0 without gaps");
        problems.push(Problem::new(format!("levels.{last}"), tree.level_origin(last), what, fix));
    }
    for number in &numbers {
        complete_one(tree, &Place::Level(*number), problems);
    }
    let top = numbers.iter().find(|number| is_on(tree, **number)).copied();
    for number in &numbers {
        if Some(*number) == top && is_memory(tree, *number) {
            problems.extend(misplaced_in_level_1(tree, *number));
        } else if is_on(tree, *number) {
            complete_writes(tree, &Place::Level(*number), problems);
        }
    }
    for name in tree.backends() {
        let place = Place::Backend(name);
        complete_one(tree, &place, problems);
        if is_on_at(tree, &place) {
            complete_writes(tree, &place, problems);
        }
    }
    let on: Vec<_> = numbers.into_iter().filter(|number| is_on(tree, *number)).collect();
    if on.is_empty() {
        let origin = tree.get("levels.0.enabled").map(|setting| setting.origin.clone());
        let origin = origin.unwrap_or(Origin::Default);
        problems.push(Problem::new("levels", origin, "every level is off", "switch one on"));
    }
    check_count(tree, on.len(), problems);
}

/// Whether nothing is said of a level below the first two but that it is off: it need not be there.
fn is_only_off(tree: &Tree, number: usize) -> bool {
    let prefix = Place::Level(number).path("");
    let off = Some(&Typed::Flag(false));
    let is_off = tree.get(&Place::Level(number).path("enabled")).map(|set| &set.typed) == off;
    let fields = tree.iter().filter(|(path, _)| path.starts_with(&prefix)).count();
    number > 1 && is_off && fields == 1 && !tree.is_faulty_under(&prefix)
}

fn complete_one(tree: &mut Tree, place: &Place, problems: &mut Vec<Problem>) {
    let path = |field: &str| place.path(field);
    if tree.is_faulty(&path("kind")) {
        return;
    }
    tree.complete(path("enabled"), Typed::Flag(true), Origin::Default);
    let kind = match place {
        Place::Level(0) => Some("memory"),
        Place::Level(1) => Some("disk"),
        Place::Level(_) => None,
        Place::Backend(name) => Some(name.as_str()),
    };
    if let Some(kind) = kind {
        tree.complete(path("kind"), Typed::Name(kind.to_owned()), Origin::Default);
    }
    let Some(kind) = name(tree, &path("kind")) else {
        let number = if let Place::Level(number) = place { *number } else { 0 };
        let what = format!("nothing says what level {number} is");
        let fix = "write its `kind`: memory, disk, or the name of another backend";
        return problems.push(Problem::new(path("kind"), place.origin(tree), what, fix));
    };
    problems.extend(misfits(tree, place, &kind));
    if !is_on_at(tree, place) {
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

/// Level 1 is written by every call, holds values as they are, and is asked without an attempt.
fn misplaced_in_level_1(tree: &Tree, number: usize) -> Vec<Problem> {
    let get = |field: &str| tree.get(&Place::Level(number).path(field));
    let is_packed = |setting: &&Setting| setting.typed != Typed::Name("none".to_owned());
    let written = [get("write_policy"), get("write_queue_max")];
    let written =
        written.into_iter().flatten().map(|set| (set, "level 1 is written by every call"));
    let packed = get("compression").filter(is_packed);
    let packed = packed.map(|set| (set, "level 1 holds values as they are"));
    let asked = get("retry_attempts").map(|set| (set, "a look into level 1 does not fail"));
    let fix = "remove it, or write it to a level below";
    written.chain(packed).chain(asked).map(|(set, what)| misplaced(set, what, fix)).collect()
}

/// Every level but level 1 is written to by a policy, and only a queue has a length.
fn complete_writes(tree: &mut Tree, place: &Place, problems: &mut Vec<Problem>) {
    let (policy, queue) = (place.path("write_policy"), place.path("write_queue_max"));
    if tree.is_faulty(&policy) {
        return;
    }
    let is_queued = name(tree, "failover.strategy").as_deref() == Some("queue_writes");
    let usual = match tree.get("failover.strategy") {
        Some(strategy) if is_queued => ("behind", strategy.origin.clone()),
        _ => (default_of("levels.*.write_policy"), Origin::Default),
    };
    tree.complete(policy.clone(), Typed::Name(usual.0.into()), usual.1);
    if name(tree, &policy).as_deref() == Some("behind") {
        let queue_max = default_of("levels.*.write_queue_max").parse().unwrap_or(u32::MAX);
        tree.complete(queue, Typed::Count(queue_max), Origin::Default);
    } else if let Some(setting) = tree.get(&queue) {
        let fix = format!("remove it, or set `{policy}` to behind");
        problems.push(misplaced(setting, "there is no queue unless writes go behind", &fix));
    }
}

fn misplaced(setting: &Setting, what: &str, fix: &str) -> Problem {
    Problem::new(&setting.written, setting.origin.clone(), what, fix)
}

/// Sizes come after the shares of the budget had their say.
pub(crate) fn complete_sizes(tree: &mut Tree) {
    let levels = tree.levels().into_iter().chain([0, 1]).map(Place::Level);
    let places: Vec<_> = levels.chain(tree.backends().into_iter().map(Place::Backend)).collect();
    for place in places {
        let size = match name(tree, &place.path("kind")).as_deref() {
            Some("memory") => MEMORY_DEFAULT,
            Some("disk") => DISK_DEFAULT,
            _ => continue,
        };
        if is_on_at(tree, &place) {
            tree.complete(place.path("max_size"), Typed::Capacity(size), Origin::Default);
        }
    }
}

/// Fields that say nothing about a level of this kind.
fn misfits(tree: &Tree, place: &Place, kind: &str) -> Vec<Problem> {
    const ALL: [&str; 7] = [
        "kind",
        "enabled",
        "ttl",
        "write_policy",
        "write_queue_max",
        "compression",
        "retry_attempts",
    ];
    let own: &[&str] = match kind {
        "memory" => &["max_size", "eviction_policy"],
        "disk" => &["max_size", "path"],
        _ => &["options"],
    };
    let takes_options = own == ["options"];
    let prefix = place.path("");
    let mut problems = Vec::new();
    for (path, setting) in tree.iter() {
        let Some(rest) = path.strip_prefix(&prefix) else { continue };
        let field = rest.split('.').next().unwrap_or_default();
        let is_option = takes_options && matches!(setting.typed, Typed::Free(_));
        let is_known = ALL.contains(&field) || own.contains(&field) || is_option;
        let in_entries = matches!(setting.typed, Typed::Capacity(Capacity::Entries(_)));
        let fault = if !is_known {
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
    let Some(Setting { typed: Typed::Count(meant), origin, written, .. }) =
        tree.get("cache_levels")
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
    numbers.into_iter().filter_map(|number| settings_at(tree, Place::Level(number))).collect()
}

/// The backends beside the levels that are on, by name.
pub(crate) fn backends(tree: &Tree) -> Vec<LevelSettings> {
    let names = tree.backends().into_iter();
    names.filter_map(|name| settings_at(tree, Place::Backend(name))).collect()
}

fn settings_at(tree: &Tree, place: Place) -> Option<LevelSettings> {
    if !is_on_at(tree, &place) {
        return None;
    }
    let typed = |field: &str| Some(&tree.get(&place.path(field))?.typed);
    let ttl = match typed("ttl") {
        Some(Typed::Time(ttl)) => Some(*ttl),
        _ => None,
    };
    let write = match (typed("write_policy"), typed("write_queue_max")) {
        (Some(Typed::Name(policy)), _) if policy == "around" => WriteSettings::Around,
        (_, Some(Typed::Count(queue_max))) => WriteSettings::Behind { queue_max: *queue_max },
        _ => WriteSettings::Through,
    };
    let retry_attempts = match typed("retry_attempts") {
        Some(Typed::Count(attempts)) => Some(*attempts),
        _ => None,
    };
    let (number, of_map) = match &place {
        Place::Level(number) => (Some(*number), tree.name_of_level(*number)),
        Place::Backend(name) => (None, Some(name)),
    };
    Some(LevelSettings {
        number,
        name: of_map.cloned(),
        kind: kind(tree, &place)?,
        ttl,
        write,
        compression: name(tree, &place.path("compression")),
        retry_attempts,
        place,
    })
}

fn kind(tree: &Tree, place: &Place) -> Option<LevelKind> {
    let path = |field: &str| place.path(field);
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
            let options = options(tree, &place.options());
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
    is_on_at(tree, &Place::Level(number))
}

fn is_on_at(tree: &Tree, place: &Place) -> bool {
    let enabled = tree.get(&place.path("enabled")).map(|setting| &setting.typed);
    matches!(enabled, Some(Typed::Flag(true)))
}

fn is_memory(tree: &Tree, number: usize) -> bool {
    name(tree, &Place::Level(number).path("kind")).as_deref() == Some("memory")
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
