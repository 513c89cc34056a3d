//! The store of a cache, whichever it is.

use std::hash::Hash;
use std::sync::Arc;

use cache_enterprise_core::{
    CacheKey, Entry, LocalStore, Merit, Millis, PolicyFactory, RemovalCause, Result, Scoped,
    SetOutcome, StoreStats, unsupported,
};
use equivalent::Equivalent;

use crate::{Demand, Leaving, Member, MemoryStore, PolicyStore, StoreConfig};

/// The name of the strategy that [`MemoryStore`] is.
pub const QUICK: &str = "quick";

/// The name of the strategy of a level 1 for which nobody chose one.
pub const DEFAULT_STRATEGY: &str = "s3-fifo";

/// One of the two stores of this crate, chosen when it is made. A call costs one predictable
/// branch more than on the store itself.
///
/// ```
/// use cache_enterprise_core::Capacity;
/// use cache_enterprise_memory::{Level1Store, QUICK, StoreConfig};
///
/// let config = StoreConfig::<u64, String>::new(Capacity::entries(1_000));
/// let store = Level1Store::new(config, None);
/// assert_eq!((&*store.strategy(), store.len()), (QUICK, 0));
/// ```
#[derive(Debug)]
pub enum Level1Store<K: CacheKey, V: Send + Sync + 'static> {
    /// On quick_cache.
    Quick(MemoryStore<K, V>),
    /// Under a policy.
    Policy(PolicyStore<K, V>),
}

/// The same call on the store there is.
macro_rules! on {
    ($store:expr, $inner:ident => $call:expr) => {
        match $store {
            Level1Store::Quick($inner) => $call,
            Level1Store::Policy($inner) => $call,
        }
    };
}

impl<K: CacheKey, V: Send + Sync + 'static> Level1Store<K, V> {
    /// A [`PolicyStore`] with policies of `strategy`, or a [`MemoryStore`] where there is none.
    pub fn new(config: StoreConfig<K, V>, strategy: Option<&dyn PolicyFactory>) -> Self {
        match strategy {
            None => Self::Quick(MemoryStore::new(config)),
            Some(factory) => Self::Policy(PolicyStore::new(config, factory)),
        }
    }

    /// The name of the strategy that decides what leaves.
    pub fn strategy(&self) -> Arc<str> {
        match self {
            Self::Quick(_) => QUICK.into(),
            Self::Policy(store) => store.strategy(),
        }
    }

    /// Lets policies of another strategy decide; see [`PolicyStore::exchange`].
    ///
    /// # Errors
    /// [`Unsupported`](cache_enterprise_core::ErrorKind::Unsupported) where quick_cache decides.
    pub fn exchange(&self, strategy: &dyn PolicyFactory) -> Result<()> {
        match self {
            Self::Quick(_) => Err(unsupported("memory", "exchange the strategy")),
            Self::Policy(store) => {
                store.exchange(strategy);
                Ok(())
            }
        }
    }

    /// Entries held now.
    pub fn len(&self) -> usize {
        on!(self, store => store.len())
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an entry stands under `key`, fresh or not; no use for the policy.
    pub fn contains<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> bool {
        on!(self, store => store.contains(key))
    }

    /// In words, why the entry under `key` stands where it does; see [`PolicyStore::account`].
    /// quick_cache's policy cannot say.
    pub fn account<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<String> {
        match self {
            Self::Quick(_) => None,
            Self::Policy(store) => store.account(key),
        }
    }

    /// Weight of the pinned entries held.
    pub fn pinned_weight(&self) -> u64 {
        on!(self, store => store.pinned_weight())
    }

    /// Departures the listener was not told of because its queue was full.
    pub fn untold(&self) -> u64 {
        on!(self, store => store.untold())
    }

    /// Number of shards, a power of two.
    pub fn shards(&self) -> usize {
        on!(self, store => store.shards())
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> LocalStore<K, V> for Level1Store<K, V> {
    type Leaving = Leaving<K, V>;

    // As the stores say of theirs.
    #[inline(always)]
    fn get<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<Arc<Entry<V>>> {
        on!(self, store => store.get(key))
    }

    #[inline]
    fn peek<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<Arc<Entry<V>>> {
        on!(self, store => store.peek(key))
    }

    fn insert(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        leaving: &mut Leaving<K, V>,
    ) -> SetOutcome {
        on!(self, store => store.insert(key, entry, leaving))
    }

    fn insert_with(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        merit: Merit,
        leaving: &mut Leaving<K, V>,
    ) -> SetOutcome {
        on!(self, store => store.insert_with(key, entry, merit, leaving))
    }

    fn remove<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(
        &self,
        key: &Q,
        cause: RemovalCause,
        leaving: &mut Leaving<K, V>,
    ) -> Option<Arc<Entry<V>>> {
        on!(self, store => store.remove(key, cause, leaving))
    }

    fn retain(
        &self,
        keep: impl Fn(&Scoped<K>, &Arc<Entry<V>>) -> bool,
        cause: RemovalCause,
        leaving: &mut Leaving<K, V>,
    ) {
        on!(self, store => store.retain(keep, cause, leaving));
    }

    fn for_each(&self, visit: impl FnMut(&Scoped<K>, &Arc<Entry<V>>)) {
        on!(self, store => store.for_each(visit));
    }

    fn turn(&self, now: Millis, leaving: &mut Leaving<K, V>) {
        on!(self, store => store.turn(now, leaving));
    }

    fn resize(&self, capacity: u64, leaving: &mut Leaving<K, V>) {
        on!(self, store => LocalStore::resize(store, capacity, leaving));
    }

    fn stats(&self) -> StoreStats {
        on!(self, store => store.stats())
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Member for Level1Store<K, V> {
    fn demand(&self) -> Demand {
        on!(self, store => store.demand())
    }

    fn resize(&self, capacity: u64) {
        on!(self, store => Member::resize(store, capacity));
    }
}
