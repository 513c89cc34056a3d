//! A value with its dates.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Millis, NEVER};
use crate::coherence::{EpochCell, Sequence, TagCells};
use crate::early::{Early, Reading};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How much an entry wants to stay when level 1 is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Leaves before others.
    Low,
    /// Leaves when the policy says so.
    #[default]
    Normal,
    /// Gets one more round when the policy picks it.
    High,
    /// Never evicted to make room; expires and is removed like any other.
    Pinned,
}

/// Whether an entry may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Serve it.
    Fresh,
    /// Usable only as a fallback while or when a load fails.
    Stale,
    /// Past its life: a miss.
    Expired,
}

/// When an entry was made, until when it is fresh, and until when it is kept as a fallback.
/// Milliseconds of the manager's [`Clock`](crate::Clock); [`NEVER`] for no end.
///
/// ```
/// use cache_enterprise_core::{Dates, NEVER, secs};
///
/// let dates = Dates::lasting(1_000, Some(secs(5)));
/// assert_eq!((dates.fresh_until, dates.expires), (6_000, 6_000));
/// assert_eq!(Dates::lasting(1_000, None).expires, NEVER);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// When the value was made, or confirmed last: start of life for age.
    pub created: Millis,
    /// First millisecond at which it is no longer fresh.
    pub fresh_until: Millis,
    /// First millisecond at which it is gone. Never before `fresh_until`.
    pub expires: Millis,
}

impl Dates {
    /// Fresh and kept for `ttl` from `created`; `None` is for ever.
    pub fn lasting(created: Millis, ttl: Option<Duration>) -> Self {
        let end = ttl.map_or(NEVER, |ttl| created.saturating_add(crate::saturating_millis(ttl)));
        Self { created, fresh_until: end, expires: end }
    }
}

/// What an entry carries beside its dates. A single tag costs nothing but a pointer; more than that
/// is kept in an allocation of its own, so that most entries stay small.
#[derive(Debug, Default)]
pub struct Detail {
    /// Epoch cells of the entry's tags.
    pub tags: TagCells,
    /// The entry expires when it was not read for this long.
    pub idle_ms: Option<Millis>,
    /// When it is loaded anew before its fresh life is over.
    pub early: Option<Early>,
    /// By what its origin tells the value from others, such as the `ETag` of an HTTP response.
    pub etag: Option<Box<str>>,
}

impl Detail {
    /// Bytes that an entry with this detail takes beside its own; the cells of tags are shared.
    ///
    /// ```
    /// assert_eq!(cache_enterprise_core::Detail::default().heap_bytes(), 0);
    /// ```
    pub fn heap_bytes(&self) -> usize {
        match &self.tags {
            TagCells::None | TagCells::One(_) if self.is_plain() => 0,
            tags => {
                let etag = self.etag.as_ref().map_or(0, |etag| etag.len());
                size_of::<Boxed>() + tags.heap_bytes() + etag
            }
        }
    }

    /// Whether there is nothing but tags.
    fn is_plain(&self) -> bool {
        self.idle_ms.is_none() && self.early.is_none() && self.etag.is_none()
    }
}

/// A [`Detail`] in the place an entry has for it.
#[derive(Debug)]
enum Carried {
    Nothing,
    Tag(Arc<EpochCell>),
    Boxed(Box<Boxed>),
}

#[derive(Debug)]
struct Boxed {
    detail: Detail,
    /// When the entry was read last, for idle expiry.
    touched: AtomicU64,
    /// First millisecond at which it is no longer fresh. Where the detail has an early refresh,
    /// the head has the first date at which that may be due.
    fresh_until: AtomicU64,
    /// The date of the early refresh; that of the detail is where it started.
    early_end: AtomicU64,
}

impl Boxed {
    fn early(&self) -> Option<Early> {
        let early = self.detail.early?;
        Some(early.with_end(self.early_end.load(Ordering::Relaxed)))
    }
}

/// A value in level 1 with all a hit must check, in one allocation.
///
/// The head is 56 bytes and stands before the value, what a hit checks in front: with the two
/// counts of its `Arc` that is 32 bytes, so in most places one cache line. The date of expiry is an
/// offset from the creation in units of 2^n milliseconds; a unit is one millisecond up to a life of
/// 49 days.
///
/// A value that its origin confirms is [renewed](Self::renew) where it stands: dates and version
/// are atomics, because the value cannot be moved from under its readers.
///
/// ```
/// use cache_enterprise_core::{Dates, Entry, Freshness, Sequence};
///
/// let dates = Dates { created: 0, fresh_until: 1_000, expires: 5_000 };
/// let entry = Entry::new("Ada", Sequence(7), 0, dates).with_weight(64);
/// assert_eq!((*entry.value(), entry.weight()), ("Ada", 64));
/// assert_eq!(entry.freshness(999), Freshness::Fresh);
/// assert_eq!(entry.freshness(1_000), Freshness::Stale);
/// assert_eq!(entry.freshness(5_000), Freshness::Expired);
/// ```
#[repr(C)]
pub struct Entry<V> {
    /// The tenant's change counter when validity was last checked.
    checked: AtomicU64,
    /// First millisecond at which a read has more to ask, shifted left by 1: it is no longer fresh,
    /// or its early refresh may be due. The low bit says that every read has: the entry has idle
    /// expiry, or is watched.
    fresh: AtomicU64,
    version: AtomicU64,
    /// Creation in milliseconds, shifted left by 8; the low byte holds unit, priority, and whether
    /// the fresh life was ended before its date.
    birth: AtomicU64,
    keep_for: AtomicU32,
    weight: u32,
    carried: Carried,
    value: V,
}

/// Offset that stands for no end.
const ENDLESS: u32 = u32::MAX;
/// Fresh for ever, as kept in `fresh` above its low bit.
const FRESH_FOR_EVER: u64 = NEVER >> 1;
const MORE_BIT: u64 = 1;
const UNIT_BITS: u64 = 0x1f;
const PRIORITY_SHIFT: u32 = 5;
const ENDED_BIT: u64 = 1 << 7;

impl<V> Entry<V> {
    /// An entry that was last checked at `checked` (see
    /// [`TenantEpochs::changes`](crate::coherence::TenantEpochs::changes)).
    #[inline]
    pub fn new(value: V, version: Sequence, checked: u64, dates: Dates) -> Self {
        let (birth, keep_for) = kept(dates);
        let birth = birth | u64::from(Priority::Normal as u8) << PRIORITY_SHIFT;
        Self {
            checked: AtomicU64::new(checked),
            fresh: AtomicU64::new(dates.fresh_until.min(FRESH_FOR_EVER) << 1),
            version: AtomicU64::new(version.0),
            birth: AtomicU64::new(birth),
            keep_for: AtomicU32::new(keep_for),
            weight: 0,
            carried: Carried::Nothing,
            value,
        }
    }

    /// Sets the weight; see [`weight`](Self::weight).
    #[must_use]
    #[inline]
    pub fn with_weight(mut self, weight: usize) -> Self {
        self.weight = u32::try_from(weight).unwrap_or(u32::MAX);
        self
    }

    /// Sets the priority. Default: [`Priority::Normal`].
    #[must_use]
    #[inline]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        let birth = self.birth.get_mut();
        *birth &= !(0b11 << PRIORITY_SHIFT);
        *birth |= u64::from(priority as u8) << PRIORITY_SHIFT;
        self
    }

    /// Sets tags, idle expiry, early refresh and etag; an empty detail costs nothing. Called at
    /// most once.
    #[must_use]
    #[inline]
    pub fn with_detail(self, detail: Detail) -> Self {
        let has_nothing = detail.is_plain() && matches!(detail.tags, TagCells::None);
        if has_nothing { self } else { self.carry(detail) }
    }

    fn carry(mut self, detail: Detail) -> Self {
        let idle = u64::from(detail.idle_ms.is_some()) * MORE_BIT;
        let fresh_until = self.fresh_until();
        let look = detail.early.map_or(fresh_until, |early| early.first().min(fresh_until));
        *self.fresh.get_mut() = look.min(FRESH_FOR_EVER) << 1 | idle;
        let is_plain = detail.is_plain();
        self.carried = match detail {
            Detail { tags: TagCells::None, .. } if is_plain => Carried::Nothing,
            Detail { tags: TagCells::One(cell), .. } if is_plain => Carried::Tag(cell),
            detail => Carried::Boxed(Box::new(Boxed {
                touched: AtomicU64::new(self.created()),
                fresh_until: AtomicU64::new(fresh_until),
                early_end: AtomicU64::new(detail.early.map_or(NEVER, Early::end)),
                detail,
            })),
        };
        self
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &V {
        &self.value
    }

    /// The sequence the value belongs to.
    pub fn version(&self) -> Sequence {
        Sequence(self.version.load(Ordering::Relaxed))
    }

    /// By what its origin tells the value from others.
    pub fn etag(&self) -> Option<&str> {
        match &self.carried {
            Carried::Boxed(boxed) => boxed.detail.etag.as_deref(),
            _ => None,
        }
    }

    /// Bytes (or entries) this entry counts against the capacity; stored, never asked again.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// How much the entry wants to stay.
    pub fn priority(&self) -> Priority {
        match self.birth.load(Ordering::Relaxed) >> PRIORITY_SHIFT & 0b11 {
            0 => Priority::Low,
            1 => Priority::Normal,
            2 => Priority::High,
            _ => Priority::Pinned,
        }
    }

    /// Epoch cells of the entry's tags.
    pub fn tags(&self) -> &[Arc<EpochCell>] {
        match &self.carried {
            Carried::Nothing => &[],
            Carried::Tag(cell) => std::slice::from_ref(cell),
            Carried::Boxed(boxed) => &boxed.detail.tags,
        }
    }

    /// The entry's dates; the expiry is exact to its unit.
    pub fn dates(&self) -> Dates {
        let created = self.created();
        Dates { created, fresh_until: self.fresh_until(), expires: self.expires() }
    }

    /// When the value was made.
    pub fn created(&self) -> Millis {
        self.birth.load(Ordering::Relaxed) >> 8
    }

    /// The change counter at the last check. Equal to the tenant's means valid.
    #[inline]
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Remembers that the entry was valid at this change counter.
    pub fn set_checked(&self, changes: u64) {
        self.checked.store(changes, Ordering::Relaxed);
    }

    /// Whether the entry may be served at `now`: one load and one compare for most that may.
    #[inline]
    pub fn freshness(&self, now: Millis) -> Freshness {
        if self.is_plainly_fresh(now) { Freshness::Fresh } else { self.freshness_in_full(now) }
    }

    /// As [`freshness`](Self::freshness), and notes the read of a fresh entry that has idle expiry.
    #[inline]
    pub fn read(&self, now: Millis) -> Freshness {
        if self.is_plainly_fresh(now) { Freshness::Fresh } else { self.read_in_full(now) }
    }

    /// As [`read`](Self::read), and says whether a new value is due before the fresh life is over.
    /// `uniform` gives a number above 0 and at most 1, evenly; it is asked only where a draw
    /// decides. As cheap as [`read`](Self::read) until the first date at which one may be due.
    #[inline]
    pub fn read_or_due(&self, now: Millis, uniform: impl FnOnce() -> f64) -> Reading {
        if self.is_plainly_fresh(now) {
            Reading::Fresh
        } else {
            self.read_or_due_in_full(now, uniform)
        }
    }

    #[cold]
    fn read_or_due_in_full(&self, now: Millis, uniform: impl FnOnce() -> f64) -> Reading {
        match self.read_in_full(now) {
            Freshness::Fresh if self.is_due(now, uniform) => Reading::Due,
            Freshness::Fresh => Reading::Fresh,
            Freshness::Stale => Reading::Stale,
            Freshness::Expired => Reading::Expired,
        }
    }

    fn is_due(&self, now: Millis, uniform: impl FnOnce() -> f64) -> bool {
        let Carried::Boxed(boxed) = &self.carried else { return false };
        boxed.early().is_some_and(|early| early.is_due(now, uniform))
    }

    /// Whether a read has nothing more to ask: the entry is fresh, without idle expiry, too early
    /// for a refresh, and not [watched](Self::watch). One load and one compare.
    #[inline]
    pub fn is_plainly_fresh(&self, now: Millis) -> bool {
        let fresh = self.fresh.load(Ordering::Relaxed);
        now < fresh >> 1 && fresh & MORE_BIT == 0
    }

    #[cold]
    fn read_in_full(&self, now: Millis) -> Freshness {
        let freshness = self.freshness_in_full(now);
        if freshness == Freshness::Fresh {
            self.touch(now);
        }
        freshness
    }

    #[cold]
    fn freshness_in_full(&self, now: Millis) -> Freshness {
        let lives_until = |end: Millis| now < end || end == NEVER;
        if self.is_idle(now) || !lives_until(self.expires().max(self.fresh_until())) {
            return Freshness::Expired;
        }
        if lives_until(self.fresh_until()) { Freshness::Fresh } else { Freshness::Stale }
    }

    /// Makes every read look at the entry in full, so that it can tell somebody of its hits. Reads
    /// of other entries are as before.
    ///
    /// ```
    /// use cache_enterprise_core::{Dates, Entry, Freshness, Sequence};
    ///
    /// let entry = Entry::new("Ada", Sequence(1), 0, Dates::lasting(0, None));
    /// entry.watch();
    /// assert!(!entry.is_plainly_fresh(5) && entry.freshness(5) == Freshness::Fresh);
    /// entry.unwatch();
    /// assert!(entry.is_plainly_fresh(5));
    /// ```
    pub fn watch(&self) {
        self.fresh.fetch_or(MORE_BIT, Ordering::Relaxed);
    }

    /// Ends [`watch`](Self::watch). What has idle expiry is looked at in full as before.
    pub fn unwatch(&self) {
        if !self.has_idle_expiry() {
            self.fresh.fetch_and(!MORE_BIT, Ordering::Relaxed);
        }
    }

    /// Whether it expires when it was not read for long, so that a read may move its end.
    pub fn has_idle_expiry(&self) -> bool {
        matches!(&self.carried, Carried::Boxed(boxed) if boxed.detail.idle_ms.is_some())
    }

    /// Notes a read, for idle expiry. Does nothing for entries without it.
    pub fn touch(&self, now: Millis) {
        if let Carried::Boxed(boxed) = &self.carried {
            boxed.touched.fetch_max(now, Ordering::Relaxed);
        }
    }

    /// Ends the fresh part of the life at `now`; the entry stays usable as a fallback until it
    /// expires.
    pub fn end_freshness(&self, now: Millis) {
        self.birth.fetch_or(ENDED_BIT, Ordering::Relaxed);
        if let Carried::Boxed(boxed) = &self.carried {
            boxed.fresh_until.fetch_min(now, Ordering::Relaxed);
        }
        let idle = self.fresh.load(Ordering::Relaxed) & MORE_BIT;
        self.fresh.fetch_min(now.min(FRESH_FOR_EVER) << 1 | idle, Ordering::Relaxed);
    }

    /// Whether its fresh life was ended, as by an invalidation that is soft, and is not just over;
    /// no more once it is renewed.
    ///
    /// ```
    /// use cache_enterprise_core::{Dates, Entry, Sequence, secs};
    ///
    /// let entry = Entry::new("Ada", Sequence(1), 0, Dates::lasting(0, Some(secs(5))));
    /// assert!(!entry.is_ended());
    /// entry.end_freshness(1_000);
    /// assert!(entry.is_ended());
    /// ```
    pub fn is_ended(&self) -> bool {
        self.birth.load(Ordering::Relaxed) & ENDED_BIT != 0
    }

    /// When it is loaded anew before its fresh life is over.
    pub fn early(&self) -> Option<Early> {
        match &self.carried {
            Carried::Boxed(boxed) => boxed.early(),
            _ => None,
        }
    }

    /// Gives the value another life, because its origin confirmed it: new dates, the version of
    /// the load that confirmed it, and another date of its early refresh if it has one. Handles
    /// that were given before answer by the new dates from then on.
    ///
    /// One caller at a time: whoever may change what a store holds under the key. A reader beside
    /// it sees old dates, new ones, or some of each; the value is right by all of them.
    ///
    /// ```
    /// use cache_enterprise_core::{Dates, Entry, Freshness, Sequence, secs};
    ///
    /// let entry = Entry::new("Ada", Sequence(1), 0, Dates::lasting(0, Some(secs(5))));
    /// assert_eq!(entry.freshness(6_000), Freshness::Expired);
    /// entry.renew(Sequence(2), Dates::lasting(6_000, Some(secs(5))), None);
    /// assert_eq!((entry.freshness(10_999), entry.version()), (Freshness::Fresh, Sequence(2)));
    /// ```
    pub fn renew(&self, version: Sequence, dates: Dates, early: Option<Early>) {
        let (birth, keep_for) = kept(dates);
        let priority = self.birth.load(Ordering::Relaxed) & 0b11 << PRIORITY_SHIFT;
        self.birth.store(birth | priority, Ordering::Relaxed);
        self.keep_for.store(keep_for, Ordering::Relaxed);
        self.version.fetch_max(version.0, Ordering::Relaxed);
        let mut look = dates.fresh_until;
        if let Carried::Boxed(boxed) = &self.carried {
            boxed.fresh_until.store(dates.fresh_until, Ordering::Relaxed);
            if let (Some(_), Some(early)) = (boxed.detail.early, early) {
                boxed.early_end.store(early.end(), Ordering::Relaxed);
            }
            look = boxed.early().map_or(look, |early| early.first().min(look));
            boxed.touched.fetch_max(dates.created, Ordering::Relaxed);
        }
        let idle = self.fresh.load(Ordering::Relaxed) & MORE_BIT;
        self.fresh.store(look.min(FRESH_FOR_EVER) << 1 | idle, Ordering::Release);
    }

    #[inline]
    fn fresh_until(&self) -> Millis {
        let head = self.fresh.load(Ordering::Relaxed) >> 1;
        let date = match &self.carried {
            Carried::Boxed(boxed) => boxed.fresh_until.load(Ordering::Relaxed),
            _ => head,
        };
        match date.min(FRESH_FOR_EVER) {
            FRESH_FOR_EVER => NEVER,
            date => date,
        }
    }

    fn expires(&self) -> Millis {
        let keep_for = self.keep_for.load(Ordering::Relaxed);
        if keep_for == ENDLESS {
            return NEVER;
        }
        let birth = self.birth.load(Ordering::Relaxed);
        (birth >> 8).saturating_add(u64::from(keep_for) << (birth & UNIT_BITS))
    }

    fn is_idle(&self, now: Millis) -> bool {
        let Carried::Boxed(boxed) = &self.carried else { return false };
        let last_read = boxed.touched.load(Ordering::Relaxed);
        boxed.detail.idle_ms.is_some_and(|idle| now >= last_read.saturating_add(idle))
    }
}

/// Creation and unit as they stand in `birth`, and the offset of the date of expiry. What was made
/// by a clock ahead of ours ends by our date of expiry all the same, and counts as made then.
fn kept(dates: Dates) -> (u64, u32) {
    let created = dates.created.min(dates.expires);
    let is_endless = dates.expires == NEVER;
    let unit = unit_for(if is_endless { 0 } else { dates.expires - created });
    (created << 8 | unit, offset(created, dates.expires, unit))
}

/// The smallest unit in which a life of `longest` milliseconds fits an offset.
fn unit_for(longest: Millis) -> u64 {
    (0..=UNIT_BITS).find(|unit| longest >> unit < u64::from(ENDLESS)).unwrap_or(UNIT_BITS)
}

fn offset(created: Millis, date: Millis, unit: u64) -> u32 {
    if date == NEVER {
        return ENDLESS;
    }
    u32::try_from(date.saturating_sub(created) >> unit).unwrap_or(ENDLESS - 1).min(ENDLESS - 1)
}

impl<V> fmt::Debug for Entry<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("version", &self.version())
            .field("dates", &self.dates())
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
