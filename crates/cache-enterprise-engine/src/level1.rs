//! Level 1 of a manager: its capacity, and the one ledger that divides bytes over all stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::{CacheKey, Capacity, Clock, Error, Millis, Result};
use cache_enterprise_memory::{
    Budget, Group, Listener, Membership, MemoryStore, Share, StoreConfig,
};

use crate::tenant::Quota;
use crate::weight::Unit;

/// How often the ledger moves capacity, in milliseconds.
const TURN_EVERY: Millis = 100;

/// What the store of absent keys may hold at most: the capacity of its cache divided by this.
const ABSENCES_DIVISOR: u64 = 8;

/// What it starts with: the budget divided by this.
const ABSENCES_START_DIVISOR: u64 = 128;

/// What level 1 of a manager may hold.
///
/// Bytes are one budget for all caches, divided by use; entries are counted for each cache by
/// itself.
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

    /// At most this many entries in each cache, all its tenants together, and an eighth of that
    /// in absent keys. The number of caches is not bounded, and a tenant can have no quota.
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
    /// Divides the bytes; a level 1 that counts entries has none.
    ledger: Option<Budget>,
    last_turn: AtomicU64,
}

impl Level1 {
    pub(crate) fn new(capacity: Capacity, clock: Clock) -> Self {
        let ledger = match capacity {
            Capacity::Bytes(bytes) => Some(Budget::new(bytes)),
            Capacity::Entries(_) => None,
        };
        Self { capacity, clock, ledger, last_turn: AtomicU64::new(0) }
    }

    /// Where the stores of a cache stand that has this capacity of its own, if any.
    pub(crate) fn place(&self, name: &'static str, own: Option<Capacity>) -> Place {
        let bound = match (&self.ledger, own) {
            (Some(ledger), None) => Bound::Shared { ledger: ledger.clone(), fixed: None },
            (Some(ledger), Some(Capacity::Bytes(bytes))) => {
                Bound::Shared { ledger: ledger.clone(), fixed: Some(bytes) }
            }
            _ => Bound::Alone(own.unwrap_or(self.capacity)),
        };
        Place { name, clock: self.clock.clone(), bound }
    }

    /// A part of the bytes for a tenant.
    pub(crate) fn group(&self, tenant: &str, quota: &Quota) -> Result<Group> {
        let Some(ledger) = &self.ledger else {
            let text = "a quota is in bytes, and level 1 counts entries; \
                        give level 1 a capacity in bytes";
            return Err(Error::config(text).with("tenant", tenant));
        };
        ledger.group(quota.share(tenant))
    }

    /// Divides the bytes anew, every [`TURN_EVERY`].
    pub(crate) fn turn(&self, now: Millis) {
        let Some(ledger) = &self.ledger else { return };
        if now.saturating_sub(self.last_turn.load(Ordering::Relaxed)) >= TURN_EVERY {
            self.last_turn.store(now, Ordering::Relaxed);
            ledger.turn();
        }
    }
}

/// Where the stores of one cache stand.
#[derive(Debug)]
pub(crate) struct Place {
    name: &'static str,
    clock: Clock,
    bound: Bound,
}

/// What bounds the stores of one cache.
#[derive(Debug)]
enum Bound {
    /// A part of the manager's bytes, or this many of them.
    Shared { ledger: Budget, fixed: Option<u64> },
    /// A capacity of its own, outside any ledger.
    Alone(Capacity),
}

/// A store and its membership in the ledger, which ends with it.
#[derive(Debug)]
pub(crate) struct Placed<K: CacheKey, V: Send + Sync + 'static> {
    pub(crate) store: Arc<MemoryStore<K, V>>,
    _membership: Option<Membership>,
}

impl Place {
    /// What weights of the cache's entries count.
    pub(crate) fn unit(&self) -> Unit {
        match self.bound {
            Bound::Shared { .. } | Bound::Alone(Capacity::Bytes(_)) => Unit::Bytes,
            Bound::Alone(Capacity::Entries(_)) => Unit::Entries,
        }
    }

    /// Whether tenants with a quota have stores of their own here.
    pub(crate) fn keeps_quotas(&self) -> bool {
        matches!(self.bound, Bound::Shared { .. })
    }

    /// A store for the values of the cache.
    ///
    /// # Errors
    /// When the cache's fixed part does not fit beside all other floors.
    pub(crate) fn values<K: CacheKey, V: Send + Sync + 'static>(
        &self,
        part: Option<&(Quota, Group)>,
        listener: Option<Listener<K, V>>,
    ) -> Result<Placed<K, V>> {
        let share = Share::new(self.name);
        match &self.bound {
            Bound::Alone(capacity) => Ok(self.alone(*capacity, listener)),
            Bound::Shared { ledger, fixed } => {
                let share = match (fixed, part) {
                    (Some(bytes), None) => share.floor(*bytes).ceiling(*bytes),
                    // The tenant's floor says what is kept for it.
                    (Some(bytes), Some(_)) => share.ceiling(*bytes),
                    (None, _) => share,
                };
                let most = fixed.unwrap_or(u64::MAX).min(ledger.bytes());
                self.joined(ledger, part, share, most, listener)
            }
        }
    }

    /// A store for the absent keys of the cache: at most an eighth of what its values may have.
    pub(crate) fn absences<K: CacheKey>(&self, part: Option<&(Quota, Group)>) -> Placed<K, ()> {
        match &self.bound {
            Bound::Alone(Capacity::Bytes(bytes)) => {
                self.alone(Capacity::bytes((bytes / ABSENCES_DIVISOR).max(1)), None)
            }
            Bound::Alone(Capacity::Entries(entries)) => {
                self.alone(Capacity::entries((entries / ABSENCES_DIVISOR).max(1)), None)
            }
            Bound::Shared { ledger, fixed } => {
                let most = fixed.unwrap_or(u64::MAX).min(ledger.bytes()) / ABSENCES_DIVISOR;
                let share = Share::new(format!("absent keys of {}", self.name))
                    .ceiling(most)
                    .start(ledger.bytes() / ABSENCES_START_DIVISOR);
                self.joined(ledger, part, share, most, None)
                    .expect("a share without a floor always fits")
            }
        }
    }

    fn joined<K: CacheKey, V: Send + Sync + 'static>(
        &self,
        ledger: &Budget,
        part: Option<&(Quota, Group)>,
        share: Share,
        most: u64,
        listener: Option<Listener<K, V>>,
    ) -> Result<Placed<K, V>> {
        let ceiling = part.and_then(|(quota, _)| quota.ceiling_bytes()).unwrap_or(u64::MAX);
        let placed = self.alone(Capacity::bytes(most.min(ceiling).max(1)), listener);
        let membership = match part {
            Some((_, group)) => group.join(share, &placed.store),
            None => ledger.join(share, &placed.store),
        };
        Ok(Placed { _membership: Some(membership?), ..placed })
    }

    fn alone<K: CacheKey, V: Send + Sync + 'static>(
        &self,
        capacity: Capacity,
        listener: Option<Listener<K, V>>,
    ) -> Placed<K, V> {
        let mut config = StoreConfig::new(capacity);
        config.clock = self.clock.clone();
        config.listener = listener;
        Placed { store: Arc::new(MemoryStore::new(config)), _membership: None }
    }
}
