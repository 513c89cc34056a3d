//! The options in force, and who set them: of a manager, and of a key.

use std::fmt;
use std::time::Duration;

use cache_enterprise_core::{CacheKey, Entry, LocalStore, Lookup, Millis, NEVER, Priority, Tag};

use crate::advice::Advice;
use crate::cache::Cache;
use crate::manager::CacheManager;
use crate::options::{self, EffectiveOption, Options, Origin};
use crate::shared::Shared;
use crate::told::tag_text;
use crate::tune::Watch;

/// Options in force and where each came from; secrets are redacted. `Display` prints a table.
///
/// ```
/// use cache_enterprise_core::{Capacity, MIB};
/// use cache_enterprise_engine::{CacheManager, Origin};
///
/// let manager = CacheManager::in_memory(Capacity::bytes(64 * MIB))?;
/// let description = manager.describe();
/// let size = description.row("l1.max_size").expect("each manager has a level 1");
/// assert_eq!((size.value.as_str(), &size.origin), ("64 MiB", &Origin::Manager));
/// println!("{description}");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    rows: Vec<EffectiveOption>,
    advice: Vec<Advice>,
}

impl Description {
    /// The rows: the manager's, then level by level, then what caches inherit and set themselves.
    pub fn rows(&self) -> &[EffectiveOption] {
        &self.rows
    }

    /// What the options do together that may not be meant; empty for those of a key.
    pub fn advice(&self) -> &[Advice] {
        &self.advice
    }

    /// The row of this name.
    pub fn row(&self, name: &str) -> Option<&EffectiveOption> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Says what a tuner changed, in the place of what was chosen.
    fn correct_tuned(&mut self, prefix: &str, watch: &Watch) {
        let life = watch.life().map(|life| format!("{life:?}"));
        let strategy = watch.policies().map(|policies| policies.name().to_owned());
        for (name, value) in [("ttl", life), ("l1.strategy", strategy)] {
            let Some(value) = value else { continue };
            let name = format!("{prefix}{name}");
            match self.rows.iter_mut().find(|row| row.name == name) {
                Some(row) if row.value == value => {}
                Some(row) => (row.value, row.origin) = (value, Origin::Tuned),
                None => self.push(name, value, Origin::Tuned),
            }
        }
    }

    pub(crate) fn push(
        &mut self,
        name: impl Into<String>,
        value: impl fmt::Display,
        origin: Origin,
    ) {
        self.rows.push(EffectiveOption { name: name.into(), value: value.to_string(), origin });
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: fn(&EffectiveOption) -> &str| {
            self.rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0)
        };
        let (names, values) = (width(|row| &row.name), width(|row| &row.value));
        self.rows.iter().try_for_each(|row| {
            writeln!(f, "{:names$}  {:values$}  {}", row.name, row.value, row.origin)
        })?;
        self.advice.iter().try_for_each(|advice| writeln!(f, "{advice}"))
    }
}

impl<C> CacheManager<C> {
    /// The options in force and where each came from, secrets redacted: those of the manager and
    /// its levels, those that caches inherit, and those that the specs of open caches set. Walks
    /// the open caches: for people and start-up logs, not for requests.
    pub fn describe(&self) -> Description {
        let shared = &self.shared;
        let of = |option: &str| shared.origins.of(option).cloned().unwrap_or(Origin::Default);
        let mut description = Description::default();
        let named = shared.origins.of("name").cloned().unwrap_or(Origin::Manager);
        description.push("name", &shared.name, named);
        let is_off = shared.l1_ttl_max == Some(Duration::ZERO);
        description.push("l1.enabled", !is_off, of("l1.ttl_max"));
        if !is_off {
            description.push("l1.max_size", shared.capacity, of("l1.max_size"));
            description.push("l1.strategy", &shared.strategy, of("l1.strategy"));
            description.push("l1.ttl_max", time_or_off(shared.l1_ttl_max), of("l1.ttl_max"));
        }
        shared.describe_below(&mut description);
        if shared.has_tiers() {
            description.push("failover.strategy", shared.failover.name(), of("failover.strategy"));
        }
        if let Some(most) = shared.loads_max {
            description.push("loads.max", most, of("loads.max"));
        }
        if let Some(strategy) = &shared.fill_strategy {
            description.push("fill_strategy", strategy, of("fill_strategy"));
        }
        let inherited = options::effective(&Options::NONE, &shared.options, &shared.origins);
        description.rows.extend(inherited);
        shared.correct_l1_ttl(&shared.options, &mut description);
        let mut data_types: Vec<_> = shared.data_types.iter().collect();
        data_types.sort();
        for (name, ttl) in data_types {
            description.push(format!("data_type.{name}.ttl"), format!("{ttl:?}"), of("data_types"));
        }
        let mut own: Vec<_> = shared
            .caches
            .lock()
            .iter()
            .map(|(cache, open)| (cache.clone(), options::own(&open.options)))
            .collect();
        own.sort();
        for (cache, options) in own {
            for (name, value) in options {
                description.push(format!("cache.{cache}.{name}"), value, Origin::Spec);
            }
        }
        for subject in shared.subjects() {
            description.correct_tuned(&format!("cache.{}.", subject.name()), subject.watch());
        }
        description.advice = shared.advice();
        description
    }
}

/// A time limit, or `off`.
pub(crate) fn time_or_off(time: Option<Duration>) -> String {
    time.map_or("off".to_owned(), |time| format!("{time:?}"))
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The options in force for a write or load of `key` that says nothing itself, each with who
    /// set it. All keys of a cache share them; what `key` adds are the dates, version, tags and
    /// priority of its entry, when level 1 holds a usable one: what its own call gave it. Tiers
    /// are not asked. For people, not for requests.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, MIB, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    ///
    /// static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(5)).jitter(0.0);
    ///
    /// let manager = CacheManager::in_memory(Capacity::bytes(64 * MIB))?;
    /// let names = manager.open(&NAMES)?;
    /// block_on(async { names.set(&7, String::from("Ada")).ttl(mins(1)).await });
    ///
    /// let options = names.effective_options(&7);
    /// assert_eq!(options.row("ttl").map(|row| row.origin.to_string()), Some("spec".into()));
    /// assert_eq!(options.row("entry.life").map(|row| row.value.as_str()), Some("60s"));
    /// println!("{options}");
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn effective_options<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Description {
        let (core, shared) = (&self.view.core, &self.view.shared);
        let rows = options::effective(&core.spec_options, &shared.options, &shared.origins);
        let mut description = Description { rows, ..Description::default() };
        shared.correct_l1_ttl(&core.options, &mut description);
        let chosen = shared.origins.of("l1.strategy").cloned().unwrap_or(Origin::Default);
        description.push("l1.strategy", &shared.strategy, chosen);
        description.correct_tuned("", self.view.holding.watch());
        let now = self.view.clock.now();
        let held = self.store.peek(&self.scoped(key));
        if let Some(entry) = held.filter(|entry| self.is_usable(key, entry, now)) {
            describe_entry(&entry, now, &mut description);
        }
        description
    }
}

impl Shared {
    /// Says the life of a copy in level 1 as it is, whoever bounded it.
    fn correct_l1_ttl(&self, options: &Options, description: &mut Description) {
        let Some(row) = description.rows.iter_mut().find(|row| row.name == "l1_ttl") else {
            return;
        };
        let Some(life) = self.l1_life(options) else { return };
        let is_capped = self.l1_ttl_max == Some(life) && options.l1_ttl != Some(life);
        row.value = format!("{life:?}");
        if is_capped {
            row.origin = self.origins.of("l1.ttl_max").cloned().unwrap_or(Origin::Manager);
        }
    }

    #[cfg(not(feature = "tiers"))]
    fn describe_below(&self, _: &mut Description) {}
}

/// A tag as it was written, or what a reserved one stands for.
fn told(tag: &Tag) -> String {
    if tag.is_reserved() { tag_text(tag) } else { tag.as_str().to_owned() }
}

/// What the entry of a key was given by its own call.
fn describe_entry<V>(entry: &Entry<V>, now: Millis, description: &mut Description) {
    let dates = entry.dates();
    let span = |from: Millis, to: Millis| match to {
        NEVER => "forever".to_owned(),
        to => format!("{:?}", Duration::from_millis(to.saturating_sub(from))),
    };
    let mut row = |name: &str, value: String| description.push(name, value, Origin::Entry);
    row("entry.version", entry.version().0.to_string());
    row("entry.age", span(dates.created, now));
    row("entry.life", span(dates.created, dates.fresh_until));
    row("entry.fresh_for", span(now, dates.fresh_until));
    row("entry.kept_for", span(now, dates.expires));
    if entry.priority() != Priority::Normal {
        row("entry.priority", format!("{:?}", entry.priority()));
    }
    for cell in entry.tags() {
        row("entry.tag", told(cell.name()));
    }
}
