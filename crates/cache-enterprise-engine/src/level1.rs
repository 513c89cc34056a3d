//! Making the stores of level 1 and sharing the manager's capacity among them.

use std::sync::Arc;

use cache_enterprise_core::{CacheKey, Capacity, Clock, LocalStore, Millis, Result};
use cache_enterprise_memory::{Leaving, Listener, MemoryStore, StoreConfig};

use crate::cache::CacheCore;
use crate::shared::TenantState;
use crate::tenant::Quota;

/// What level 1 of a manager may hold, all caches together.
///
/// ```
/// use cache_enterprise_core::{Capacity, MIB};
/// use cache_enterprise_engine::Memory;
///
/// assert_eq!(Capacity::from(Memory::bytes(64 * MIB)), Capacity::bytes(64 * MIB));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    capacity: Capacity,
}

impl Memory {
    /// At most this many bytes of keys, values and overhead, divided over the caches by use.
    pub const fn bytes(bytes: u64) -> Self {
        Self { capacity: Capacity::bytes(bytes) }
    }

    /// At most this many entries in each cache.
    pub const fn entries(entries: u64) -> Self {
        Self { capacity: Capacity::entries(entries) }
    }
}

impl From<Memory> for Capacity {
    fn from(memory: Memory) -> Self {
        memory.capacity
    }
}

/// Level 1 of one manager.
#[derive(Debug)]
pub(crate) struct Level1 {
    capacity: Capacity,
    clock: Clock,
}

impl Level1 {
    pub(crate) fn new(capacity: Capacity, clock: Clock) -> Self {
        Self { capacity, clock }
    }

    /// Whether weights of a cache with this capacity of its own are bytes.
    pub(crate) fn weighs_bytes(&self, own: Option<Capacity>) -> bool {
        matches!(own.unwrap_or(self.capacity), Capacity::Bytes(_))
    }

    /// The store of a cache, for all tenants without a quota.
    pub(crate) fn store<K: CacheKey, V: Send + Sync + 'static>(
        &self,
        _name: &str,
        own: Option<Capacity>,
        listener: Option<Listener<K, V>>,
    ) -> Result<Arc<MemoryStore<K, V>>> {
        let mut config = StoreConfig::new(own.unwrap_or(self.capacity));
        config.clock = self.clock.clone();
        config.listener = listener;
        Ok(Arc::new(MemoryStore::new(config)))
    }

    /// The store of a cache for a tenant with a quota.
    pub(crate) fn tenant_store<K: CacheKey, V: Send + Sync + 'static>(
        &self,
        core: &CacheCore<K, V>,
        _tenant: &TenantState,
        _quota: &Quota,
    ) -> Result<Arc<MemoryStore<K, V>>> {
        Ok(Arc::clone(&core.store))
    }

    /// Shares the capacity anew.
    pub(crate) fn turn(&self) {}
}

/// A store for absent keys: an eighth of the capacity of the cache it belongs to.
pub(crate) fn negatives<K: CacheKey, V: Send + Sync + 'static>(
    store: &MemoryStore<K, V>,
    weighs_bytes: bool,
    clock: &Clock,
) -> MemoryStore<K, ()> {
    let share = (store.stats().capacity / 8).max(1);
    let capacity = if weighs_bytes { Capacity::bytes(share) } else { Capacity::entries(share) };
    let mut config = StoreConfig::new(capacity);
    config.clock = clock.clone();
    MemoryStore::new(config)
}

/// What an entry counts against the capacity.
pub(crate) fn weight_of<K: CacheKey>(
    weighs_bytes: bool,
    key_heap_bytes: usize,
    value_bytes: usize,
) -> usize {
    if !weighs_bytes {
        return 1;
    }
    let fixed = size_of::<cache_enterprise_core::Scoped<K>>() + 96;
    fixed + key_heap_bytes + value_bytes
}

/// Drops what has expired from a store.
pub(crate) fn turn<K: CacheKey, V: Send + Sync + 'static>(store: &MemoryStore<K, V>, now: Millis) {
    let mut leaving = Leaving::default();
    store.turn(now, &mut leaving);
}
