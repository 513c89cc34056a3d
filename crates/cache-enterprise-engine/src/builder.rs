//! Building a manager, level by level.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{
    Capacity, Clock, Error, ErrorKind, MemoryOnly, NoObserver, Observer, PlacementPolicy,
    PolicyFactory, Result, check_name,
};

use cache_enterprise_strategies::business::BusinessRules;
use cache_enterprise_strategies::lifetime::AdaptiveTtl;
use cache_enterprise_strategies::{CacheStrategy, StrategyRegistry, WithLifetime};
use hashbrown::HashMap;

use crate::events::{Hub, Tee};
use crate::failover::Failover;
use crate::level1::Memory;
use crate::manager::CacheManager;
use crate::options::{Options, Origin, Origins};
use crate::placement;
use crate::shared::Shared;
use crate::strategy::Strategy;
use crate::ticker;

/// The name of the strategy that a table of rules is.
const BUSINESS_RULES: &str = "business_rules";

/// Builds a [`CacheManager`]. Calls may come in any order; `build` checks them together.
///
/// `C` is the codec so far, `T` tells whether there are tiers: a manager with tiers and no codec
/// does not compile.
#[derive(Debug)]
pub struct ManagerBuilder<C = MemoryOnly, T = NoTiers> {
    pub(crate) name: String,
    pub(crate) capacity: Capacity,
    pub(crate) strategy: Strategy,
    pub(crate) options: Options,
    pub(crate) data_types: HashMap<String, Duration>,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    /// Where happenings are handed to those who will listen.
    pub(crate) hub: Arc<Hub>,
    pub(crate) seed: Option<u64>,
    pub(crate) l1_ttl_max: Option<Duration>,
    pub(crate) loads_max: Option<u32>,
    pub(crate) default_backend: Option<String>,
    pub(crate) failover: Failover,
    pub(crate) placement: Arc<dyn PlacementPolicy>,
    pub(crate) strategies: StrategyRegistry,
    pub(crate) fill_strategy: Option<String>,
    /// The policy that keeps the floors of the business, where rules were given.
    pub(crate) business: Option<Arc<dyn PolicyFactory>>,
    pub(crate) origins: Origins,
    /// Name of the codec, once there is one.
    pub(crate) codec_name: Option<&'static str>,
    pub(crate) codec: C,
    pub(crate) below: T,
}

/// A builder without tiers.
#[derive(Debug)]
pub struct NoTiers;

impl ManagerBuilder {
    /// Starts with 64 MiB of level 1 and nothing else.
    pub fn new(name: impl Into<String>) -> Self {
        let hub = Arc::<Hub>::default();
        Self {
            name: name.into(),
            capacity: Capacity::bytes(64 * cache_enterprise_core::MIB),
            strategy: Strategy::USUAL,
            options: Options::NONE,
            data_types: HashMap::new(),
            clock: Clock::system(),
            observer: Arc::new(Tee { hub: Arc::clone(&hub), observer: Arc::new(NoObserver) }),
            hub,
            seed: None,
            l1_ttl_max: None,
            loads_max: None,
            default_backend: None,
            failover: Failover::default(),
            placement: placement::usual(),
            strategies: StrategyRegistry::default(),
            fill_strategy: None,
            business: None,
            origins: Origins::default(),
            codec_name: None,
            codec: MemoryOnly,
            below: NoTiers,
        }
    }
}

impl<C, T> ManagerBuilder<C, T> {
    /// What level 1 may hold, and how it chooses what leaves: bytes for all caches together, or
    /// entries for each cache; see [`Memory`]. Default: 64 MiB.
    #[must_use]
    pub fn l1(mut self, memory: impl Into<Memory>) -> Self {
        let Memory { capacity, strategy } = memory.into();
        self.capacity = capacity;
        if let Some(strategy) = strategy {
            self.strategy = strategy;
            self.origins.note("l1.strategy", Origin::Manager);
        }
        self.origin("l1.max_size", Origin::Manager)
    }

    /// Longest life of a copy in level 1, whatever caches and calls say. Default: none.
    #[must_use]
    pub fn l1_ttl_max(mut self, ttl: Duration) -> Self {
        self.l1_ttl_max = Some(ttl);
        self.origin("l1.ttl_max", Origin::Manager)
    }

    /// Level 1 answers nothing: each read asks the tiers, and callers of one key still share the
    /// asking. Default: it answers.
    #[must_use]
    pub fn without_l1(self) -> Self {
        self.l1_ttl_max(Duration::ZERO)
    }

    /// Loaders that run at once, all caches together; at least 1. What comes over it waits, as
    /// [`Options::loads_max`] says. Default: no limit.
    #[must_use]
    pub fn loads_max(mut self, loads_max: u32) -> Self {
        self.loads_max = Some(loads_max);
        self.origin("loads.max", Origin::Manager)
    }

    /// What a failing level means to a call. Default: [`Failover::GracefulDegradation`].
    #[must_use]
    pub fn failover(mut self, failover: Failover) -> Self {
        self.failover = failover;
        self.origin("failover.strategy", Origin::Manager)
    }

    /// Which levels get a value of [`set_multi_level`](crate::Cache::set_multi_level). Default:
    /// [`ByHeat`](crate::ByHeat).
    #[must_use]
    pub fn placement(mut self, policy: impl PlacementPolicy) -> Self {
        self.placement = Arc::new(policy);
        self
    }

    /// Makes a strategy known under a name, for the specs of caches to name; see
    /// [`CacheManager::register_strategy`]. Default: none.
    ///
    /// # Errors
    /// When the name is empty, too long or taken.
    pub fn register_strategy(self, name: &str, strategy: Arc<dyn CacheStrategy>) -> Result<Self> {
        self.strategies.register(name, strategy)?;
        Ok(self)
    }

    /// Names the strategy of caches whose spec names none, the facade's among them. It must be
    /// registered. Default: none; every value is stored, for as long as it is told to.
    #[must_use]
    pub fn fill_strategy(mut self, name: impl Into<String>) -> Self {
        self.fill_strategy = Some(name.into());
        self.origin("fill_strategy", Origin::Manager)
    }

    /// Gives values lives that follow how often they change, from `min_ttl` to `max_ttl`: longer by
    /// the factor when a reload brings the same value, shorter when it brings another. It is the
    /// strategy `adaptive_ttl`, for all caches whose spec names no other. A cache needs a grace or
    /// an early refresh for it, so that there is an older value to compare with. Default: lives are
    /// as configured.
    ///
    /// ```
    /// use cache_enterprise_core::secs;
    /// use cache_enterprise_engine::CacheManager;
    ///
    /// let builder = CacheManager::builder("shop").adaptive_ttl(secs(60), secs(3_600), 0.1)?;
    /// assert!(builder.adaptive_ttl(secs(60), secs(3_600), 0.1).is_err(), "there is one already");
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a parameter is out of its range, which the error tells, or the name is taken.
    pub fn adaptive_ttl(
        self,
        min_ttl: Duration,
        max_ttl: Duration,
        adjustment_factor: f64,
    ) -> Result<Self> {
        let adaptive = AdaptiveTtl::new(min_ttl, max_ttl, adjustment_factor)?;
        let builder =
            self.register_strategy(AdaptiveTtl::NAME, Arc::new(WithLifetime(adaptive)))?;
        Ok(builder.fill_strategy(AdaptiveTtl::NAME))
    }

    /// Gives entries life, worth and class by a table of rules of the business. It is the strategy
    /// `business_rules`, for all caches whose spec names no other. Where nobody chose what leaves
    /// level 1, its policy `business-priority` does, with the floors of the classes; `adaptive` and
    /// `learned` multiply what they learn by the worth and know no floors, `quick` knows neither.
    /// Default: no rules.
    ///
    /// ```
    /// use cache_enterprise_engine::CacheManager;
    /// use cache_enterprise_strategies::business::{BusinessRule, BusinessRules, PriorityClass};
    ///
    /// let rules = BusinessRules::new(
    ///     [PriorityClass::new("gold", 8.0)?.floor(0.4)?],
    ///     [BusinessRule::class("gold").key("invoice:*")?.cost(2.0)?],
    /// )?;
    /// let manager = CacheManager::builder("shop").business_rules(rules)?.build_in_memory()?;
    /// let strategy = manager.describe().row("l1.strategy").map(|row| row.value.clone());
    /// assert_eq!(strategy.as_deref(), Some("business-priority"));
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the builder has rules already, or another strategy of that name.
    pub fn business_rules(self, rules: BusinessRules) -> Result<Self> {
        let policy = rules.policy();
        let builder = self.register_strategy(BUSINESS_RULES, Arc::new(rules))?;
        Ok(Self { business: Some(Arc::new(policy)), ..builder.fill_strategy(BUSINESS_RULES) })
    }

    /// What decides over level 1: the chosen strategy, with the floors of the business if it is
    /// theirs, or that of the business where nobody chose.
    pub(crate) fn deciding(&self) -> Strategy {
        let Some(policy) = &self.business else { return self.strategy.clone() };
        let is_chosen = self.origins.of("l1.strategy").is_some();
        match is_chosen && !self.strategy.is_named(policy.name()) {
            true => self.strategy.clone(),
            false => Strategy::from(Arc::clone(policy)),
        }
    }

    /// Names the walk over the levels: [`backend`](CacheManager::backend) of this name is the
    /// usual call. Default: the walk has no name.
    #[must_use]
    pub fn default_backend(mut self, name: impl Into<String>) -> Self {
        self.default_backend = Some(name.into());
        self.origin("default_backend", Origin::Manager)
    }

    /// Notes who set an option of the builder, under the name that
    /// [`describe`](CacheManager::describe) gives it. A setter called later notes itself. Default:
    /// whoever called the setter, that is the manager.
    #[must_use]
    pub fn origin(mut self, option: impl Into<Cow<'static, str>>, origin: Origin) -> Self {
        self.origins.note(option, origin);
        self
    }

    /// Options for all caches; specs and calls override them. Default: none set.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Names a data type of the facade and its life. Default: none.
    #[must_use]
    pub fn data_type(mut self, name: impl Into<String>, ttl: Duration) -> Self {
        self.data_types.insert(name.into(), ttl);
        self
    }

    /// Where time comes from. Default: the machine.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Who hears of rare events. Default: nobody.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        let observer = Arc::new(observer);
        self.observer = Arc::new(Tee { hub: Arc::clone(&self.hub), observer });
        self
    }

    /// Seed of jitter. Default: drawn from the process.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The codec for values on their way to the tiers.
    #[must_use]
    pub fn codec<X: cache_enterprise_core::Format>(mut self, codec: X) -> ManagerBuilder<X, T> {
        self.origins.note("codec", Origin::Manager);
        ManagerBuilder {
            name: self.name,
            capacity: self.capacity,
            strategy: self.strategy,
            options: self.options,
            data_types: self.data_types,
            clock: self.clock,
            observer: self.observer,
            hub: self.hub,
            seed: self.seed,
            l1_ttl_max: self.l1_ttl_max,
            loads_max: self.loads_max,
            default_backend: self.default_backend,
            failover: self.failover,
            placement: self.placement,
            strategies: self.strategies,
            fill_strategy: self.fill_strategy,
            business: self.business,
            origins: self.origins,
            codec_name: Some(codec.name()),
            codec,
            below: self.below,
        }
    }

    /// The same builder with another part below level 1, and the part it had.
    pub(crate) fn with_below<B>(self, below: B) -> (ManagerBuilder<C, B>, T) {
        let builder = ManagerBuilder {
            name: self.name,
            capacity: self.capacity,
            strategy: self.strategy,
            options: self.options,
            data_types: self.data_types,
            clock: self.clock,
            observer: self.observer,
            hub: self.hub,
            seed: self.seed,
            l1_ttl_max: self.l1_ttl_max,
            loads_max: self.loads_max,
            default_backend: self.default_backend,
            failover: self.failover,
            placement: self.placement,
            strategies: self.strategies,
            fill_strategy: self.fill_strategy,
            business: self.business,
            origins: self.origins,
            codec_name: self.codec_name,
            codec: self.codec,
            below,
        };
        (builder, self.below)
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_name("manager", &self.name)?;
        if self.capacity.limit() == 0 {
            return Err(Error::config("level 1 has a capacity of zero; give it room"));
        }
        self.strategy.resolve()?;
        if let Some(strategy) = &self.fill_strategy {
            self.strategies.strategy(strategy)?;
        }
        if self.options.jitter.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(Error::config("jitter is a share of the life; set it from 0 to 1"));
        }
        Ok(())
    }
}

impl<C> ManagerBuilder<C, NoTiers> {
    /// Builds a manager with level 1 alone, without a runtime.
    ///
    /// # Errors
    /// When the name is empty, the capacity is zero, the strategy is unknown, or the ticker thread cannot be started.
    pub fn build_in_memory(self) -> Result<CacheManager<C>> {
        self.check()?;
        let (shared, codec) = Shared::new(
            self,
            #[cfg(feature = "tiers")]
            None,
            #[cfg(feature = "tiers")]
            None,
            Vec::new(),
        );
        finish(shared, codec)
    }
}

/// Registers with the ticker and makes the root tenant. A manual clock is ticked by hand.
pub(crate) fn finish<C>(shared: Shared, codec: C) -> Result<CacheManager<C>> {
    shared.clock.tick();
    let shared = Arc::new(shared);
    if !shared.clock.is_manual() {
        let member = Arc::downgrade(&shared);
        ticker::register(member).map_err(|error| {
            Error::new(ErrorKind::Io, "cannot start the ticker thread").source_error(error)
        })?;
    }
    let tenant = shared.tenant("");
    Ok(CacheManager { shared, tenant, codec, route: None })
}

/// As [`entropy`], of twice the width.
#[cfg(feature = "tiers")]
pub(crate) fn entropy_wide() -> u128 {
    u128::from(entropy()) << 64 | u128::from(entropy())
}

/// A number that differs from process to process and from manager to manager.
pub(crate) fn entropy() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}
