//! The handle applications keep: one named, typed cache of one tenant.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cache_enterprise_core::coherence::EpochCell;
use cache_enterprise_core::{
    CacheKey, Clock, Counter, KeySpace, LocalStore, Millis, RemovalCause, ResolvedCodec, Result,
    ScopedRef, Sequence, StoreStats, StoredKey,
};
use cache_enterprise_memory::Level1Store;
use cache_enterprise_strategies::CacheStrategy;
use hashbrown::HashMap;

use crate::failures::Failures;
use crate::flight::Flights;
use crate::heed::Ending;
use crate::holding::{Holding, Holdings};
use crate::limiter::Limits;
use crate::names::Names;
use crate::options::{Life, Options};
use crate::path::Paths;
use crate::route::{self, Route};
use crate::shared::{Shared, TenantState};
use crate::sketch::Sketch;
use crate::tenant::TenantUsage;
use crate::tune::{self, Subject};

/// What leaves level 1 on a call; dropped when no lock is held.
pub(crate) type Leaving<K, V> = <Level1Store<K, V> as LocalStore<K, V>>::Leaving;

/// A typed, named cache of one tenant. A clone costs two reference counts; handles are
/// `Send + Sync` and meant to be kept.
///
/// ```
/// use cache_enterprise_core::{Capacity, MIB, mins};
/// use cache_enterprise_engine::{CacheManager, CacheSpec};
///
/// static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(5));
///
/// let manager = CacheManager::in_memory(Capacity::bytes(64 * MIB))?;
/// let names = manager.open(&NAMES)?;
/// # futures_lite(async {
/// let name = names.get_with(&7, || async { "Ada" }).await;
/// assert_eq!(*name, "Ada");
/// assert!(names.peek(&7).is_some());
/// # });
/// # fn futures_lite<F: Future>(f: F) -> F::Output { cache_enterprise_engine::block_on(f) }
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub struct Cache<K: CacheKey, V: Send + Sync + 'static> {
    /// With the number of the tenant, where the look-up of a hit begins: one step from the handle,
    /// since each further step is waited for before the key is hashed.
    pub(crate) store: Arc<Level1Store<K, V>>,
    pub(crate) tenant_id: u32,
    pub(crate) view: Arc<View<K, V>>,
}

impl<K: CacheKey, V: Send + Sync + 'static> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            tenant_id: self.tenant_id,
            view: Arc::clone(&self.view),
        }
    }
}

/// A cache as one tenant sees it.
pub(crate) struct View<K: CacheKey, V: Send + Sync + 'static> {
    /// Whose values `Cache::store` is.
    pub(crate) holding: Arc<Holding<K, V>>,
    pub(crate) clock: Clock,
    pub(crate) tenant: Arc<TenantState>,
    pub(crate) cell: Arc<EpochCell>,
    pub(crate) core: Arc<CacheCore<K, V>>,
    pub(crate) space: KeySpace,
    pub(crate) shared: Arc<Shared>,
    /// The one backend this handle speaks to; `None` for all levels.
    pub(crate) route: Option<Arc<Route>>,
}

impl<K: CacheKey, V: Send + Sync + 'static> View<K, V> {
    /// Whether anything stands below level 1.
    pub(crate) fn has_tiers(&self) -> bool {
        route::has_tiers(&self.shared, self.route.as_ref())
    }

    /// Longest life of a copy in level 1 under these options; none beside a backend of its own.
    pub(crate) fn l1_life(&self, options: &Options) -> Option<Duration> {
        match &self.route {
            None => self.shared.l1_life(options),
            Some(route) if route.has_tiers() => Some(Duration::ZERO),
            Some(_) => options.l1_ttl.into_iter().chain(self.shared.l1_ttl_max).min(),
        }
    }
}

/// A cache as all its tenants share it.
pub(crate) struct CacheCore<K: CacheKey, V: Send + Sync + 'static> {
    pub(crate) name: &'static str,
    pub(crate) holdings: Holdings<K, V>,
    pub(crate) flights: Flights<K, V>,
    /// What keys are called in the tiers, where a bus is heard.
    pub(crate) names: Option<Names<K>>,
    pub(crate) counts: Counts,
    /// What bounds the loaders that run at once, if anything does.
    pub(crate) limits: Option<Limits>,
    /// Keys whose loads failed lately.
    pub(crate) failures: Failures<K>,
    /// How often keys were asked for, once a write was placed by it.
    pub(crate) sketch: OnceLock<Sketch>,
    pub(crate) spec_options: Options,
    /// Spec over manager, but for the life: options of a call have one only where it was named.
    pub(crate) options: Options,
    /// The life where nobody named one.
    pub(crate) life: Life,
    pub(crate) weigh: Option<fn(&V) -> usize>,
    pub(crate) schema: u64,
    /// Who decides which values are stored and for how long, if somebody does.
    pub(crate) strategy: Option<Arc<dyn CacheStrategy>>,
    /// Whether two values of a key are the same one.
    pub(crate) is_same: Option<fn(&V, &V) -> bool>,
    /// Whether nothing may be learned from its values.
    pub(crate) is_secret: bool,
    /// Where keys are cut into the segments of a path, if they are.
    pub(crate) paths: Option<Paths>,
    /// Whether each change of a key is told to what was derived from it.
    pub(crate) has_dependents: bool,
    pub(crate) codec: ResolvedCodec<V>,
    /// How long a leader may be woken and not polled, in milliseconds.
    pub(crate) takeover_after: Millis,
}

/// Counters of one cache, all tenants together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) loads: Counter,
    pub(crate) load_failures: Counter,
    pub(crate) shared_loads: Counter,
    pub(crate) stale_served: Counter,
    pub(crate) overloads: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) takeovers: Counter,
    pub(crate) refreshes: Counter,
    pub(crate) renewals: Counter,
    pub(crate) declined: Counter,
}

/// Numbers of one cache, read while others write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Hits in level 1.
    pub hits: u64,
    /// Look-ups that level 1 could not answer.
    pub misses: u64,
    /// Loader calls.
    pub loads: u64,
    /// Loader calls that failed.
    pub load_failures: u64,
    /// Callers that shared somebody else's load.
    pub shared_loads: u64,
    /// Answers past their life, given because a load failed.
    pub stale_served: u64,
    /// Loads that got no place among those that may run at once.
    pub overloads: u64,
    /// Stored bytes that could not be used and counted as misses.
    pub undecodable: u64,
    /// Loads taken from a leader that was not polled.
    pub takeovers: u64,
    /// Loads that began behind an answer, to replace it.
    pub refreshes: u64,
    /// Values that their origin confirmed, so that they live on.
    pub renewals: u64,
    /// Values that the cache's strategy kept from being stored.
    pub declined: u64,
    /// Values in level 1.
    pub store: StoreStats,
    /// Keys known to be absent, in level 1 beside the values.
    pub absences: StoreStats,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The cache of `core`, called `name` in stored keys, as `tenant` sees it.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        tenant: &Arc<TenantState>,
        core: Arc<CacheCore<K, V>>,
        name: &str,
        route: Option<Arc<Route>>,
    ) -> Result<Self> {
        let space = KeySpace::new(&shared.name, &tenant.name, name)?;
        let holding = core.holdings.of(tenant)?;
        let store = Arc::clone(holding.values());
        let view = View {
            holding,
            clock: shared.clock.clone(),
            tenant: Arc::clone(tenant),
            cell: tenant.epochs.cache_cell(name),
            core,
            space,
            shared: Arc::clone(shared),
            route,
        };
        Ok(Self { store, tenant_id: tenant.id, view: Arc::new(view) })
    }

    /// The name of the cache.
    pub fn name(&self) -> &'static str {
        self.view.core.name
    }

    /// The backend the handle speaks to alone; `None` for all levels.
    pub fn backend(&self) -> Option<&str> {
        self.view.route.as_ref().map(|route| &*route.name)
    }

    /// The tenant the handle belongs to; empty for the root tenant.
    pub fn tenant(&self) -> &str {
        &self.view.tenant.name
    }

    /// Numbers of this cache, all tenants together. Costs a pass over a few counters, and over
    /// the tenants with a quota.
    pub fn stats(&self) -> CacheStats {
        self.view.core.stats()
    }

    /// Entries of this tenant in level 1, expired ones included until they are swept. Walks the
    /// whole store: for administration, not for requests.
    pub fn len(&self) -> usize {
        let mut len = 0;
        self.store.for_each(|key, _| len += usize::from(key.tenant == self.tenant_id));
        len
    }

    /// Whether level 1 holds nothing of this tenant; cost as [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys of this tenant that level 1 could answer now, in no order. Walks the whole store.
    pub fn keys(&self) -> Vec<K> {
        let mut keys = Vec::new();
        let now = self.view.clock.now();
        self.store.for_each(|key, entry| {
            if key.tenant == self.tenant_id && self.is_usable(&key.key, entry, now) {
                keys.push(key.key.clone());
            }
        });
        keys
    }

    /// Drops every entry of this tenant from level 1 without an invalidation: the next read asks
    /// the tiers again. For tests and for measuring.
    pub fn drop_level1(&self) {
        let mut leaving = Leaving::<K, V>::default();
        let tenant = self.tenant_id;
        let keep = |key: &cache_enterprise_core::Scoped<K>, _: &_| key.tenant != tenant;
        self.store.retain(keep, RemovalCause::Evicted, &mut leaving);
    }

    pub(crate) fn scoped<'a, Q: ?Sized>(&self, key: &'a Q) -> ScopedRef<'a, Q> {
        ScopedRef { tenant: self.tenant_id, key }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.view.core.name)
            .field("tenant", &self.view.tenant.name)
            .finish_non_exhaustive()
    }
}

/// Periodic work of one cache, called by its manager's tick.
pub(crate) trait Periodic: Send + Sync {
    /// Ends loads whose leader does not come.
    fn dissolve_overdue(&self, now: Millis);
    /// Drops what has expired.
    fn turn(&self, now: Millis);
    /// Ends what another process ended, called `name` in the tiers.
    fn heed(&self, tenant: &TenantState, name: &StoredKey, at: Sequence, ending: Ending);
    fn stats(&self) -> CacheStats;
    /// Adds what each tenant holds, by its number; walks the entries.
    fn usage(&self, usage: &mut HashMap<u32, TenantUsage>);
    /// The cache of all tenants without a quota, for a tuner.
    fn subject(self: Arc<Self>) -> Box<dyn Subject>;
}

impl<K: CacheKey, V: Send + Sync + 'static> Periodic for CacheCore<K, V> {
    fn dissolve_overdue(&self, now: Millis) {
        let taken = self.flights.dissolve_overdue(now, self.takeover_after);
        self.counts.takeovers.add(taken as u64);
    }

    fn turn(&self, now: Millis) {
        self.holdings.turn(now);
        self.sweep_names();
    }

    fn heed(&self, tenant: &TenantState, name: &StoredKey, at: Sequence, ending: Ending) {
        self.heed_key(tenant, name, at, ending, self.flights.now(), None);
    }

    fn stats(&self) -> CacheStats {
        let counts = &self.counts;
        let [store, absences] = self.holdings.stats();
        CacheStats {
            hits: counts.hits.sum(),
            misses: counts.misses.sum(),
            loads: counts.loads.sum(),
            load_failures: counts.load_failures.sum(),
            shared_loads: counts.shared_loads.sum(),
            stale_served: counts.stale_served.sum(),
            overloads: counts.overloads.sum(),
            undecodable: counts.undecodable.sum(),
            takeovers: counts.takeovers.sum(),
            refreshes: counts.refreshes.sum(),
            renewals: counts.renewals.sum(),
            declined: counts.declined.sum(),
            store,
            absences,
        }
    }

    fn usage(&self, usage: &mut HashMap<u32, TenantUsage>) {
        self.holdings.usage(usage);
    }

    fn subject(self: Arc<Self>) -> Box<dyn Subject> {
        tune::subject_of(&self)
    }
}
