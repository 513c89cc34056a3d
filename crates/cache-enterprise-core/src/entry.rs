//! A value with its dates, and the handle a hit gives.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Millis, NEVER};
use crate::coherence::{EpochCell, Sequence, TagCells};
use crate::sync::atomic::{AtomicU64, Ordering};

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
    /// When the value was made: start of life for age.
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
}

impl Detail {
    /// Bytes that an entry with this detail takes beside its own; the cells of tags are shared.
    ///
    /// ```
    /// assert_eq!(cache_enterprise_core::Detail::default().heap_bytes(), 0);
    /// ```
    pub fn heap_bytes(&self) -> usize {
        match (&self.tags, self.idle_ms) {
            (TagCells::None | TagCells::One(_), None) => 0,
            _ => size_of::<Boxed>() + self.tags.heap_bytes(),
        }
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
}

/// A value in level 1 with all a hit must check, in one allocation.
///
/// The head is 56 bytes and stands before the value, what a hit checks in front: with the two
/// counts of its `Arc` that is 32 bytes, so in most places one cache line. The date of expiry is an
/// offset from the creation in units of 2^n milliseconds; a unit is one millisecond up to a life of
/// 49 days.
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
    /// First millisecond at which it is no longer fresh, shifted left by 1; the low bit says that
    /// the entry has idle expiry.
    fresh: AtomicU64,
    version: Sequence,
    /// Creation in milliseconds, shifted left by 8; the low byte holds unit and priority.
    birth: u64,
    keep_for: u32,
    weight: u32,
    carried: Carried,
    value: V,
}

/// Offset that stands for no end.
const ENDLESS: u32 = u32::MAX;
/// Fresh for ever, as kept in `fresh` above its low bit.
const FRESH_FOR_EVER: u64 = NEVER >> 1;
const IDLE_BIT: u64 = 1;
const UNIT_BITS: u64 = 0x1f;
const PRIORITY_SHIFT: u32 = 5;

impl<V> Entry<V> {
    /// An entry that was last checked at `checked` (see
    /// [`TenantEpochs::changes`](crate::coherence::TenantEpochs::changes)).
    pub fn new(value: V, version: Sequence, checked: u64, dates: Dates) -> Self {
        let is_endless = dates.expires == NEVER;
        let unit =
            unit_for(if is_endless { 0 } else { dates.expires.saturating_sub(dates.created) });
        Self {
            checked: AtomicU64::new(checked),
            fresh: AtomicU64::new(dates.fresh_until.min(FRESH_FOR_EVER) << 1),
            version,
            birth: dates.created << 8 | u64::from(Priority::Normal as u8) << PRIORITY_SHIFT | unit,
            keep_for: offset(dates.created, dates.expires, unit),
            weight: 0,
            carried: Carried::Nothing,
            value,
        }
    }

    /// Sets the weight; see [`weight`](Self::weight).
    #[must_use]
    pub fn with_weight(mut self, weight: usize) -> Self {
        self.weight = u32::try_from(weight).unwrap_or(u32::MAX);
        self
    }

    /// Sets the priority. Default: [`Priority::Normal`].
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.birth &= !(0b11 << PRIORITY_SHIFT);
        self.birth |= u64::from(priority as u8) << PRIORITY_SHIFT;
        self
    }

    /// Sets tags and idle expiry; an empty detail costs nothing.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        let idle = u64::from(detail.idle_ms.is_some()) * IDLE_BIT;
        let fresh = self.fresh.get_mut();
        *fresh = *fresh & !IDLE_BIT | idle;
        self.carried = match detail {
            Detail { tags: TagCells::None, idle_ms: None } => Carried::Nothing,
            Detail { tags: TagCells::One(cell), idle_ms: None } => Carried::Tag(cell),
            detail => {
                let touched = AtomicU64::new(self.created());
                Carried::Boxed(Box::new(Boxed { detail, touched }))
            }
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
        self.version
    }

    /// Bytes (or entries) this entry counts against the capacity; stored, never asked again.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// How much the entry wants to stay.
    pub fn priority(&self) -> Priority {
        match self.birth >> PRIORITY_SHIFT & 0b11 {
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
        self.birth >> 8
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

    /// Fresh, and without idle expiry.
    #[inline]
    fn is_plainly_fresh(&self, now: Millis) -> bool {
        let fresh = self.fresh.load(Ordering::Relaxed);
        now < fresh >> 1 && fresh & IDLE_BIT == 0
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

    /// Notes a read, for idle expiry. Does nothing for entries without it.
    pub fn touch(&self, now: Millis) {
        if let Carried::Boxed(boxed) = &self.carried {
            boxed.touched.fetch_max(now, Ordering::Relaxed);
        }
    }

    /// Ends the fresh part of the life at `now`; the entry stays usable as a fallback until it
    /// expires.
    pub fn end_freshness(&self, now: Millis) {
        let idle = self.fresh.load(Ordering::Relaxed) & IDLE_BIT;
        self.fresh.fetch_min(now.min(FRESH_FOR_EVER) << 1 | idle, Ordering::Relaxed);
    }

    #[inline]
    fn fresh_until(&self) -> Millis {
        match self.fresh.load(Ordering::Relaxed) >> 1 {
            FRESH_FOR_EVER => NEVER,
            date => date,
        }
    }

    fn expires(&self) -> Millis {
        if self.keep_for == ENDLESS {
            return NEVER;
        }
        self.created().saturating_add(u64::from(self.keep_for) << (self.birth & UNIT_BITS))
    }

    fn is_idle(&self, now: Millis) -> bool {
        let Carried::Boxed(boxed) = &self.carried else { return false };
        let last_read = boxed.touched.load(Ordering::Relaxed);
        boxed.detail.idle_ms.is_some_and(|idle| now >= last_read.saturating_add(idle))
    }
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
            .field("version", &self.version)
            .field("dates", &self.dates())
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

/// The handle a hit gives: shared, read-only, one reference count to clone. It derefs to the
/// value and stays readable when the entry leaves the cache.
///
/// ```
/// use cache_enterprise_core::{Cached, Dates, Entry, Sequence};
/// use std::sync::Arc;
///
/// let entry = Arc::new(Entry::new(String::from("Ada"), Sequence(1), 0, Dates::lasting(0, None)));
/// let name: Cached<String> = Cached::new(entry, 2_000);
/// assert_eq!(name.len(), 3);
/// assert_eq!(name.age().as_secs(), 2);
/// assert!(!name.is_stale());
/// ```
pub struct Cached<V> {
    entry: Arc<Entry<V>>,
    /// When the handle was given: age and staleness are told as of then.
    seen: Millis,
}

impl<V> Cached<V> {
    /// A handle on `entry`, given at `seen`.
    #[inline]
    pub fn new(entry: Arc<Entry<V>>, seen: Millis) -> Self {
        Self { entry, seen }
    }

    /// How old the value was when this handle was given.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.seen.saturating_sub(self.entry.created()))
    }

    /// Whether the value was past its fresh life when this handle was given.
    pub fn is_stale(&self) -> bool {
        self.entry.freshness(self.seen) != Freshness::Fresh
    }

    /// The sequence the value belongs to; a later value of the same key has a higher one.
    pub fn version(&self) -> Sequence {
        self.entry.version()
    }

    /// Whether two handles share one entry.
    pub fn ptr_eq(left: &Self, right: &Self) -> bool {
        Arc::ptr_eq(&left.entry, &right.entry)
    }

    /// The entry behind the handle, for stores and policies.
    pub fn entry(this: &Self) -> &Arc<Entry<V>> {
        &this.entry
    }
}

impl<V> Deref for Cached<V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        self.entry.value()
    }
}

impl<V> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self { entry: Arc::clone(&self.entry), seen: self.seen }
    }
}

impl<V> AsRef<V> for Cached<V> {
    fn as_ref(&self) -> &V {
        self
    }
}

impl<V: fmt::Debug> fmt::Debug for Cached<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.value().fmt(f)
    }
}

impl<V: fmt::Display> fmt::Display for Cached<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.value().fmt(f)
    }
}

impl<V: PartialEq> PartialEq for Cached<V> {
    fn eq(&self, other: &Self) -> bool {
        self.entry.value() == other.entry.value()
    }
}

impl<V: PartialEq> PartialEq<V> for Cached<V> {
    fn eq(&self, other: &V) -> bool {
        self.entry.value() == other
    }
}

impl<V: Eq> Eq for Cached<V> {}

#[cfg(feature = "serde")]
impl<V: serde::Serialize> serde::Serialize for Cached<V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entry.value().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(dates: Dates) -> Entry<u8> {
        Entry::new(7, Sequence(1), 0, dates)
    }

    const DAY: Millis = 86_400_000;

    #[test]
    fn the_head_is_fifty_six_bytes() {
        assert_eq!(size_of::<Entry<[u8; 128]>>(), 56 + 128);
    }

    #[test]
    fn an_entry_goes_from_fresh_to_stale_to_expired_at_the_exact_millisecond() {
        let entry = entry(Dates { created: 100, fresh_until: 200, expires: 300 });
        assert_eq!(entry.freshness(199), Freshness::Fresh);
        assert_eq!(entry.freshness(200), Freshness::Stale);
        assert_eq!(entry.freshness(299), Freshness::Stale);
        assert_eq!(entry.freshness(300), Freshness::Expired);
        assert_eq!(entry.freshness(50), Freshness::Fresh, "a reading before creation");
    }

    #[test]
    fn lives_at_the_borders_of_arithmetic_hold() {
        let table = [
            (Some(Duration::ZERO), 0, Freshness::Expired),
            (Some(Duration::from_nanos(1)), 0, Freshness::Fresh),
            (Some(Duration::from_nanos(1)), 1, Freshness::Expired),
            (Some(Duration::MAX), 1 << 40, Freshness::Fresh),
            (Some(Duration::from_secs(30 * 86_400)), 30 * DAY - 1, Freshness::Fresh),
            (Some(Duration::from_secs(30 * 86_400)), 30 * DAY, Freshness::Expired),
            (Some(Duration::from_secs(365 * 86_400)), 364 * DAY, Freshness::Fresh),
            (Some(Duration::from_secs(365 * 86_400)), 365 * DAY, Freshness::Expired),
            (None, NEVER - 1, Freshness::Fresh),
        ];
        for (ttl, now, expected) in table {
            let entry = entry(Dates::lasting(0, ttl));
            assert_eq!(entry.freshness(now), expected, "ttl {ttl:?} at {now}");
        }
    }

    #[test]
    fn a_soft_end_leaves_the_fallback() {
        let entry = entry(Dates::lasting(0, Some(Duration::from_secs(10))));
        entry.end_freshness(4_000);
        assert_eq!(entry.freshness(4_000), Freshness::Stale);
        assert_eq!(entry.freshness(10_000), Freshness::Expired);
    }

    #[test]
    fn an_idle_entry_expires_unless_it_is_read() {
        let detail = || Detail { idle_ms: Some(1_000), ..Detail::default() };
        let read = entry(Dates::lasting(0, None)).with_detail(detail());
        let unread = entry(Dates::lasting(0, None)).with_detail(detail());
        read.touch(900);
        assert_eq!(read.freshness(1_500), Freshness::Fresh);
        assert_eq!(unread.freshness(1_500), Freshness::Expired);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_handle_is_serialized_as_its_value() {
        let handle = Cached::new(Arc::new(entry(Dates::lasting(0, None))), 5);
        assert_eq!(serde_json::to_value(handle).ok(), Some(7.into()));
    }

    #[test]
    fn priority_and_unit_share_a_byte_without_harm() {
        let dates = Dates::lasting(123, Some(Duration::from_secs(400 * 86_400)));
        for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Pinned] {
            let entry = entry(dates).with_priority(priority);
            assert_eq!(entry.priority(), priority);
            assert_eq!(entry.created(), 123);
        }
    }
}
