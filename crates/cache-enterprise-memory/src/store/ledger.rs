//! The part of an entry's weight that the shards are not told.
//!
//! quick_cache refuses an item heavier than its shard, so with many shards a value of a quarter of
//! the capacity would never be admitted. The shards are therefore told at most an eighth of a
//! shard, and nothing at all for a pinned entry (a weightless entry is never a candidate). What
//! was not told, the *excess*, is kept here, and the shards together may hold only the total less
//! a *reserve* that is never below the excess. So the true weight is never above the total.
//!
//! The reserve grows in steps before an entry goes in and shrinks only in `turn`: each change of
//! the shards' capacity costs quick_cache a rounding of its ghost memory, so changes are few.
//!
//! Lock order: the store's gate, a shard, the books. Hooks run under a shard and take the books;
//! nobody takes a shard while holding the books.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Capacity, Entry, Priority};
use quick_cache::Weighter;

/// Weights up to this are always told in full and never looked up.
const PLAIN_WEIGHT_MAX: u64 = 4 * 1024;

/// A shard is told at most its capacity divided by this.
const CLAMP_DIVISOR: u64 = 8;

/// The reserve moves in steps of the total divided by this.
const RESERVE_STEPS: u64 = 64;

/// Far above any memory, and far enough below overflow for every sum here.
const TOTAL_MAX: u64 = 1 << 60;

#[derive(Debug)]
pub(crate) struct Ledger {
    counts_entries: bool,
    shards: u64,
    /// Weights up to this are told in full, whatever the capacity becomes.
    plain_weight_max: u64,
    books: Mutex<Books>,
    /// Copies of the books for readers that need no exact moment.
    excess: AtomicU64,
    total: AtomicU64,
}

#[derive(Debug, Default)]
struct Books {
    total: u64,
    reserve: u64,
    excess: u64,
    /// The part of the excess that is pinned.
    pinned: u64,
    /// Numbers heavy entries in the order they came.
    arrivals: u64,
    heavy: HashMap<usize, Heavy>,
}

/// A heavy entry in the store, known by the address of its allocation.
#[derive(Clone, Copy, Debug)]
struct Heavy {
    hash: u64,
    weight: u64,
    told: u64,
    arrival: u64,
    /// The same allocation may stand under several keys.
    count: u32,
}

/// What must happen before an entry with excess may go in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It may go in.
    Ready,
    /// The shards must first be limited to this.
    Limit(u64),
    /// The heavy entry with this hash must leave first.
    Evict(u64),
    /// It can never fit beside the pinned entries.
    None,
}

impl Ledger {
    pub(crate) fn new(capacity: Capacity, shards: u64) -> Self {
        let total = capacity.limit().min(TOTAL_MAX);
        let clamp = clamp(total, shards);
        Self {
            counts_entries: matches!(capacity, Capacity::Entries(_)),
            shards,
            plain_weight_max: clamp.min(PLAIN_WEIGHT_MAX),
            books: Mutex::new(Books { total, ..Books::default() }),
            excess: AtomicU64::new(0),
            total: AtomicU64::new(total),
        }
    }

    /// The true weight of an entry in the unit of the capacity; at least 1.
    pub(crate) fn weight<V>(&self, entry: &Entry<V>) -> u64 {
        if self.counts_entries { 1 } else { u64::from(entry.weight()).max(1) }
    }

    /// Whether an entry is too heavy for the store at its present size.
    pub(crate) fn is_too_heavy(&self, weight: u64) -> bool {
        let unit = if self.counts_entries { Capacity::entries } else { Capacity::bytes };
        !unit(self.total()).admits(weight)
    }

    /// Whether the entry must pass through the books.
    pub(crate) fn is_special<V>(&self, entry: &Entry<V>) -> bool {
        entry.priority() == Priority::Pinned || self.weight(entry) > self.plain_weight_max
    }

    /// The weight the shards are told: the same from the moment an entry goes in until it left.
    fn told<V>(&self, entry: &Arc<Entry<V>>) -> u64 {
        if entry.priority() == Priority::Pinned {
            return 0;
        }
        let weight = self.weight(entry);
        if weight <= self.plain_weight_max {
            return weight;
        }
        self.books.lock().heavy.get(&address(entry)).map_or(weight, |heavy| heavy.told)
    }

    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Weight the shards do not know of.
    pub(crate) fn excess(&self) -> u64 {
        self.excess.load(Ordering::Relaxed)
    }

    /// Weight that no change of the total makes leave.
    pub(crate) fn pinned(&self) -> u64 {
        self.books.lock().pinned
    }

    /// What the shards together may hold now.
    pub(crate) fn shard_limit(&self) -> u64 {
        self.books.lock().shard_limit(self.shards)
    }

    /// Asks for room for a special entry's excess. The caller holds the store's gate and asks
    /// again after it did what the answer says.
    pub(crate) fn room_for<V>(&self, entry: &Entry<V>) -> Room {
        let mut books = self.books.lock();
        let weight = self.weight(entry);
        let told = match entry.priority() {
            Priority::Pinned => 0,
            _ => weight.min(self.clamp(&books)),
        };
        let needed = books.excess + (weight - told);
        if needed > self.reserve_max(&books) {
            return books.oldest_heavy().map_or(Room::None, Room::Evict);
        }
        if needed <= books.reserve {
            return Room::Ready;
        }
        let step = (books.total / RESERVE_STEPS).max(1);
        books.reserve = needed.next_multiple_of(step).min(self.reserve_max(&books));
        Room::Limit(books.shard_limit(self.shards))
    }

    /// Writes a special entry into the books if all of its weight is told: then no room has to be
    /// made first. Says whether it did.
    pub(crate) fn enter_whole<V>(&self, entry: &Arc<Entry<V>>, hash: u64) -> bool {
        let is_whole = entry.priority() != Priority::Pinned
            && self.weight(entry) <= clamp(self.total(), self.shards);
        if is_whole {
            self.enter(entry, hash);
        }
        is_whole
    }

    /// Writes a special entry into the books, before it goes in.
    pub(crate) fn enter<V>(&self, entry: &Arc<Entry<V>>, hash: u64) {
        let mut books = self.books.lock();
        let weight = self.weight(entry);
        let told = if entry.priority() == Priority::Pinned {
            books.pinned += weight;
            0
        } else {
            let told = weight.min(self.clamp(&books));
            books.arrivals += 1;
            let arrival = books.arrivals;
            let heavy = Heavy { hash, weight, told, arrival, count: 0 };
            let heavy = books.heavy.entry(address(entry)).or_insert(heavy);
            heavy.count += 1;
            heavy.told
        };
        books.excess += weight - told;
        self.excess.store(books.excess, Ordering::Relaxed);
    }

    /// Takes a special entry that left out of the books.
    pub(crate) fn leave<V>(&self, entry: &Arc<Entry<V>>) {
        let mut books = self.books.lock();
        let weight = self.weight(entry);
        let mut told = 0;
        if entry.priority() == Priority::Pinned {
            books.pinned -= weight;
        } else {
            let Some(heavy) = books.heavy.get_mut(&address(entry)) else { return };
            told = heavy.told;
            heavy.count -= 1;
            if heavy.count == 0 {
                books.heavy.remove(&address(entry));
            }
        }
        books.excess -= weight - told;
        self.excess.store(books.excess, Ordering::Relaxed);
    }

    /// Changes the total. The caller holds the gate, then makes the heavy entries whose hashes
    /// come back leave, and limits the shards.
    pub(crate) fn set_total(&self, total: u64) -> Vec<u64> {
        let mut books = self.books.lock();
        let total = total.min(TOTAL_MAX);
        books.total = total;
        self.total.store(total, Ordering::Relaxed);
        let reserve_max = self.reserve_max(&books);
        let mut heavy: Vec<Heavy> = books.heavy.values().copied().collect();
        heavy.sort_unstable_by_key(|heavy| heavy.arrival);
        let mut excess = books.excess;
        let mut leaving = Vec::new();
        for heavy in heavy {
            if excess > reserve_max || heavy.weight > total / 4 {
                excess = excess.saturating_sub(heavy.weight - heavy.told);
                leaving.push(heavy.hash);
            }
        }
        // Pinned entries stay even where they no longer fit.
        books.reserve = books.reserve.min(reserve_max).max(excess);
        leaving
    }

    /// Gives reserve back that is far above the excess. Returns the shards' new limit, if any.
    pub(crate) fn relax(&self) -> Option<u64> {
        let mut books = self.books.lock();
        let step = (books.total / RESERVE_STEPS).max(1);
        if books.reserve < step.saturating_mul(2) || books.excess > books.reserve / 2 {
            return None;
        }
        books.reserve = books.excess.next_multiple_of(step);
        Some(books.shard_limit(self.shards))
    }

    fn clamp(&self, books: &Books) -> u64 {
        clamp(books.total, self.shards).max(self.plain_weight_max)
    }

    /// Each shard keeps room for two clamped entries, so that a clamped entry always goes in.
    fn reserve_max(&self, books: &Books) -> u64 {
        let kept = if self.counts_entries {
            (books.total / 4).max(self.shards)
        } else {
            self.clamp(books).saturating_mul(2).saturating_mul(self.shards)
        };
        books.total.saturating_sub(kept)
    }
}

impl Books {
    fn oldest_heavy(&self) -> Option<u64> {
        let oldest = self.heavy.values().filter(|heavy| heavy.told < heavy.weight);
        oldest.min_by_key(|heavy| heavy.arrival).map(|heavy| heavy.hash)
    }

    /// A multiple of the shard count, since quick_cache rounds up to one. Never zero: a shard of
    /// no capacity forgets its proportions.
    fn shard_limit(&self, shards: u64) -> u64 {
        let limit = self.total.saturating_sub(self.reserve);
        (limit - limit % shards).max(shards)
    }
}

fn clamp(total: u64, shards: u64) -> u64 {
    (total / shards / CLAMP_DIVISOR).max(1)
}

fn address<V>(entry: &Arc<Entry<V>>) -> usize {
    Arc::as_ptr(entry).addr()
}

/// What the shards are told.
#[derive(Clone, Debug)]
pub(crate) struct EntryWeighter(pub(crate) Arc<Ledger>);

impl<K, V> Weighter<K, Arc<Entry<V>>> for EntryWeighter {
    #[inline]
    fn weight(&self, _: &K, entry: &Arc<Entry<V>>) -> u64 {
        self.0.told(entry)
    }
}
