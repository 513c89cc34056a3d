//! Where a shard keeps an entry: what a look-up compares and what a hit marks, side by side.

use std::sync::Arc;

use cache_enterprise_core::sync::atomic::{AtomicU16, Ordering};
use cache_enterprise_core::{Entry, HitMarks, Priority, Scoped, Slot};

/// The place behind a slot number; empty between two entries.
#[derive(Debug)]
pub(super) struct Cell<K, V> {
    pub(super) resident: Option<Resident<K, V>>,
    /// Hits since the policy looked last, or the stamp of the shard's list of hits.
    pub(super) mark: AtomicU16,
    pub(super) standing: Standing,
}

/// An entry in its cell.
#[derive(Debug)]
pub(super) struct Resident<K, V> {
    pub(super) key: Scoped<K>,
    pub(super) entry: Arc<Entry<V>>,
    /// The key's hash, which also finds the entry again when its date comes.
    pub(super) hash: u64,
}

/// What the policy knows of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// All of it.
    Full,
    /// Not its hits: they would let an entry of low priority stay.
    Silent,
    /// Nothing: the entry is pinned, and no candidate.
    Untold,
}

impl Standing {
    pub(super) fn of(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Silent,
            Priority::Normal | Priority::High => Self::Full,
            Priority::Pinned => Self::Untold,
        }
    }
}

impl<K, V> Cell<K, V> {
    pub(super) fn empty() -> Self {
        Self { resident: None, mark: AtomicU16::new(0), standing: Standing::Untold }
    }

    /// Whether the policy may name this cell.
    pub(super) fn is_candidate(&self) -> bool {
        self.resident.is_some() && self.standing != Standing::Untold
    }

    /// Counts a hit up to `max`. Two at once may count as one.
    #[inline]
    pub(super) fn count_hit(&self, max: u8) {
        let mark = self.mark.load(Ordering::Relaxed);
        if mark < u16::from(max) {
            self.mark.store(mark + 1, Ordering::Relaxed);
        }
    }
}

/// The marks of all cells, as a policy sees them. Only made under the shard's write lock, so no
/// hit counts in between.
pub(super) struct Marks<'a, K, V>(pub(super) &'a [Cell<K, V>]);

impl<K, V> HitMarks for Marks<'_, K, V> {
    fn take(&self, slot: Slot) -> u8 {
        let Some(cell) = self.0.get(slot.index()) else { return 0 };
        let mark = cell.mark.load(Ordering::Relaxed);
        if mark > 0 {
            cell.mark.store(0, Ordering::Relaxed);
        }
        // Nothing but counts up to a maximum of this type is stored for a policy that takes marks.
        mark as u8
    }

    fn set(&self, slot: Slot, count: u8) {
        if let Some(cell) = self.0.get(slot.index()) {
            cell.mark.store(count.into(), Ordering::Relaxed);
        }
    }
}
