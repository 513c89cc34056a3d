//! How a store is made.

use std::fmt;
use std::thread::available_parallelism;

use cache_enterprise_core::{Capacity, Clock};

use crate::listener::Listener;

/// Default share of the expected entries whose keys the policy remembers after they left.
pub(crate) const GHOSTS: f64 = 0.3;

/// Share of the weight for entries that have proved themselves; the rest is for newcomers. Best
/// of those measured on ten public traces (see `docs/decisions.md`).
pub(crate) const HOT: f64 = 0.8;

/// Bytes an entry is expected to weigh where only a byte capacity is known.
const EXPECTED_ENTRY_BYTES: u64 = 512;

/// quick_cache halves its shard count until each expects this many entries.
const SHARD_ITEMS_MIN: usize = 32;

/// A [`PolicyStore`](crate::PolicyStore) has fewer shards than it might rather than shards of
/// fewer entries than this: a policy that learns from a shard's requests needs enough of them.
const POLICY_ITEMS_MIN: usize = 1_024;

/// What a [`MemoryStore`](crate::MemoryStore) or a [`PolicyStore`](crate::PolicyStore) is made
/// from.
///
/// ```
/// use cache_enterprise_core::{Capacity, MIB};
/// use cache_enterprise_memory::StoreConfig;
///
/// let mut config = StoreConfig::<String, Vec<u8>>::new(Capacity::bytes(64 * MIB));
/// config.estimated_items = Some(10_000);
/// ```
pub struct StoreConfig<K, V> {
    /// What the store may hold.
    pub capacity: Capacity,
    /// Shards, rounded up to a power of two and lowered to 32 expected entries each. Default:
    /// four for each processor.
    pub shards: Option<usize>,
    /// Entries expected; an order of magnitude off does no harm. Default: the capacity in
    /// entries, or one for each 512 bytes of capacity.
    pub estimated_items: Option<usize>,
    /// Left keys the policy remembers, as a share (0 to 1) of the entries expected. Each costs a
    /// slot. Default: 0.3 (see `docs/decisions.md`).
    pub ghosts: f64,
    /// Dates what the listener is told. Default: a system clock of its own.
    pub clock: Clock,
    /// Who hears of departures. Default: nobody.
    pub listener: Option<Listener<K, V>>,
}

impl<K, V> StoreConfig<K, V> {
    /// A configuration with all defaults.
    pub fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            shards: None,
            estimated_items: None,
            ghosts: GHOSTS,
            clock: Clock::system(),
            listener: None,
        }
    }

    /// Entries expected.
    pub(crate) fn items(&self) -> usize {
        let items = self.estimated_items.unwrap_or_else(|| {
            let items = match self.capacity {
                Capacity::Entries(entries) => entries,
                Capacity::Bytes(bytes) => bytes / EXPECTED_ENTRY_BYTES,
            };
            usize::try_from(items).unwrap_or(usize::MAX)
        });
        items.max(1)
    }

    /// The shard count quick_cache will arrive at, and no more than there is weight to divide.
    pub(crate) fn shard_count(&self) -> usize {
        self.shards_of(SHARD_ITEMS_MIN)
    }

    /// The shard count of a store whose policies want a fair part of the keys each.
    pub(crate) fn policy_shard_count(&self) -> usize {
        let items_min = if self.shards.is_some() { SHARD_ITEMS_MIN } else { POLICY_ITEMS_MIN };
        self.shards_of(items_min)
    }

    fn shards_of(&self, items_min: usize) -> usize {
        let default = || available_parallelism().map_or(4, |processors| processors.get() * 4);
        let mut shards = self.shards.unwrap_or_else(default).clamp(1, 1 << 16).next_power_of_two();
        while shards > 1
            && (self.items().div_ceil(shards) < items_min || self.capacity.limit() < shards as u64)
        {
            shards /= 2;
        }
        shards
    }
}

impl<K, V> fmt::Debug for StoreConfig<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("capacity", &self.capacity)
            .field("shards", &self.shards)
            .field("estimated_items", &self.estimated_items)
            .field("ghosts", &self.ghosts)
            .field("listener", &self.listener.is_some())
            .finish_non_exhaustive()
    }
}
