//! The manager: where caches are opened, tags invalidated and everything is shut down.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cache_enterprise_core::coherence::EpochTarget;
use cache_enterprise_core::{
    CacheKey, Capacity, CodecFor, Error, ErrorKind, MemoryOnly, Result, check_name,
    saturating_millis,
};

use cache_enterprise_memory::Listener;

use crate::builder::ManagerBuilder;
use crate::cache::{Cache, CacheCore, CacheStats, Counts, Periodic};
use crate::failures::Failures;
use crate::flight::Flights;
use crate::holding::Holdings;
use crate::invalidate::{Invalidate, Target};
use crate::limiter::Limits;
use crate::names::Names;
use crate::options::Options;
use crate::route::{Route, name_in};
use crate::shared::{Registered, Shared, TenantState};
use crate::spec::CacheSpec;

/// A manager of caches, seen by one tenant: the root tenant, or one of
/// [`tenant`](CacheManager::tenant).
///
/// `C` is its codec: [`MemoryOnly`] without tiers, so that any value may be cached. A clone costs
/// two reference counts. Applications keep [`Cache`] handles rather than managers.
///
/// ```
/// use cache_enterprise_core::{Capacity, MIB, secs, tag};
/// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
///
/// static PRICES: CacheSpec<String, u64> = CacheSpec::new("prices").ttl(secs(30));
///
/// let manager = CacheManager::in_memory(Capacity::bytes(16 * MIB))?;
/// let prices = manager.open(&PRICES)?;
/// block_on(async {
///     prices.set("tea", 250_u64).tags([tag!("shelf:7")]).await;
///     manager.invalidate(tag!("shelf:7")).await;
///     assert!(prices.peek("tea").is_none());
/// });
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub struct CacheManager<C = MemoryOnly> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tenant: Arc<TenantState>,
    pub(crate) codec: C,
    /// The one backend this handle speaks to; `None` for all levels.
    pub(crate) route: Option<Arc<Route>>,
}

/// A manager seen by one tenant; the same type.
pub type Tenant<C = MemoryOnly> = CacheManager<C>;

impl CacheManager<MemoryOnly> {
    /// A manager with level 1 alone. Needs no runtime.
    ///
    /// # Errors
    /// When the capacity is zero, or the process's ticker thread cannot be started.
    pub fn in_memory(capacity: Capacity) -> Result<Self> {
        ManagerBuilder::new("memory").l1(capacity).build_in_memory()
    }

    /// Starts building a manager called `name`; the name is the first part of every stored key.
    pub fn builder(name: impl Into<String>) -> ManagerBuilder {
        ManagerBuilder::new(name)
    }
}

impl<C: Clone> Clone for CacheManager<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            tenant: Arc::clone(&self.tenant),
            codec: self.codec.clone(),
            route: self.route.clone(),
        }
    }
}

impl<C> CacheManager<C> {
    /// The name of the manager.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The tenant this handle belongs to; empty for the root tenant.
    pub fn tenant_name(&self) -> &str {
        &self.tenant.name
    }

    /// The manager's clock; share it with a test that moves time by hand.
    pub fn clock(&self) -> &cache_enterprise_core::Clock {
        &self.shared.clock
    }

    /// Opens the cache of `spec` for this tenant. Opening the same spec again gives the same
    /// cache.
    ///
    /// # Errors
    /// When neither spec nor manager says how long entries live, when the name is open with other
    /// types, when a capacity of its own does not fit into the budget, or when the manager was
    /// shut down.
    pub fn open<K, V, S>(&self, spec: &CacheSpec<K, V, S>) -> Result<Cache<K, V>>
    where
        K: CacheKey,
        V: Send + Sync + 'static,
        S: CodecFor<C, V> + Copy,
    {
        self.open_with(spec, None)
    }

    /// Opens the cache of `spec` and lets `listener` hear what leaves level 1 and why, on a
    /// thread of its own and off every lock.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when the cache is open already: its listener cannot change.
    pub fn open_listening<K, V, S>(
        &self,
        spec: &CacheSpec<K, V, S>,
        listener: Listener<K, V>,
    ) -> Result<Cache<K, V>>
    where
        K: CacheKey,
        V: Send + Sync + 'static,
        S: CodecFor<C, V> + Copy,
    {
        if self.shared.caches.lock().contains_key(&name_in(self.route.as_ref(), spec.name())) {
            let text = "the cache is open already; give its listener at the first opening";
            return Err(Error::new(ErrorKind::Conflict, text).with("cache", spec.name()));
        }
        self.open_with(spec, Some(listener))
    }

    fn open_with<K, V, S>(
        &self,
        spec: &CacheSpec<K, V, S>,
        listener: Option<Listener<K, V>>,
    ) -> Result<Cache<K, V>>
    where
        K: CacheKey,
        V: Send + Sync + 'static,
        S: CodecFor<C, V> + Copy,
    {
        if self.shared.is_closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the manager was shut down"));
        }
        self.shared.routes.check_cache(spec.name())?;
        let name = name_in(self.route.as_ref(), spec.name());
        let core = self.core(&name, spec, listener)?;
        Cache::new(&self.shared, &self.tenant, core, &name, self.route.clone())
    }

    /// The cache of `spec` as all tenants share it, registered under `name`.
    fn core<K, V, S>(
        &self,
        name: &str,
        spec: &CacheSpec<K, V, S>,
        listener: Option<Listener<K, V>>,
    ) -> Result<Arc<CacheCore<K, V>>>
    where
        K: CacheKey,
        V: Send + Sync + 'static,
        S: CodecFor<C, V> + Copy,
    {
        let mut caches = self.shared.caches.lock();
        if let Some(open) = caches.get(name) {
            let core = Arc::clone(&open.core).downcast::<CacheCore<K, V>>();
            return core.map_err(|_| {
                Error::new(ErrorKind::Conflict, "a cache of this name is open with other types")
                    .with("cache", spec.name())
                    .with("open as", open.types)
                    .with("asked for", std::any::type_name::<(K, V)>())
            });
        }
        let options = spec.options().over(self.shared.options);
        let Some(life) = options.ttl else {
            let text = "a cache needs a life: give its spec `.ttl(..)` or `.forever()`";
            return Err(Error::config(text).with("cache", spec.name()));
        };
        let strategy = self.strategy_of(spec.name(), spec.strategy_name())?;
        // A backend alone keeps nothing in level 1, so that its caches take no fixed part of it.
        let is_alone = self.route.as_ref().is_some_and(|route| route.has_tiers());
        let own = spec.own_capacity().filter(|_| !is_alone);
        let place = self.shared.level1.place(spec.name(), own);
        let observer = Arc::clone(&self.shared.observer);
        let core = Arc::new(CacheCore {
            name: spec.name(),
            holdings: Holdings::new(place, listener)?,
            flights: Flights::new(self.shared.clock.clone(), spec.name(), observer),
            names: self.shared.hears_others().then(Names::new),
            counts: Counts::default(),
            limits: Limits::new(options.loads_max, self.shared.loads.as_ref()),
            failures: Failures::default(),
            sketch: OnceLock::new(),
            spec_options: *spec.options(),
            options: Options { ttl: None, ..options },
            life,
            weigh: spec.weigher(),
            strategy,
            is_same: spec.comparison(),
            is_secret: spec.holds_secrets(),
            schema: spec.schema_id(),
            paths: spec.path_cuts(),
            has_dependents: spec.is_parent(),
            codec: spec.codec_source().resolve(&self.codec),
            takeover_after: saturating_millis(options.takeover_after_or_default()),
        });
        let registered = Registered {
            core: Arc::clone(&core) as _,
            periodic: Arc::clone(&core) as Arc<dyn Periodic>,
            types: std::any::type_name::<(K, V)>(),
            options: *spec.options(),
        };
        self.shared.enlist(name, &core)?;
        caches.insert(name.to_owned(), registered);
        Ok(core)
    }

    /// Ends every entry that carries one of the tags, at every level, in O(1): hard, and
    /// acknowledged only when it holds. Tags belong to this tenant.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins, tag};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    ///
    /// static USERS: CacheSpec<u64, u64> = CacheSpec::new("users").ttl(mins(5));
    /// let manager = CacheManager::in_memory(Capacity::entries(100))?;
    /// let users = manager.open(&USERS)?;
    /// block_on(async {
    ///     users.set(&1, 7_u64).tags(["org:7"]).await;
    ///     let receipt = manager.invalidate([tag!("org:7"), tag!("user:1")]).await;
    ///     assert_eq!(receipt.targets, 2);
    ///     assert!(!users.contains(&1));
    ///     // What is older may still answer where a load fails.
    ///     manager.invalidate(tag!("org:7")).soft().strict().await
    /// })?;
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn invalidate(&self, target: impl Into<Target>) -> Invalidate<'_> {
        Invalidate::new(&self.shared, &self.tenant, target.into().into_epochs())
    }

    /// Ends every entry of this tenant, in O(1). Other tenants keep theirs.
    pub fn clear(&self) -> Invalidate<'_> {
        Invalidate::new(&self.shared, &self.tenant, vec![EpochTarget::Tenant])
    }

    /// Tags of this tenant that the process knows: those that entries in level 1 carry, and those
    /// that were invalidated. Those that no entry carries are dropped now and then.
    pub fn known_tags(&self) -> usize {
        self.tenant.epochs.tags_len()
    }

    /// Numbers per cache, all tenants together.
    pub fn stats(&self) -> Vec<(String, CacheStats)> {
        let caches = self.shared.caches.lock();
        let mut stats: Vec<_> =
            caches.iter().map(|(name, cache)| (name.clone(), cache.periodic.stats())).collect();
        stats.sort_by(|left, right| left.0.cmp(&right.0));
        stats
    }

    /// Makes the manager ready for its first request: takes over what the tier that keeps epochs
    /// remembers of every tenant known so far, and asks each tier once how it feels, within the
    /// limits of the tiers. The background work (expiry, deadlines, settling what failing tiers
    /// were not told) runs from the building on and does not wait for this. Calling it again asks
    /// again and changes nothing. A tier that does not answer is no error: it is skipped, and
    /// `health` tells.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] after a shutdown.
    pub async fn start(&self) -> Result<()> {
        if self.shared.is_closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the manager was shut down; build another"));
        }
        self.shared.wake_below().await;
        Ok(())
    }

    /// Ends the manager: queued writes are flushed, debts settled, tiers closed, all within
    /// `deadline`. What could not be done in time is in the report. Handles stay readable in
    /// level 1; opening caches is refused from now on. A second call finds nothing to do.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let begun = Instant::now();
        let mut report = ShutdownReport::default();
        if !self.shared.is_closed.swap(true, Ordering::AcqRel) {
            self.shared.end_below(deadline, &mut report).await;
        }
        report.took = begun.elapsed();
        report
    }

    /// Does at once what the ticker does each millisecond: deadlines, expiry, overdue loads. For
    /// tests that move time by hand.
    pub fn tick(&self) {
        self.shared.tick_now();
    }
}

impl<C: Clone> CacheManager<C> {
    /// The manager seen by the tenant called `name`: own keys, tags, epochs and quota.
    ///
    /// # Errors
    /// When the name is empty or too long.
    pub fn tenant(&self, name: &str) -> Result<Self> {
        check_name("tenant", name)?;
        let tenant = self.shared.tenant(name);
        Ok(Self { tenant, ..self.clone() })
    }
}

impl<C> fmt::Debug for CacheManager<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheManager")
            .field("name", &self.shared.name)
            .field("tenant", &self.tenant.name)
            .finish_non_exhaustive()
    }
}

/// What a shutdown did within its deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Writes that were queued behind and reached their tier.
    pub writes_flushed: u64,
    /// Writes that were queued behind and did not.
    pub writes_lost: u64,
    /// Tiers that could not be closed, and why.
    pub failures: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl ShutdownReport {
    /// Whether nothing was lost and every tier closed.
    pub fn is_clean(&self) -> bool {
        self.writes_lost == 0 && self.failures.is_empty()
    }
}
