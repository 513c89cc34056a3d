//! The epochs of one tenant in one process.
//!
//! An entry points to the cells of its tags; a hit compares one counter and looks nothing up.
//! Order matters in two places. A raise writes the cell first and moves the change counter after
//! it; a reader loads the counter first and the cells after it. So a reader that saw the new
//! counter sees the new epoch, and one that saw the old counter checks again at its next hit.

use std::ops::Deref;
use std::sync::Arc;

use hashbrown::HashMap;

use super::patterns::Patterns;
use super::{EpochRecord, EpochTarget, Sequence, SequenceCounter};
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::{Pattern, Tag, mutant};

/// The epoch of one target: the sequence at which it was last invalidated.
///
/// ```
/// use cache_enterprise_core::coherence::{EpochTarget, Sequence, TenantEpochs};
///
/// let epochs = TenantEpochs::new(Sequence(1));
/// let users = epochs.cache_cell("users");
/// epochs.raise(&EpochTarget::Cache("users".into()), Sequence(9));
/// assert_eq!((users.name().as_str(), users.epoch()), ("users", Sequence(9)));
/// ```
#[derive(Debug)]
pub struct EpochCell {
    name: Tag,
    epoch: AtomicU64,
    /// The newest soft invalidation.
    soft: AtomicU64,
}

impl EpochCell {
    fn new(name: Tag, floors: &Whole) -> Self {
        let (epoch, soft) = (floors.hard(), floors.soft());
        Self { name, epoch: AtomicU64::new(epoch.0), soft: AtomicU64::new(soft.0) }
    }

    /// The tag, or the name of the cache, whose epoch this is.
    pub fn name(&self) -> &Tag {
        &self.name
    }

    /// The newest invalidation of the target.
    pub fn epoch(&self) -> Sequence {
        Sequence(self.epoch.load(Ordering::Acquire))
    }

    /// The newest soft invalidation of the target.
    pub fn soft_epoch(&self) -> Sequence {
        Sequence(self.soft.load(Ordering::Acquire))
    }

    fn raise(&self, to: Sequence, strength: Strength) {
        match strength {
            Strength::Hard => self.epoch.fetch_max(to.0, Ordering::AcqRel),
            Strength::Soft => self.soft.fetch_max(to.0, Ordering::AcqRel),
        };
    }
}

/// What an invalidation leaves: nothing, or a value past its life.
#[derive(Clone, Copy)]
enum Strength {
    Hard,
    Soft,
}

/// A hard and a soft number that apply to more than one name.
#[derive(Debug, Default)]
struct Whole {
    hard: AtomicU64,
    soft: AtomicU64,
}

impl Whole {
    fn hard(&self) -> Sequence {
        Sequence(self.hard.load(Ordering::Acquire))
    }

    fn soft(&self) -> Sequence {
        Sequence(self.soft.load(Ordering::Acquire))
    }

    fn raise(&self, to: Sequence, strength: Strength) {
        match strength {
            Strength::Hard => self.hard.fetch_max(to.0, Ordering::AcqRel),
            Strength::Soft => self.soft.fetch_max(to.0, Ordering::AcqRel),
        };
    }
}

/// The epoch cells of an entry's tags: one pointer for the one tag that most entries have.
///
/// ```
/// use cache_enterprise_core::coherence::{Sequence, TagCells, TenantEpochs};
/// use cache_enterprise_core::tag;
///
/// let epochs = TenantEpochs::new(Sequence(1));
/// assert!(matches!(epochs.tag_cells([tag!("org:7")]), TagCells::One(_)));
/// assert_eq!(epochs.tag_cells([tag!("org:7"), tag!("hot")]).len(), 2);
/// ```
#[derive(Clone, Debug, Default)]
pub enum TagCells {
    /// No tag.
    #[default]
    None,
    /// A single tag.
    One(Arc<EpochCell>),
    /// Several tags.
    Many(Box<[Arc<EpochCell>]>),
}

impl TagCells {
    /// Bytes beside the value itself; the cells are shared and not counted.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::None | Self::One(_) => 0,
            Self::Many(cells) => size_of_val(&**cells),
        }
    }
}

impl Deref for TagCells {
    type Target = [Arc<EpochCell>];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::None => &[],
            Self::One(cell) => std::slice::from_ref(cell),
            Self::Many(cells) => cells,
        }
    }
}

impl FromIterator<Arc<EpochCell>> for TagCells {
    fn from_iter<I: IntoIterator<Item = Arc<EpochCell>>>(cells: I) -> Self {
        let mut cells = cells.into_iter();
        match (cells.next(), cells.next()) {
            (None, _) => Self::None,
            (Some(only), None) => Self::One(only),
            (Some(first), Some(second)) => {
                Self::Many([first, second].into_iter().chain(cells).collect())
            }
        }
    }
}

/// Where the change counter starts: above what an entry remembers that was never checked.
const FIRST_CHANGE: u64 = 1;

/// Sequence and epochs of one tenant. Shared by all caches of the tenant in one manager.
///
/// ```
/// use cache_enterprise_core::coherence::{EpochTarget, Sequence, TenantEpochs};
/// use cache_enterprise_core::tag;
///
/// let epochs = TenantEpochs::new(Sequence(1));
/// let users = epochs.cache_cell("users");
/// let tags = epochs.tag_cells([tag!("org:7")]);
/// let version = epochs.sequence().newest();
/// assert!(epochs.is_valid(version, &users, &tags, || "7".to_owned()));
///
/// let at = epochs.sequence().take();
/// epochs.raise(&EpochTarget::Tag(tag!("org:7")), at);
/// assert!(!epochs.is_valid(version, &users, &tags, || "7".to_owned()));
/// ```
#[derive(Debug)]
pub struct TenantEpochs {
    /// Moves after every raise of a group's epoch; what an entry remembers of its last check.
    changes: AtomicU64,
    /// Entries last checked before this change may have missed an invalidation, while the bus is
    /// not heard.
    doubted_below: AtomicU64,
    /// As before, for good: what was missed cannot be heard any more.
    lost_below: AtomicU64,
    sequence: SequenceCounter,
    /// Epoch of the tenant as a whole, and of everything.
    whole: Whole,
    /// Where cells start that are not known (any more).
    floor: Whole,
    tags: RwLock<HashMap<Tag, Arc<EpochCell>>>,
    caches: RwLock<HashMap<Tag, Arc<EpochCell>>>,
    ended_patterns: Patterns,
    expired_patterns: Patterns,
}

impl TenantEpochs {
    /// Epochs of a tenant whose counter starts at `start`.
    pub fn new(start: Sequence) -> Self {
        Self {
            changes: AtomicU64::new(FIRST_CHANGE),
            doubted_below: AtomicU64::new(0),
            lost_below: AtomicU64::new(0),
            sequence: SequenceCounter::starting_at(start),
            whole: Whole::default(),
            floor: Whole::default(),
            tags: RwLock::default(),
            caches: RwLock::default(),
            ended_patterns: Patterns::default(),
            expired_patterns: Patterns::default(),
        }
    }

    /// The tenant's counter.
    pub fn sequence(&self) -> &SequenceCounter {
        &self.sequence
    }

    /// The change counter: load it before checking validity, remember it after.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether an entry last checked at this state of the change counter is believed: nothing was
    /// missed since, as far as this process knows.
    pub fn is_sure(&self, checked: u64) -> bool {
        checked >= self.doubted_below.load(Ordering::Acquire)
            && checked >= self.lost_below.load(Ordering::Acquire)
    }

    /// Doubts every entry there is until [`trust`](Self::trust) comes.
    pub fn doubt(&self) {
        self.distrust(&self.doubted_below);
    }

    /// Believes again what was doubted.
    pub fn trust(&self) {
        self.doubted_below.store(0, Ordering::Release);
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Doubts every entry there is for good: each is looked up below at its next read.
    pub fn verify_all(&self) {
        self.distrust(&self.lost_below);
    }

    /// One caller at a time for each bound.
    fn distrust(&self, below: &AtomicU64) {
        // Nothing is sure while the counter moves: a check beside it must not pass by the old
        // bound and be remembered under the new count.
        below.store(u64::MAX, Ordering::Release);
        let next = self.changes.fetch_add(1, Ordering::AcqRel) + 1;
        below.store(next, Ordering::Release);
    }

    /// Whether no epoch was raised yet, so that no entry can be invalid.
    pub fn has_never_changed(&self) -> bool {
        self.changes() == FIRST_CHANGE
    }

    /// The cell of a cache; made at the floor when it is not known.
    pub fn cache_cell(&self, cache: &str) -> Arc<EpochCell> {
        self.cell(&self.caches, &Tag::from(cache))
    }

    /// The cells of an entry's tags. One map look-up each, at a write or a climb, never at a hit.
    pub fn tag_cells(&self, tags: impl IntoIterator<Item = Tag>) -> TagCells {
        tags.into_iter().map(|tag| self.cell(&self.tags, &tag)).collect()
    }

    /// Whether no epoch that applies is newer than `version`. `text` gives the key as its owner
    /// wrote it; it is called where a pattern of the cache was ended after `version`, and then the
    /// text is compared with at most [`PATTERNS_MAX`](super::PATTERNS_MAX) patterns.
    pub fn is_valid(
        &self,
        version: Sequence,
        cache: &EpochCell,
        tags: &[Arc<EpochCell>],
        text: impl FnOnce() -> String,
    ) -> bool {
        (version >= self.whole.hard() || mutant::breaks("the epoch of the tenant is compared"))
            && (version >= cache.epoch() || mutant::breaks("the epoch of the cache is compared"))
            && (tags.iter().all(|cell| version >= cell.epoch())
                || mutant::breaks("the epochs of tags are compared"))
            && (!self.ended_patterns.take(cache.name(), version, text)
                || mutant::breaks("what a pattern matches is compared when it is read"))
    }

    /// Whether a soft epoch that applies is newer than `version`: its fresh life is over. `text`
    /// as in [`is_valid`](Self::is_valid).
    pub fn is_ended(
        &self,
        version: Sequence,
        cache: &EpochCell,
        tags: &[Arc<EpochCell>],
        text: impl FnOnce() -> String,
    ) -> bool {
        version < self.whole.soft()
            || version < cache.soft_epoch()
            || tags.iter().any(|cell| version < cell.soft_epoch())
            || self.expired_patterns.take(cache.name(), version, text)
    }

    /// The pattern whose end makes a copy of this version invalid, if one does; the newest of
    /// several. For telling people why.
    pub fn ending_pattern(
        &self,
        version: Sequence,
        cache: &EpochCell,
        text: &str,
    ) -> Option<Arc<Pattern>> {
        self.ended_patterns.newest_taking(cache.name(), version, text)
    }

    /// The newest epoch among those known without the value: whole tenant, cache, and patterns of
    /// the cache, whichever keys they match. A caller may join a flight that started at this
    /// number or later.
    pub fn newest_without_tags(&self, cache: &EpochCell) -> Sequence {
        let hard = self.whole.hard().max(cache.epoch());
        let whole = hard.max(self.whole.soft()).max(cache.soft_epoch());
        let patterns = self.ended_patterns.newest(cache.name());
        whole.max(patterns).max(self.expired_patterns.newest(cache.name()))
    }

    /// Writes `at` as the epoch of `target`, then moves the change counter.
    pub fn raise(&self, target: &EpochTarget, at: Sequence) {
        self.raise_as(target, at, Strength::Hard);
        self.sequence.observe(at);
        if !mutant::breaks("a raise moves the change counter") {
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn raise_as(&self, target: &EpochTarget, at: Sequence, strength: Strength) {
        match target {
            EpochTarget::Everything | EpochTarget::Tenant => self.whole.raise(at, strength),
            EpochTarget::Cache(cache) => self.cell(&self.caches, cache).raise(at, strength),
            EpochTarget::Tag(tag) => self.cell(&self.tags, tag).raise(at, strength),
            EpochTarget::Pattern(cache, pattern) => {
                self.raise_pattern(cache, pattern, at, strength);
            }
            EpochTarget::Soft(hard) => self.raise_as(hard, at, Strength::Soft),
        }
    }

    fn raise_pattern(&self, cache: &Tag, pattern: &Arc<Pattern>, at: Sequence, how: Strength) {
        let cell = self.cell(&self.caches, cache);
        let (patterns, ended) = match how {
            Strength::Hard => (&self.ended_patterns, cell.epoch()),
            Strength::Soft => (&self.expired_patterns, cell.epoch().max(cell.soft_epoch())),
        };
        patterns.raise(cache, pattern, at, ended, |oldest| {
            if !mutant::breaks("a pattern too many ends the whole cache") {
                cell.raise(oldest, how);
            }
        });
    }

    /// Takes over a stored record at start-up.
    pub fn restore(&self, record: &EpochRecord) {
        self.sequence.observe(record.sequence);
        if !mutant::breaks("a lost record ends everything older") {
            self.floor.raise(record.floor, Strength::Hard);
            self.whole.raise(record.floor, Strength::Hard);
        }
        for (target, epoch) in &record.epochs {
            self.raise(target, *epoch);
        }
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Drops tag cells that no entry points to and leaves their newest epoch as the floor. Call
    /// it now and then; cost is one pass over the tenant's known tags under a write lock.
    pub fn sweep(&self) -> usize {
        let mut tags = self.tags.write();
        let before = tags.len();
        tags.retain(|_, cell| {
            let is_used = Arc::strong_count(cell) > 1;
            if !is_used && !mutant::breaks("an epoch that is forgotten leaves a floor") {
                self.floor.raise(cell.epoch(), Strength::Hard);
                self.floor.raise(cell.soft_epoch(), Strength::Soft);
            }
            is_used
        });
        before - tags.len()
    }

    /// Drops tag cells that no entry points to and that say no more than the floor does: nothing
    /// is forgotten, and nothing becomes invalid. Cost as [`sweep`](Self::sweep).
    ///
    /// ```
    /// use cache_enterprise_core::coherence::{EpochTarget, Sequence, TenantEpochs};
    /// use cache_enterprise_core::tag;
    ///
    /// let epochs = TenantEpochs::new(Sequence(1));
    /// epochs.tag_cells([tag!("never raised"), tag!("raised")]);
    /// epochs.raise(&EpochTarget::Tag(tag!("raised")), Sequence(5));
    /// assert_eq!((epochs.drop_unraised(), epochs.tags_len()), (1, 1));
    /// ```
    pub fn drop_unraised(&self) -> usize {
        let mut tags = self.tags.write();
        let before = tags.len();
        tags.retain(|_, cell| {
            let is_raised =
                cell.epoch() > self.floor.hard() || cell.soft_epoch() > self.floor.soft();
            Arc::strong_count(cell) > 1 || is_raised
        });
        before - tags.len()
    }

    /// Number of tags known now.
    pub fn tags_len(&self) -> usize {
        self.tags.read().len()
    }

    fn cell(&self, cells: &RwLock<HashMap<Tag, Arc<EpochCell>>>, name: &Tag) -> Arc<EpochCell> {
        if let Some(cell) = cells.read().get(name) {
            return Arc::clone(cell);
        }
        let mut cells = cells.write();
        let cell = cells
            .entry(name.clone())
            .or_insert_with(|| Arc::new(EpochCell::new(name.clone(), &self.floor)));
        Arc::clone(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag;

    fn no_text() -> String {
        unreachable!("no pattern was ended")
    }

    #[test]
    fn a_raise_ends_what_was_loaded_before_and_nothing_after() {
        let epochs = TenantEpochs::new(Sequence(100));
        let users = epochs.cache_cell("users");
        let tags = epochs.tag_cells([tag!("a"), tag!("b")]);
        let old = epochs.sequence().newest();
        let at = epochs.sequence().take();
        let changes = epochs.changes();
        epochs.raise(&EpochTarget::Tag(tag!("b")), at);
        assert!(epochs.changes() > changes);
        assert!(!epochs.is_valid(old, &users, &tags, no_text));
        assert!(epochs.is_valid(old, &users, &tags[..1], no_text));
        assert!(epochs.is_valid(epochs.sequence().newest(), &users, &tags, no_text));
    }

    #[test]
    fn cache_and_tenant_epochs_apply_to_untagged_entries() {
        let epochs = TenantEpochs::new(Sequence(1));
        let (users, posts) = (epochs.cache_cell("users"), epochs.cache_cell("posts"));
        let old = epochs.sequence().newest();
        epochs.raise(&EpochTarget::Cache("users".into()), epochs.sequence().take());
        assert!(!epochs.is_valid(old, &users, &[], no_text));
        assert!(epochs.is_valid(old, &posts, &[], no_text));
        epochs.raise(&EpochTarget::Tenant, epochs.sequence().take());
        assert!(!epochs.is_valid(old, &posts, &[], no_text));
    }

    #[test]
    fn a_soft_raise_ends_freshness_and_leaves_validity() {
        let epochs = TenantEpochs::new(Sequence(1));
        let (users, tags) = (epochs.cache_cell("users"), epochs.tag_cells([tag!("a")]));
        let old = epochs.sequence().newest();
        epochs.raise(&EpochTarget::Tag(tag!("a")).soft(), epochs.sequence().take());
        assert!(
            epochs.is_valid(old, &users, &tags, no_text)
                && epochs.is_ended(old, &users, &tags, no_text)
        );
        assert!(!epochs.is_ended(old, &users, &[], no_text));
        epochs.raise(&EpochTarget::Tenant.soft(), epochs.sequence().take());
        assert!(epochs.is_ended(old, &users, &[], no_text));
        drop(tags);
        epochs.sweep();
        let now = epochs.sequence().newest();
        assert!(!epochs.is_ended(now, &users, &epochs.tag_cells([tag!("a")]), no_text));
    }

    #[test]
    fn doubt_covers_what_was_checked_before_and_nothing_after() {
        let epochs = TenantEpochs::new(Sequence(1));
        let before = epochs.changes();
        epochs.doubt();
        let within = epochs.changes();
        assert!(!epochs.is_sure(before) && epochs.is_sure(within));
        epochs.doubt();
        assert!(!epochs.is_sure(within) && epochs.is_sure(epochs.changes()));
        epochs.trust();
        assert!(epochs.is_sure(before), "what was missed has been heard");
        epochs.verify_all();
        epochs.trust();
        assert!(!epochs.is_sure(before) && epochs.is_sure(epochs.changes()));
    }

    #[test]
    fn a_swept_cell_comes_back_at_the_floor_never_below() {
        let epochs = TenantEpochs::new(Sequence(1));
        let users = epochs.cache_cell("users");
        let old = epochs.sequence().newest();
        epochs.raise(&EpochTarget::Tag(tag!("gone")), epochs.sequence().take());
        assert_eq!(epochs.sweep(), 1);
        let again = epochs.tag_cells([tag!("gone")]);
        assert!(!epochs.is_valid(old, &users, &again, no_text));
    }

    #[test]
    fn cells_in_use_survive_the_sweep() {
        let epochs = TenantEpochs::new(Sequence(1));
        let kept = epochs.tag_cells([tag!("kept")]);
        assert_eq!(epochs.sweep(), 0);
        assert_eq!(epochs.tags_len(), 1);
        drop(kept);
        assert_eq!(epochs.sweep(), 1);
    }
}
