//! Level 1 of a manager: its capacity, and the one ledger that divides bytes over all stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::{CacheKey, Capacity, Clock, Error, Millis, PolicyFactory, Result};
use cache_enterprise_memory::{
    Budget, Group, Level1Store, Listener, Member, Membership, MemoryStore, Share, StoreConfig,
};

use crate::strategy::{Policies, Strategy};
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
/// itself. A [`strategy`](Self::strategy) decides what leaves when it is full.
///
/// ```
/// use cache_enterprise_core::{Capacity, MIB};
/// use cache_enterprise_engine::Memory;
///
/// assert_eq!(Capacity::from(Memory::bytes(64 * MIB)), Capacity::bytes(64 * MIB));
/// ```
#[derive(Clone, Debug)]
pub struct Memory {
    pub(crate) capacity: Capacity,
    pub(crate) strategy: Option<Strategy>,
}

impl Memory {
    /// At most this many bytes of keys, values and overhead, divided over the caches by use.
    pub const fn bytes(bytes: u64) -> Self {
        Self { capacity: Capacity::bytes(bytes), strategy: None }
    }

    /// At most this many entries in each cache, all its tenants together, and an eighth of that
    /// in absent keys. The number of caches is not bounded, and a tenant can have no quota.
    pub const fn entries(entries: u64) -> Self {
        Self { capacity: Capacity::entries(entries), strategy: None }
    }

    /// What decides which entry leaves: the name of an eviction policy such as `s3-fifo`, or a
    /// factory of policies of one's own. An unknown name is an error of `build`. Default:
    /// [`DEFAULT_STRATEGY`](cache_enterprise_memory::DEFAULT_STRATEGY), `s3-fifo`.
    #[must_use]
    pub fn strategy(mut self, strategy: impl Into<Strategy>) -> Self {
        self.strategy = Some(strategy.into());
        self
    }
}

impl From<Capacity> for Memory {
    fn from(capacity: Capacity) -> Self {
        Self { capacity, strategy: None }
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
    /// Makes the policies of all stores of values; none where quick_cache decides.
    policies: Option<Arc<dyn PolicyFactory>>,
    clock: Clock,
    /// Divides the bytes; a level 1 that counts entries has none.
    ledger: Option<Budget>,
    last_turn: AtomicU64,
}

impl Level1 {
    pub(crate) fn new(
        capacity: Capacity,
        policies: Option<Arc<dyn PolicyFactory>>,
        clock: Clock,
    ) -> Self {
        let ledger = match capacity {
            Capacity::Bytes(bytes) => Some(Budget::new(bytes)),
            Capacity::Entries(_) => None,
        };
        Self { capacity, policies, clock, ledger, last_turn: AtomicU64::new(0) }
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
        Place { name, policies: self.policies.clone(), clock: self.clock.clone(), bound }
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
    policies: Option<Arc<dyn PolicyFactory>>,
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
pub(crate) struct Placed<S> {
    pub(crate) store: Arc<S>,
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

    /// What decides over the values; `None` where quick_cache does.
    pub(crate) fn policies(&self) -> Option<Policies> {
        self.policies.clone()
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
    ) -> Result<Placed<Level1Store<K, V>>> {
        let share = Share::new(self.name);
        let open = |capacity| {
            let mut config = self.config(capacity);
            config.listener = listener;
            Level1Store::new(config, self.policies.as_deref())
        };
        match &self.bound {
            Bound::Alone(capacity) => Ok(Placed::alone(open(*capacity))),
            Bound::Shared { ledger, fixed } => {
                let share = match (fixed, part) {
                    (Some(bytes), None) => share.floor(*bytes).ceiling(*bytes),
                    // The tenant's floor says what is kept for it.
                    (Some(bytes), Some(_)) => share.ceiling(*bytes),
                    (None, _) => share,
                };
                let most = fixed.unwrap_or(u64::MAX).min(ledger.bytes());
                joined(ledger, part, share, most, open)
            }
        }
    }

    /// A store for the absent keys of the cache: at most an eighth of what its values may have.
    /// They are small and alike, and quick_cache decides which leave.
    pub(crate) fn absences<K: CacheKey>(
        &self,
        part: Option<&(Quota, Group)>,
    ) -> Placed<MemoryStore<K, ()>> {
        let open = |capacity| MemoryStore::new(self.config(capacity));
        match &self.bound {
            Bound::Alone(Capacity::Bytes(bytes)) => {
                Placed::alone(open(Capacity::bytes((bytes / ABSENCES_DIVISOR).max(1))))
            }
            Bound::Alone(Capacity::Entries(entries)) => {
                Placed::alone(open(Capacity::entries((entries / ABSENCES_DIVISOR).max(1))))
            }
            Bound::Shared { ledger, fixed } => {
                let most = fixed.unwrap_or(u64::MAX).min(ledger.bytes()) / ABSENCES_DIVISOR;
                let share = Share::new(format!("absent keys of {}", self.name))
                    .ceiling(most)
                    .start(ledger.bytes() / ABSENCES_START_DIVISOR);
                joined(ledger, part, share, most, open)
                    .expect("a share without a floor always fits")
            }
        }
    }

    fn config<K, V>(&self, capacity: Capacity) -> StoreConfig<K, V> {
        let mut config = StoreConfig::new(capacity);
        config.clock = self.clock.clone();
        config
    }
}

impl<S> Placed<S> {
    fn alone(store: S) -> Self {
        Self { store: Arc::new(store), _membership: None }
    }
}

/// A store that `open` makes, with a part of the ledger.
fn joined<S: Member>(
    ledger: &Budget,
    part: Option<&(Quota, Group)>,
    share: Share,
    most: u64,
    open: impl FnOnce(Capacity) -> S,
) -> Result<Placed<S>> {
    let ceiling = part.and_then(|(quota, _)| quota.ceiling_bytes()).unwrap_or(u64::MAX);
    let placed = Placed::alone(open(Capacity::bytes(most.min(ceiling).max(1))));
    let membership = match part {
        Some((_, group)) => group.join(share, &placed.store),
        None => ledger.join(share, &placed.store),
    };
    Ok(Placed { _membership: Some(membership?), ..placed })
}
