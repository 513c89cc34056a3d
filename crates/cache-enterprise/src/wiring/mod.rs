//! A manager from settings.
//!
//! `plan` judges the settings with the registries at hand and finds everything that is wrong,
//! `packers` gives each level its compressor, `origins` carries over who said what; this file opens what the plan names.

mod origins;
mod packers;
mod plan;
mod single;

use std::collections::BTreeMap;
use std::sync::Arc;

use cache_enterprise_core::{
    BackendFactory, BackendRegistry, BusFactory, Clock, Error, ErrorKind, NoObserver, Observer,
    Result, check_name,
};
use cache_enterprise_engine::{CacheManager, Failover};
use cache_enterprise_serializers::{AnySerde, dictionary_arm};
use cache_enterprise_settings::{FailoverStrategy, Settings, SettingsErrors};
use cache_enterprise_strategies::CacheStrategy;
use cache_enterprise_strategies::lifetime::AdaptiveTtl;

use plan::{Plan, PlannedBus};
pub use single::WithBackend;

/// Strategies of the program's own, by name.
type Strategies = BTreeMap<String, Arc<dyn CacheStrategy>>;

/// Builds a manager from settings alone, with the backends of the enabled features. For backends,
/// a clock or an observer of your own see [`Wiring`].
pub trait FromSettings: Sized {
    /// Opens the levels of `settings`. A manager with tiers is built inside a tokio runtime.
    ///
    /// ```
    /// use cache_enterprise::prelude::*;
    ///
    /// static USERS: CacheSpec<u64, String> = CacheSpec::new("users");
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let settings = Settings::builder().set("defaults.ttl", "5m").build()?;
    /// let manager = CacheManager::from_settings(settings).await?;
    /// let users = manager.open(&USERS)?;
    /// users.set(&7, String::from("Ada")).await;
    /// assert_eq!(users.get(&7).await?.as_deref(), Some(&String::from("Ada")));
    /// println!("{}", manager.describe());
    /// # Ok::<(), cache_enterprise::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Everything at once that no registry knows or a backend refuses, each with the place where
    /// it was written and what to do; else what keeps a level from opening.
    fn from_settings(settings: Settings) -> impl Future<Output = Result<Self>> + Send;
}

impl FromSettings for CacheManager<AnySerde> {
    async fn from_settings(settings: Settings) -> Result<Self> {
        Wiring::new().manager(&settings).await
    }
}

/// What a manager needs besides its settings: factories of backends, a clock, an observer.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise::core::{BackendConfig, BackendFactory, BackendSource, Capacity, MIB};
/// use cache_enterprise::memory::MemoryBackend;
/// use cache_enterprise::settings::Settings;
/// use cache_enterprise::{Result, Wiring};
///
/// #[derive(Debug)]
/// struct Attic;
///
/// impl BackendFactory for Attic {
///     fn source(&self, config: &BackendConfig) -> Result<Box<dyn BackendSource>> {
///         config.knows_only(&["boxes"])?;
///         let boxes = config.parsed::<u64>("boxes")?.unwrap_or(1);
///         let attic = MemoryBackend::new(Capacity::bytes(boxes * MIB));
///         Ok(Box::new(Arc::new(attic)))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let settings = Settings::builder()
///     .set("levels.1.kind", "attic")
///     .set("levels.1.options.boxes", 8)
///     .build()?;
/// let manager = Wiring::new().backend("attic", Attic)?.manager(&settings).await?;
/// assert_eq!(manager.health().await.len(), 1);
/// # Ok::<(), cache_enterprise::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Wiring {
    backends: BackendRegistry,
    strategies: Strategies,
    clock: Clock,
    observer: Arc<dyn Observer>,
}

impl Wiring {
    /// The backends of the enabled features, the machine's clock, and nobody who observes.
    pub fn new() -> Self {
        Self {
            backends: built_in(),
            strategies: Strategies::new(),
            clock: Clock::system(),
            observer: Arc::new(NoObserver),
        }
    }

    /// As [`new`](Self::new), without any backend: for those who register their own under the
    /// names of the built-in ones.
    pub fn bare() -> Self {
        Self { backends: BackendRegistry::new(), ..Self::new() }
    }

    /// Registers a backend under the name that `levels.*.kind` uses. Default: `memory`,
    /// `disk`, `redis` and `memcached`, each with its feature.
    ///
    /// # Errors
    /// When the name is taken, empty or too long.
    pub fn backend(mut self, name: &str, factory: impl BackendFactory) -> Result<Self> {
        self.backends.register(name, factory)?;
        Ok(self)
    }

    /// Registers a bus under the name that `bus.kind` uses. Default: `redis`, with its feature.
    ///
    /// # Errors
    /// When the name is taken, empty or too long.
    pub fn bus(mut self, name: &str, factory: impl BusFactory) -> Result<Self> {
        self.backends.register_bus(name, factory)?;
        Ok(self)
    }

    /// Registers a strategy under the name that `defaults.fill_strategy` and the specs of caches use.
    /// Default: `adaptive_ttl`, as the settings say.
    ///
    /// # Errors
    /// When the name is taken, empty or too long.
    pub fn strategy(mut self, name: &str, strategy: Arc<dyn CacheStrategy>) -> Result<Self> {
        check_name("strategy", name)?;
        if name == AdaptiveTtl::NAME || self.strategies.contains_key(name) {
            let text = "a strategy of this name is registered already; choose another name";
            return Err(Error::new(ErrorKind::Conflict, text).with("strategy", name));
        }
        self.strategies.insert(name.to_owned(), strategy);
        Ok(self)
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
        self.observer = Arc::new(observer);
        self
    }

    /// Judges everything that can be judged without opening a level: names of codecs, compressors,
    /// policies, backends and the bus, and the options of backends and the bus.
    ///
    /// # Errors
    /// Every problem at once, each with the place where it was written and what to do.
    pub fn check(&self, settings: &Settings) -> Result<(), SettingsErrors> {
        Plan::of(settings, &self.backends, &self.strategies).map(drop)
    }

    /// Opens the levels of `settings` and builds the manager; with levels below level 1 inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// As [`check`](Self::check), else what keeps a level from opening.
    pub async fn manager(&self, settings: &Settings) -> Result<CacheManager<AnySerde>> {
        let Plan { l1, l1_ttl_max, options, codec, packer, readers, tiers, beside, bus, adaptive } =
            Plan::of(settings, &self.backends, &self.strategies)?;
        let mut builder = CacheManager::builder(settings.name())
            .options(options)
            .codec(codec)
            .clock(self.clock.clone())
            .observer(Arc::clone(&self.observer))
            .failover(match settings.failover() {
                // Queues are a matter of each level, which the settings have settled.
                FailoverStrategy::FailFast => Failover::FailFast,
                _ => Failover::GracefulDegradation,
            });
        if let Some(name) = settings.default_backend() {
            builder = builder.default_backend(name);
        }
        builder = builder.register_strategy(AdaptiveTtl::NAME, adaptive)?;
        for (name, strategy) in &self.strategies {
            builder = builder.register_strategy(name, Arc::clone(strategy))?;
        }
        if let Some(name) = settings.strategy() {
            builder = builder.fill_strategy(name);
        }
        if let Some(capacity) = l1 {
            builder = builder.l1(capacity);
        }
        if let Some(ttl) = l1_ttl_max {
            builder = builder.l1_ttl_max(ttl);
        }
        let builder = origins::of_manager(builder, settings);
        let (mut tiers, mut beside) = (tiers.into_iter(), beside.into_iter());
        let builder = match (tiers.next(), beside.next()) {
            (None, None) => return builder.build_in_memory(),
            (None, Some((name, tier))) => builder.backend(name, tier),
            (Some(first), named) => {
                let builder = tiers.fold(builder.l2(first), |builder, tier| builder.tier(tier));
                named.into_iter().fold(builder, |builder, (name, tier)| builder.backend(name, tier))
            }
        };
        let mut builder = beside.fold(builder, |builder, (name, tier)| builder.backend(name, tier));
        if let Some(packer) = packer {
            builder = builder.compression(packer);
        }
        if let Some(bus) = bus {
            let PlannedBus { bus, unsure_max, push_max } = bus;
            let told = builder.bus(bus).unsure_max(unsure_max).push_max(push_max);
            builder = origins::of_bus(told, settings);
        }
        builder =
            readers.into_iter().fold(builder, |builder, reader| builder.reads_compression(reader));
        // What another process packs with dictionaries is read whatever this one does.
        if let Some((_, trained)) = dictionary_arm() {
            builder = builder.reads_dictionaries(trained);
        }
        origins::of_pipeline(builder, settings).build().await
    }
}

impl Default for Wiring {
    fn default() -> Self {
        Self::new()
    }
}

/// The backends of the enabled features.
fn built_in() -> BackendRegistry {
    #[allow(unused_mut, reason = "no feature may bring a backend")]
    let mut backends = BackendRegistry::new();
    #[cfg(feature = "memory")]
    backends
        .register("memory", cache_enterprise_memory::MemoryFactory)
        .expect("the registry is empty and the name is short");
    #[cfg(feature = "disk")]
    backends
        .register("disk", cache_enterprise_disk::DiskFactory)
        .expect("no other backend has this short name");
    #[cfg(feature = "redis")]
    backends
        .register("redis", cache_enterprise_redis::RedisFactory)
        .expect("no other backend has this short name");
    #[cfg(feature = "redis")]
    backends
        .register_bus("redis", cache_enterprise_redis::RedisFactory)
        .expect("no other bus has this short name");
    #[cfg(feature = "memcached")]
    backends
        .register("memcached", cache_enterprise_memcached::MemcachedFactory)
        .expect("no other backend has this short name");
    backends
}
