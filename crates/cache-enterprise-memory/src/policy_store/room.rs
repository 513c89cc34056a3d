//! The one total of all shards, and what is taken of it.
//!
//! Room is taken before an entry goes in and given back after it left, so the sum of weights is
//! exact at rest and never passes the total in between. The numbers guard no memory: whoever needs
//! an entry takes its shard's lock.

use cache_enterprise_core::sync::atomic::{AtomicU64, Ordering};
use cache_enterprise_core::{Capacity, Entry};

/// Far above any memory, and far enough below overflow for every sum here.
const TOTAL_MAX: u64 = 1 << 60;

#[derive(Debug)]
pub(super) struct Room {
    counts_entries: bool,
    total: AtomicU64,
    used: AtomicU64,
    /// The part of `used` that no policy may evict.
    pinned: AtomicU64,
}

impl Room {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            counts_entries: matches!(capacity, Capacity::Entries(_)),
            total: AtomicU64::new(capacity.limit().min(TOTAL_MAX)),
            used: AtomicU64::new(0),
            pinned: AtomicU64::new(0),
        }
    }

    /// The weight of an entry in the unit of the capacity; at least 1.
    pub(super) fn weight<V>(&self, entry: &Entry<V>) -> u64 {
        if self.counts_entries { 1 } else { u64::from(entry.weight()).max(1) }
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(super) fn set_total(&self, total: u64) {
        self.total.store(total.min(TOTAL_MAX), Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn pinned(&self) -> u64 {
        self.pinned.load(Ordering::Relaxed)
    }

    /// Whether no amount of evictions makes room for this weight.
    pub(super) fn is_too_heavy(&self, weight: u64) -> bool {
        let unit = if self.counts_entries { Capacity::entries } else { Capacity::bytes };
        !unit(self.total()).admits(weight)
    }

    /// What each of so many shards has on average for entries that may be evicted.
    pub(super) fn share(&self, shards: usize) -> u64 {
        self.total().saturating_sub(self.pinned()) / shards as u64
    }

    /// Takes room if there is that much.
    pub(super) fn take(&self, weight: u64) -> bool {
        let total = self.total();
        weight == 0 || add_within(&self.used, weight, total)
    }

    pub(super) fn give_back(&self, weight: u64) {
        self.used.fetch_sub(weight, Ordering::Relaxed);
    }

    /// Counts a pinned entry, if that leaves a quarter of the total to others.
    pub(super) fn pin(&self, weight: u64) -> bool {
        let total = self.total();
        add_within(&self.pinned, weight, total - (total / 4).max(1).min(total))
    }

    pub(super) fn unpin(&self, weight: u64) {
        self.pinned.fetch_sub(weight, Ordering::Relaxed);
    }

    /// What is left of the total.
    pub(super) fn free(&self) -> u64 {
        self.total().saturating_sub(self.used())
    }

    /// What has to leave after the total became smaller.
    pub(super) fn excess(&self) -> u64 {
        self.used().saturating_sub(self.total())
    }
}

fn add_within(number: &AtomicU64, added: u64, limit: u64) -> bool {
    let add = |before: u64| before.checked_add(added).filter(|after| *after <= limit);
    number.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn room_is_never_taken_twice_and_pins_leave_a_quarter() {
        let room = Room::new(Capacity::bytes(100));
        assert!(room.take(60) && !room.take(41) && room.take(40));
        room.give_back(60);
        assert_eq!(room.used(), 40);
        assert!(room.pin(75) && !room.pin(1));
        room.unpin(75);
        room.set_total(30);
        assert_eq!(room.excess(), 10);
        assert!(room.take(0) && !room.take(1));
    }

    #[test]
    fn one_entry_is_never_all_pinned() {
        let room = Room::new(Capacity::entries(1));
        assert!(!room.pin(1));
        assert!(!Room::new(Capacity::entries(0)).pin(1));
    }
}
