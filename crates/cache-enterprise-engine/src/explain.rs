//! Why a key would hit or be refused, level by level.

use std::fmt;
use std::time::Duration;

use cache_enterprise_core::coherence::EpochTarget;
use cache_enterprise_core::{
    CacheKey, Entry, Error, Freshness, LocalStore, Lookup, Millis, NEVER, Sequence,
};

use crate::cache::Cache;
use crate::told::{tag_text, target_text};

/// What every level holds of a key, and what a read would make of it. `Display` prints it whole;
/// values are not part of it.
///
/// ```
/// use cache_enterprise_core::{Capacity, mins};
/// use cache_enterprise_engine::{CacheManager, CacheSpec, Verdict, block_on};
///
/// static USERS: CacheSpec<u64, u64> = CacheSpec::new("users").ttl(mins(5));
/// let manager = CacheManager::in_memory(Capacity::entries(100))?;
/// let users = manager.open(&USERS)?;
/// block_on(async {
///     users.set(&7, 1_u64).tags(["org:7"]).await;
///     manager.invalidate("org:7").await;
///     let why = users.explain(&7).await;
///     assert_eq!(why.answered_by(), None);
///     assert!(matches!(&why.levels[0].verdict, Verdict::Invalidated(by) if by == "tag org:7"));
///     println!("{why}");
/// });
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The cache.
    pub cache: String,
    /// The tenant; empty for the root tenant.
    pub tenant: String,
    /// The key as tiers write it.
    pub key: String,
    /// The levels, top first.
    pub levels: Vec<LevelView>,
    /// What applies to the key and its copies, and when it was invalidated last.
    pub epochs: Vec<EpochView>,
}

/// One level's part of an [`Explanation`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LevelView {
    /// Number of the level, from 1; 0 for a backend beside the levels.
    pub level: u8,
    /// Name of its backend.
    pub name: String,
    /// What a read would make of it.
    pub verdict: Verdict,
    /// The copy it holds, where it holds one that can be read.
    pub copy: Option<CopyView>,
    /// What decides which entries leave it; `None` where the engine does not know.
    pub strategy: Option<String>,
    /// In words, why the copy stands where it does, where the strategy can say.
    pub standing: Option<String>,
}

/// A copy of an entry at one level.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyView {
    /// Time since the value was made.
    pub age: Duration,
    /// The tenant's sequence from before it was made.
    pub version: Sequence,
    /// What is left of its fresh life by its own dates; `None` for no end.
    pub fresh_for: Option<Duration>,
    /// What is left until it is gone; `None` for no end.
    pub kept_for: Option<Duration>,
    /// Its labels, with those that stand for paths and for what it was derived from.
    pub tags: Vec<String>,
}

/// The newest invalidations of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EpochView {
    /// What was invalidated, such as `tag org:7`.
    pub target: String,
    /// The newest hard one; zero for none that is known.
    pub hard: Sequence,
    /// The newest soft one; zero for none that is known.
    pub soft: Sequence,
}

/// What a read would make of a level's copy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It is served.
    Hit,
    /// It is past its life, by its dates or softly: it answers only where a load fails.
    Stale,
    /// Its life and its grace are over.
    Expired,
    /// This was invalidated after the copy was made.
    Invalidated(String),
    /// Its key was written or removed later, and the level was not told yet.
    Superseded,
    /// It was not heard of other processes for too long: it is looked up below first.
    Doubted,
    /// The level knows that there is no value.
    KnownAbsent,
    /// It holds nothing.
    Nothing,
    /// What it holds is no entry of this manager, codec or schema.
    Unreadable(Error),
    /// It did not answer, or may not be believed now.
    Unreachable(Error),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit => f.write_str("hit"),
            Self::Stale => f.write_str("past its life: a fallback where a load fails"),
            Self::Expired => f.write_str("refused: its life is over"),
            Self::Invalidated(by) => write!(f, "refused: {by} was invalidated after it was made"),
            Self::Superseded => f.write_str("refused: the key was written or removed later"),
            Self::Doubted => f.write_str("refused until the levels below were asked again"),
            Self::KnownAbsent => f.write_str("known to be absent"),
            Self::Nothing => f.write_str("nothing"),
            Self::Unreadable(error) => write!(f, "unreadable: {error}"),
            Self::Unreachable(error) => write!(f, "not asked or silent: {error}"),
        }
    }
}

impl Explanation {
    /// The number of the level that would answer a read now, from 1; `None` where it is a miss.
    pub fn answered_by(&self) -> Option<u8> {
        let answers = |view: &&LevelView| matches!(view.verdict, Verdict::Hit);
        self.levels.iter().find(answers).map(|view| view.level)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cache, tenant, key, levels, epochs } = self;
        let whose = if tenant.is_empty() { "the root tenant" } else { tenant };
        writeln!(f, "{cache}:{key} of {whose}")?;
        for view in levels {
            writeln!(f, "  L{} {}: {}", view.level, view.name, view.verdict)?;
            if let Some(copy) = &view.copy {
                writeln!(f, "     {copy}")?;
            }
            match (&view.strategy, &view.standing) {
                (Some(strategy), Some(standing)) => writeln!(f, "     {strategy}: {standing}")?,
                (Some(strategy), None) => writeln!(f, "     {strategy} decides what leaves")?,
                (None, _) => {}
            }
        }
        for EpochView { target, hard, soft } in epochs {
            writeln!(f, "  {target}: invalidated at {hard}, softly at {soft}")?;
        }
        match self.answered_by() {
            Some(level) => write!(f, "  a read would be answered by L{level}"),
            None => f.write_str("  a read would be a miss"),
        }
    }
}

impl fmt::Display for CopyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { age, version, fresh_for, kept_for, tags } = self;
        let left = |time: &Option<Duration>| time.map_or("ever".into(), |time| format!("{time:?}"));
        write!(f, "version {version}, {age:?} old, ")?;
        write!(f, "fresh for {}, kept for {}", left(fresh_for), left(kept_for))?;
        if !tags.is_empty() {
            write!(f, "; {}", tags.join(", "))?;
        }
        Ok(())
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// What each level holds of `key`, and why a read would take or refuse it. Reads every tier;
    /// nothing climbs and nothing is counted. For people and administration.
    pub async fn explain<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Explanation {
        let name = self.name_within(key);
        let prefix = self.name_prefix().len();
        let mut levels = vec![self.explain_level1(key)];
        levels.extend(self.explain_below(&key.to_key()).await);
        let mut tags = self.labelled(key, Vec::new());
        if let Some(entry) = self.store.peek(&self.scoped(key)) {
            tags.extend(entry.tags().iter().map(|cell| cell.name().clone()));
        }
        tags.sort();
        tags.dedup();
        let tenant = &self.view.tenant;
        let whole = EpochView {
            target: "tenant, cache or pattern".to_owned(),
            hard: tenant.epochs.newest_without_tags(&self.view.cell),
            soft: self.view.cell.soft_epoch(),
        };
        let cells = tenant.epochs.tag_cells(tags);
        let of_tag = |cell: &std::sync::Arc<_>| {
            let cell: &cache_enterprise_core::coherence::EpochCell = cell;
            let (hard, soft) = (cell.epoch(), cell.soft_epoch());
            EpochView { target: tag_text(cell.name()), hard, soft }
        };
        Explanation {
            cache: self.name().to_owned(),
            tenant: tenant.name.to_string(),
            key: name[prefix..].to_owned(),
            levels,
            epochs: std::iter::once(whole).chain(cells.iter().map(of_tag)).collect(),
        }
    }

    fn explain_level1<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> LevelView {
        let standing = self.store.account(&self.scoped(key));
        let strategy = Some(self.store.strategy().to_string());
        let name = "memory".to_owned();
        let view = |verdict, copy| LevelView { level: 1, name, verdict, copy, strategy, standing };
        let Some(entry) = self.store.peek(&self.scoped(key)) else {
            let is_absent = self.is_known_absent(key);
            return view(if is_absent { Verdict::KnownAbsent } else { Verdict::Nothing }, None);
        };
        let now = self.view.clock.now();
        // Before the verdict, which may end the fresh life.
        let copy = copy_of(&entry, now);
        view(self.verdict(key, &entry, now), Some(copy))
    }

    fn verdict<Q>(&self, key: &Q, entry: &Entry<V>, now: Millis) -> Verdict
    where
        Q: Lookup<K> + ?Sized,
    {
        let epochs = &self.view.tenant.epochs;
        let (version, cell) = (entry.version(), &self.view.cell);
        let text = self.text_of(key);
        if !epochs.is_valid(version, cell, entry.tags(), || text.clone()) {
            let tag = entry.tags().iter().find(|cell| cell.epoch() > version);
            let by = match tag {
                Some(cell) => tag_text(cell.name()),
                None if cell.epoch() > version => {
                    target_text(&EpochTarget::Cache(cell.name().clone()))
                }
                None => match epochs.ending_pattern(version, cell, &text) {
                    Some(pattern) => {
                        target_text(&EpochTarget::Pattern(cell.name().clone(), pattern))
                    }
                    None => target_text(&EpochTarget::Tenant),
                },
            };
            return Verdict::Invalidated(by);
        }
        if !epochs.is_sure(entry.checked()) {
            return Verdict::Doubted;
        }
        match entry.freshness(now) {
            Freshness::Fresh if epochs.is_ended(version, cell, entry.tags(), || text) => {
                Verdict::Stale
            }
            Freshness::Fresh => Verdict::Hit,
            Freshness::Stale => Verdict::Stale,
            Freshness::Expired => Verdict::Expired,
        }
    }
}

fn copy_of<V>(entry: &Entry<V>, now: Millis) -> CopyView {
    let dates = entry.dates();
    CopyView {
        age: Duration::from_millis(now.saturating_sub(dates.created)),
        version: entry.version(),
        fresh_for: left(now, dates.fresh_until),
        kept_for: left(now, dates.expires.max(dates.fresh_until)),
        tags: entry.tags().iter().map(|cell| tag_text(cell.name())).collect(),
    }
}

fn left(now: Millis, until: Millis) -> Option<Duration> {
    (until != NEVER).then(|| Duration::from_millis(until.saturating_sub(now)))
}
