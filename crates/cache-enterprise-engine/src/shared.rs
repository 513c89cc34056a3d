//! What all handles of one manager share.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

#[cfg(feature = "tiers")]
use cache_enterprise_core::KeySpace;
use cache_enterprise_core::coherence::{EpochTarget, TenantEpochs};
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{
    CacheKey, CacheLevel, Capacity, Clock, Event, Millis, Observer, PlacementPolicy, Result,
    Sequence, mutant,
};
use cache_enterprise_strategies::StrategyRegistry;
use hashbrown::HashMap;

use crate::builder::{ManagerBuilder, entropy};
#[cfg(feature = "tiers")]
use crate::bus::Broadcast;
use crate::cache::{CacheCore, Periodic};
use crate::dependency::Lineage;
use crate::events::Hub;
use crate::failover::Failover;
use crate::level1::Level1;
use crate::limiter::Limiter;
use crate::options::{Options, Origin, Origins};
use crate::parking::Detached;
use crate::route::{Route, Routes};
use crate::strategy::Strategy;
use crate::tenant::Allotment;
use crate::ticker::Tick;
#[cfg(feature = "tiers")]
use crate::tiers::Stack;
use crate::timer::Timer;
use crate::tune::{Running, Subject};

/// One tenant of one manager.
#[derive(Debug)]
pub(crate) struct TenantState {
    /// Number within the manager; the first part of every key in level 1.
    pub(crate) id: u32,
    /// Empty for the root tenant.
    pub(crate) name: Arc<str>,
    pub(crate) epochs: Arc<TenantEpochs>,
    /// What was derived from what, as far as this process was told.
    pub(crate) lineage: Lineage,
    /// How many tags there are before those that nobody carries are looked for.
    tags_before_sweep: AtomicUsize,
    /// How far the epoch store's record is taken over.
    #[cfg(feature = "tiers")]
    pub(crate) restoring: crate::tiers::Restoring,
    /// What is known of the record, where other processes change it too.
    #[cfg(feature = "tiers")]
    pub(crate) marks: crate::tiers::Marks,
    pub(crate) allotment: Mutex<Allotment>,
    /// How many loads a turn this tenant may start where loads wait.
    pub(crate) load_weight: AtomicU32,
}

/// A cache opened under a name: its typed core, and its types for the error of a second opening.
pub(crate) struct Registered {
    pub(crate) core: Arc<dyn Any + Send + Sync>,
    pub(crate) periodic: Arc<dyn Periodic>,
    pub(crate) types: &'static str,
    /// What its spec sets.
    pub(crate) options: Options,
}

/// How many tags a tenant has before those that nobody carries are looked for.
const TAGS_BEFORE_SWEEP: usize = 4_096;

/// Tags a tenant remembers the invalidation of though nobody carries them; past them they fold.
const TAGS_KEPT: usize = 100_000;

impl TenantState {
    /// Drops the cells of tags that no entry carries, each time their number has doubled: a share
    /// of each write's cost that stays the same. Many that were raised fold into the floor, which
    /// ends older entries of tags that are not known here.
    fn sweep_tags(&self) {
        let len = self.epochs.tags_len();
        if len < self.tags_before_sweep.load(Ordering::Relaxed) {
            return;
        }
        if mutant::breaks("what no entry carries is forgotten") {
            return;
        }
        let mut left = len - self.epochs.drop_unraised();
        if left > TAGS_KEPT {
            left -= self.epochs.sweep();
        }
        self.tags_before_sweep.store((2 * left).max(TAGS_BEFORE_SWEEP), Ordering::Relaxed);
    }
}

/// The state of one manager.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) clock: Clock,
    pub(crate) timer: Arc<Timer>,
    pub(crate) options: Options,
    /// Lives of the facade's data types.
    pub(crate) data_types: HashMap<String, Duration>,
    pub(crate) failover: Failover,
    pub(crate) placement: Arc<dyn PlacementPolicy>,
    pub(crate) strategies: StrategyRegistry,
    /// The strategy of caches that name none.
    pub(crate) fill_strategy: Option<String>,
    pub(crate) observer: Arc<dyn Observer>,
    /// Where happenings are handed to listeners.
    pub(crate) hub: Arc<Hub>,
    /// Who set which option, and what the description tells besides.
    pub(crate) origins: Origins,
    pub(crate) capacity: Capacity,
    pub(crate) strategy: Strategy,
    pub(crate) codec_name: Option<&'static str>,
    /// Longest life of a copy in level 1, whatever caches and calls say.
    pub(crate) l1_ttl_max: Option<Duration>,
    pub(crate) level1: Level1,
    /// Bounds the loaders of all caches together.
    pub(crate) loads: Option<Arc<Limiter>>,
    pub(crate) loads_max: Option<u32>,
    pub(crate) tenants: Mutex<HashMap<Arc<str>, Arc<TenantState>>>,
    pub(crate) tenants_next: AtomicU32,
    /// The newest end of everything; tenants that are met later start from it.
    everything: AtomicU64,
    pub(crate) caches: Mutex<HashMap<String, Registered>>,
    /// The tuners whose handles are held.
    pub(crate) tuners: Mutex<Vec<Weak<Running>>>,
    pub(crate) is_closed: AtomicBool,
    jitter_state: AtomicU64,
    last_turn: AtomicU64,
    #[cfg(feature = "tiers")]
    pub(crate) stack: Option<Arc<Stack>>,
    /// What other processes are told and tell.
    #[cfg(feature = "tiers")]
    pub(crate) broadcast: Option<Arc<Broadcast>>,
    /// The backends that calls may name.
    pub(crate) routes: Routes,
}

/// How often expired entries are swept and overdue loads looked for, in milliseconds.
const TURN_EVERY: Millis = 16;

impl Shared {
    /// The state of a manager from what its builder was told.
    pub(crate) fn new<C, T>(
        builder: ManagerBuilder<C, T>,
        #[cfg(feature = "tiers")] stack: Option<Arc<Stack>>,
        #[cfg(feature = "tiers")] broadcast: Option<Arc<Broadcast>>,
        routes: Vec<Route>,
    ) -> (Self, C) {
        let strategy = builder.deciding();
        let mut origins = builder.origins;
        if builder.business.is_some() && origins.of("l1.strategy").is_none() {
            origins.note("l1.strategy", Origin::Manager);
        }
        let clock = builder.clock;
        let policies = strategy.resolve().expect("the builder was checked");
        let has_level1 = builder.l1_ttl_max != Some(Duration::ZERO);
        let routes = Routes::new(builder.default_backend, has_level1, routes);
        let shared = Self {
            name: builder.name,
            timer: Arc::new(Timer::new(clock.clone())),
            loads: builder.loads_max.map(Limiter::new),
            loads_max: builder.loads_max,
            level1: Level1::new(builder.capacity, policies, clock.clone()),
            clock,
            origins,
            capacity: builder.capacity,
            strategy,
            codec_name: builder.codec_name,
            l1_ttl_max: builder.l1_ttl_max,
            options: builder.options,
            data_types: builder.data_types,
            failover: builder.failover,
            placement: builder.placement,
            strategies: builder.strategies,
            fill_strategy: builder.fill_strategy,
            observer: builder.observer,
            hub: builder.hub,
            tenants: Mutex::default(),
            tenants_next: AtomicU32::new(0),
            everything: AtomicU64::new(0),
            caches: Mutex::default(),
            tuners: Mutex::default(),
            is_closed: AtomicBool::new(false),
            jitter_state: AtomicU64::new(builder.seed.unwrap_or_else(entropy)),
            last_turn: AtomicU64::new(0),
            #[cfg(feature = "tiers")]
            stack,
            #[cfg(feature = "tiers")]
            broadcast,
            routes,
        };
        (shared, builder.codec)
    }

    /// The tenant called `name`; made when it is new.
    pub(crate) fn tenant(&self, name: &str) -> Arc<TenantState> {
        let mut tenants = self.tenants.lock();
        if let Some(tenant) = tenants.get(name) {
            return Arc::clone(tenant);
        }
        let tenant = Arc::new(TenantState {
            id: self.tenants_next.fetch_add(1, Ordering::Relaxed),
            name: name.into(),
            epochs: Arc::new(TenantEpochs::new(self.first_number())),
            lineage: Lineage::default(),
            tags_before_sweep: AtomicUsize::new(TAGS_BEFORE_SWEEP),
            #[cfg(feature = "tiers")]
            restoring: crate::tiers::Restoring::new(self.has_epoch_store()),
            #[cfg(feature = "tiers")]
            marks: crate::tiers::Marks::default(),
            allotment: Mutex::default(),
            load_weight: AtomicU32::new(1),
        });
        let everything = Sequence(self.everything.load(Ordering::Acquire));
        if everything > Sequence::ZERO {
            tenant.epochs.raise(&EpochTarget::Everything, everything);
        }
        tenants.insert(Arc::clone(&tenant.name), Arc::clone(&tenant));
        tenant
    }

    /// The newest number any tenant has taken.
    pub(crate) fn newest_of_all(&self) -> Sequence {
        let tenants = self.tenants.lock();
        let newest = tenants.values().map(|tenant| tenant.epochs.sequence().newest()).max();
        newest.unwrap_or_default().max(Sequence(self.everything.load(Ordering::Acquire)))
    }

    /// Ends everything at `at` for the tenants there are and those to come. Each has numbers of
    /// its own that it took while its store gave none, and places `at` among them.
    pub(crate) fn raise_everything(&self, at: Sequence) {
        let tenants = self.tenants.lock();
        self.everything.fetch_max(at.0, Ordering::AcqRel);
        for tenant in tenants.values() {
            let placed = tenant.epochs.sequence().placed(at);
            tenant.epochs.raise(&EpochTarget::Everything, placed);
        }
    }

    pub(crate) fn periodics(&self) -> Vec<Arc<dyn Periodic>> {
        self.caches.lock().values().map(|cache| Arc::clone(&cache.periodic)).collect()
    }

    /// The open caches, for tuners, by name.
    pub(crate) fn subjects(&self) -> Vec<Box<dyn Subject>> {
        let mut subjects: Vec<_> = self.periodics().into_iter().map(Periodic::subject).collect();
        subjects.sort_by(|left, right| left.name().cmp(right.name()));
        subjects
    }

    pub(crate) fn event(&self, event: &Event) {
        self.observer.on_event(event);
    }

    /// A random part of `ttl`, at most `share` of it; only ever added.
    pub(crate) fn jitter(&self, ttl: Millis, share: f32) -> Millis {
        let most = (ttl as f64 * f64::from(share)) as u64;
        if most == 0 {
            return 0;
        }
        self.random() % (most + 1)
    }

    /// A random number above 0 and at most 1, in steps of 2^-53.
    pub(crate) fn uniform(&self) -> f64 {
        ((self.random() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): one addition, three multiplications.
    fn random(&self) -> u64 {
        let mut z = self.jitter_state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn has_tiers(&self) -> bool {
        #[cfg(feature = "tiers")]
        return self.stack.is_some();
        #[cfg(not(feature = "tiers"))]
        false
    }

    /// Runs `work` by itself: on the runtime at hand, else on a thread of its own.
    pub(crate) fn spawn(&self, work: Detached) {
        #[cfg(feature = "tiers")]
        if let Some(stack) = &self.stack {
            stack.runtime.spawn(work);
            return;
        }
        #[cfg(feature = "tiers")]
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(work);
            return;
        }
        let thread = std::thread::Builder::new().name("cache-load".to_owned());
        // Where no thread can be had the work is dropped, and its flight goes to the next.
        drop(thread.spawn(move || crate::block_on(work)));
    }

    /// Longest life of a copy in level 1 under these options.
    pub(crate) fn l1_life(&self, options: &Options) -> Option<Duration> {
        let life = options.l1_ttl.or(self.l1_bound());
        life.into_iter().chain(self.l1_ttl_max).min()
    }

    /// Longest life of a copy in level 1, when the tiers set one.
    pub(crate) fn l1_bound(&self) -> Option<Duration> {
        #[cfg(feature = "tiers")]
        return self.stack.as_ref().and_then(|stack| stack.l1_bound());
        #[cfg(not(feature = "tiers"))]
        None
    }

    /// The levels of the walk, top first.
    pub(crate) fn all_levels(&self) -> Vec<CacheLevel> {
        #[cfg(feature = "tiers")]
        let tiers = self.stack.as_ref().map_or(0, |stack| stack.levels.len());
        #[cfg(not(feature = "tiers"))]
        let tiers = 0;
        let last = u8::try_from(tiers + 1).unwrap_or(u8::MAX);
        (1..=last).filter_map(CacheLevel::numbered).collect()
    }

    /// Lets a cache that was just opened hear what other processes end.
    pub(crate) fn enlist<K: CacheKey, V: Send + Sync + 'static>(
        &self,
        name: &str,
        cache: &Arc<CacheCore<K, V>>,
    ) -> Result<()> {
        #[cfg(feature = "tiers")]
        if let Some(broadcast) = &self.broadcast {
            let space = KeySpace::new(&self.name, "", name)?;
            let stored = space.prefix();
            // `manager::cache:` with the escapes of stored keys.
            let name = stored.as_str().trim_end_matches(':').rsplit(':').next();
            broadcast.enlist(name.unwrap_or_default(), cache);
        }
        let _ = (name, cache);
        Ok(())
    }

    /// Whether other processes tell of what they end, so that keys are found by name.
    pub(crate) fn hears_others(&self) -> bool {
        #[cfg(feature = "tiers")]
        return self.broadcast.is_some();
        #[cfg(not(feature = "tiers"))]
        false
    }

    /// Where the counter of a tenant starts that is met for the first time: at the time, so that
    /// a counter that was lost goes on above. Where all processes have their numbers from one
    /// store this process's clock must not decide, and it starts below them all.
    fn first_number(&self) -> Sequence {
        #[cfg(feature = "tiers")]
        if self.stack.as_ref().is_some_and(|stack| stack.shared_epochs().is_some()) {
            return Sequence(1);
        }
        Sequence::from_wall_ms(self.clock.wall_ms())
    }

    #[cfg(feature = "tiers")]
    fn has_epoch_store(&self) -> bool {
        self.stack.as_ref().is_some_and(|stack| stack.epochs().is_some())
    }
}

impl Shared {
    /// What the ticker does, with a turn of the caches even where none is due.
    pub(crate) fn tick_now(&self) {
        let now = self.tell_time();
        self.turn_caches(now);
        if self.takes_turn(now) {
            self.turn_rest(now);
        }
    }

    /// Takes over the time, and wakes whoever waits for it.
    fn tell_time(&self) -> Millis {
        let now = self.clock.tick();
        #[cfg(feature = "tiers")]
        if let Some(broadcast) = &self.broadcast {
            self.weigh_silence(broadcast, now);
        }
        self.timer.turn();
        now
    }

    /// Whether a turn is due, which the caller then has to make.
    fn takes_turn(&self, now: Millis) -> bool {
        let last = self.last_turn.load(Ordering::Relaxed);
        let is_due = now.saturating_sub(last) >= TURN_EVERY || last == 0;
        if is_due {
            self.last_turn.store(now.max(1), Ordering::Relaxed);
        }
        is_due
    }

    fn turn_caches(&self, now: Millis) {
        for cache in self.periodics() {
            cache.dissolve_overdue(now);
            cache.turn(now);
        }
        self.turn_tuners(now);
    }

    fn turn_rest(&self, now: Millis) {
        self.clock.follow_wall();
        self.level1.turn(now);
        let tenants: Vec<_> = self.tenants.lock().values().cloned().collect();
        tenants.iter().for_each(|tenant| tenant.sweep_tags());
    }
}

impl Tick for Shared {
    fn tick(&self) {
        let now = self.tell_time();
        if self.takes_turn(now) {
            self.turn_caches(now);
            self.turn_rest(now);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}
