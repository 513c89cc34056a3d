//! The typed tree.

use std::time::Duration;

use crate::backends;
use crate::builder::SettingsBuilder;
use crate::bus::BusSettings;
use crate::describe::Description;
use crate::level::{self, LevelSettings};
use crate::origin::Origin;
use crate::problem::{Problem, SettingsErrors};
use crate::tree::Tree;
use crate::value::Typed;

/// The settings in force. They do not change once they are built; another value comes from
/// another build, so that [`describe`](Self::describe) always tells the truth.
///
/// ```
/// use cache_enterprise_core::{Capacity, ms, secs};
/// use cache_enterprise_settings::{Format, LevelKind, Settings};
///
/// let settings = Settings::builder()
///     .text(Format::Toml, r#"
///         name = "shop"
///         [[levels]]
///         kind = "memory"
///         max_size = "512MB"
///         [[levels]]
///         kind = "disk"
///         path = "var/shop"
///     "#)
///     .set("timeouts.read", "50ms")
///     .build()?;
/// assert_eq!(settings.name(), "shop");
/// assert_eq!((settings.timeouts().read, settings.timeouts().write), (ms(50), ms(250)));
/// let LevelKind::Memory { max_size, .. } = &settings.levels()[0].kind else { panic!() };
/// assert_eq!(*max_size, Capacity::bytes(512_000_000));
/// assert_eq!(settings.breaker().as_ref().map(|breaker| breaker.window), Some(secs(10)));
/// # Ok::<(), cache_enterprise_settings::SettingsErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    name: String,
    levels: Vec<LevelSettings>,
    backends: Vec<LevelSettings>,
    default_backend: Option<String>,
    bus: Option<BusSettings>,
    failover: FailoverStrategy,
    promote_after: u32,
    defaults: EntryDefaults,
    strategy: Option<String>,
    adaptive_ttl: AdaptiveTtlSettings,
    codec: String,
    compression: Option<CompressionSettings>,
    compression_threshold: u64,
    compression_bytes_per_cpu_second: u64,
    has_compression_dictionaries: bool,
    timeouts: TimeoutSettings,
    breaker: Option<BreakerSettings>,
    retry: RetrySettings,
    hedge: Option<HedgeSettings>,
    bulkhead: Option<BulkheadSettings>,
    description: Description,
}

/// How long an entry lives when its cache does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// So long after it was made.
    For(Duration),
    /// Until it is removed, invalidated or evicted.
    Forever,
}

/// Options of entries whose cache does not set them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EntryDefaults {
    /// Life of an entry. Default none: a cache without one does not open.
    pub ttl: Option<Life>,
    /// Longest life of a copy in level 1. Default none, which leaves it to the engine.
    pub l1_ttl: Option<Duration>,
    /// Share of the life that is added at random. Default 0.05.
    pub jitter: f64,
    /// How long an absent value is remembered. Default 30 s.
    pub negative_ttl: Duration,
    /// How long past its life a value answers when its load fails. Default none.
    pub stale_if_error: Option<Duration>,
    /// An entry unread for this long ends. Default none.
    pub idle: Option<Duration>,
    /// Longest a load may take. Default 30 s.
    pub hard_timeout: Duration,
}

/// What the strategy `adaptive_ttl` keeps to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdaptiveTtlSettings {
    /// The shortest life. Default 1 min.
    pub min_ttl: Duration,
    /// The longest life. Default 1 h.
    pub max_ttl: Duration,
    /// Share by which a life grows or shrinks. Default 0.1.
    pub adjustment_factor: f64,
}

/// How values are compressed below level 1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompressionSettings {
    /// Name of the compressor, or `adaptive`. Default `zstd`.
    pub algorithm: String,
    /// Values of fewer bytes stay as they are. Default 1024.
    pub threshold: u64,
}

/// How long calls to a tier may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeoutSettings {
    /// A read. Default 250 ms.
    pub read: Duration,
    /// A write. Default 250 ms.
    pub write: Duration,
}

/// When a failing tier is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerSettings {
    /// Failures within the window that open the circuit. Default 5.
    pub failure_threshold: u32,
    /// How long a failure counts. Default 10 s.
    pub window: Duration,
    /// How long the circuit stays open the first time. Default 200 ms.
    pub recovery_timeout: Duration,
    /// It grows no further than this. Default 400 ms.
    pub recovery_timeout_max: Duration,
    /// Probes that close the circuit. Default 3.
    pub success_threshold: u32,
}

/// How failed calls to a tier are tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetrySettings {
    /// How often; 0 never. Default 1.
    pub attempts: u32,
    /// Wait before the first further attempt. Default 5 ms.
    pub delay: Duration,
    /// The wait grows no further than this: the first wait where it does not grow. Default 100 ms.
    pub delay_max: Duration,
    /// Deadline of a call and its further attempts. Default 250 ms.
    pub within: Duration,
    /// Retries and hedged reads that an outage may cost, all tiers together. Default 10.
    pub budget: u32,
}

/// When a slow read of a tier is attempted a second time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HedgeSettings {
    /// Share of recent reads; one that takes longer than those is slow. Default 0.95.
    pub quantile: f64,
    /// A second attempt starts no sooner. Default 1 ms.
    pub delay_min: Duration,
    /// A second attempt starts no later. Default 100 ms.
    pub delay_max: Duration,
    /// Share of reads that may be attempted twice. Default 0.05.
    pub share: f64,
}

/// How many calls a tier may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSettings {
    /// Calls under way. Default 256.
    pub calls_max: u32,
    /// Calls that wait for a place. Default 1024.
    pub queue_max: u32,
    /// Longest such a wait. Default 50 ms.
    pub wait_max: Duration,
}

/// What a failing level means to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailoverStrategy {
    /// The next level is asked, then the loader; a value past its life may answer.
    #[default]
    GracefulDegradation,
    /// Calls that can fail do.
    FailFast,
    /// As graceful degradation; levels are written behind where they do not say.
    QueueWrites,
}

impl Settings {
    /// Loads `cache-enterprise.toml`, `.yaml`, `.yml` or `.json` from the working directory when
    /// there is one, then the environment variables that begin with `CE_`.
    ///
    /// # Errors
    /// Every problem at once, each with its place and what to do.
    pub fn load() -> Result<Self, SettingsErrors> {
        Self::builder().standard_file().env_prefix("CE_").build()
    }

    /// Starts with nothing but the defaults.
    pub fn builder() -> SettingsBuilder {
        SettingsBuilder::default()
    }

    /// Name of the manager.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The levels that are on, top first; at least one.
    pub fn levels(&self) -> &[LevelSettings] {
        &self.levels
    }

    /// The backends beside the levels that are on, by name: for calls that name them.
    pub fn backends(&self) -> &[LevelSettings] {
        &self.backends
    }

    /// The name of the backend that calls use which name none, when it has one.
    pub fn default_backend(&self) -> Option<&str> {
        self.default_backend.as_deref()
    }

    /// The bus between processes, when one was chosen.
    pub fn bus(&self) -> Option<&BusSettings> {
        self.bus.as_ref()
    }

    /// What a failing level means to a call.
    pub fn failover(&self) -> FailoverStrategy {
        self.failover
    }

    /// Hits in a lower level after which an entry climbs.
    pub fn promote_after(&self) -> u32 {
        self.promote_after
    }

    /// Options of entries whose cache does not set them.
    pub fn defaults(&self) -> &EntryDefaults {
        &self.defaults
    }

    /// Name of the strategy that decides which values are stored and for how long, when one was
    /// chosen.
    pub fn strategy(&self) -> Option<&str> {
        self.strategy.as_deref()
    }

    /// What the strategy `adaptive_ttl` keeps to.
    pub fn adaptive_ttl(&self) -> &AdaptiveTtlSettings {
        &self.adaptive_ttl
    }

    /// Name of the codec below level 1.
    pub fn codec(&self) -> &str {
        &self.codec
    }

    /// How values are compressed at levels that say nothing; `None` when it is switched off.
    pub fn compression(&self) -> Option<&CompressionSettings> {
        self.compression.as_ref()
    }

    /// What a CPU second of compressing must save in bytes, where a level compresses adaptively.
    pub fn compression_bytes_per_cpu_second(&self) -> u64 {
        self.compression_bytes_per_cpu_second
    }

    /// Whether levels that compress adaptively learn dictionaries.
    pub fn has_compression_dictionaries(&self) -> bool {
        self.has_compression_dictionaries
    }

    /// Values of fewer bytes are compressed at no level.
    pub fn compression_threshold(&self) -> u64 {
        self.compression_threshold
    }

    /// How long calls to a tier may take.
    pub fn timeouts(&self) -> &TimeoutSettings {
        &self.timeouts
    }

    /// When a failing tier is left alone; `None` when it is switched off.
    pub fn breaker(&self) -> Option<&BreakerSettings> {
        self.breaker.as_ref()
    }

    /// How failed calls to a tier are tried again.
    pub fn retry(&self) -> &RetrySettings {
        &self.retry
    }

    /// When a slow read is attempted a second time; `None` unless it is switched on.
    pub fn hedge(&self) -> Option<&HedgeSettings> {
        self.hedge.as_ref()
    }

    /// How many calls a tier may hold; `None` unless it is switched on.
    pub fn bulkhead(&self) -> Option<&BulkheadSettings> {
        self.bulkhead.as_ref()
    }

    /// The settings in force and where each came from, secrets redacted.
    pub fn describe(&self) -> &Description {
        &self.description
    }

    /// Where the value of a canonical key came from; [`Origin::Default`] also for a key that
    /// nobody set and for one there is not.
    pub fn origin(&self, key: &str) -> Origin {
        self.description.row(key).map_or(Origin::Default, |row| row.origin.clone())
    }

    /// A problem with the value of a canonical key, told with the place where it was written: for
    /// whoever knows what this crate does not, such as the names of codecs.
    pub fn problem(&self, key: &str, what: impl Into<String>, fix: impl Into<String>) -> Problem {
        Problem::new(key, self.origin(key), what, fix)
    }

    /// The typed form of a tree that was completed and checked.
    pub(crate) fn of(tree: &Tree) -> Self {
        let compression = CompressionSettings {
            algorithm: tree.name("compression.algorithm"),
            threshold: tree.size("compression.threshold"),
        };
        let breaker = BreakerSettings {
            failure_threshold: tree.count("breaker.failure_threshold"),
            window: tree.time("breaker.window"),
            recovery_timeout: tree.time("breaker.recovery_timeout"),
            recovery_timeout_max: tree.time("breaker.recovery_timeout_max"),
            success_threshold: tree.count("breaker.success_threshold"),
        };
        Self {
            name: tree.name("name"),
            levels: level::levels(tree),
            backends: level::backends(tree),
            default_backend: backends::default_backend(tree),
            bus: BusSettings::of(tree),
            failover: match tree.name("failover.strategy").as_str() {
                "fail_fast" => FailoverStrategy::FailFast,
                "queue_writes" => FailoverStrategy::QueueWrites,
                _ => FailoverStrategy::GracefulDegradation,
            },
            promote_after: tree.count("promote_after"),
            defaults: EntryDefaults::of(tree),
            strategy: tree.optional_name("defaults.fill_strategy"),
            adaptive_ttl: AdaptiveTtlSettings {
                min_ttl: tree.time("adaptive_ttl.min_ttl"),
                max_ttl: tree.time("adaptive_ttl.max_ttl"),
                adjustment_factor: tree.share("adaptive_ttl.adjustment_factor"),
            },
            codec: tree.name("codec"),
            compression_threshold: tree.size("compression.threshold"),
            compression_bytes_per_cpu_second: tree.size("compression.bytes_per_cpu_second"),
            has_compression_dictionaries: tree.flag("compression.dictionaries"),
            compression: tree.flag("compression.enabled").then_some(compression),
            timeouts: TimeoutSettings {
                read: tree.time("timeouts.read"),
                write: tree.time("timeouts.write"),
            },
            breaker: tree.flag("breaker.enabled").then_some(breaker),
            retry: RetrySettings {
                attempts: tree.count("retry.attempts"),
                delay: tree.time("retry.delay"),
                delay_max: if tree.name("retry.backoff") == "constant" {
                    tree.time("retry.delay")
                } else {
                    tree.time("retry.delay_max")
                },
                within: tree.time("retry.within"),
                budget: tree.count("retry.budget"),
            },
            hedge: tree.flag("hedge.enabled").then(|| HedgeSettings::of(tree)),
            bulkhead: tree.flag("bulkhead.enabled").then(|| BulkheadSettings::of(tree)),
            description: Description::of(tree),
        }
    }
}

impl HedgeSettings {
    fn of(tree: &Tree) -> Self {
        Self {
            quantile: tree.share("hedge.quantile"),
            delay_min: tree.time("hedge.delay_min"),
            delay_max: tree.time("hedge.delay_max"),
            share: tree.share("hedge.share"),
        }
    }
}

impl BulkheadSettings {
    fn of(tree: &Tree) -> Self {
        Self {
            calls_max: tree.count("bulkhead.calls_max"),
            queue_max: tree.count("bulkhead.queue_max"),
            wait_max: tree.time("bulkhead.wait_max"),
        }
    }
}

impl EntryDefaults {
    fn of(tree: &Tree) -> Self {
        let ttl = match tree.get("defaults.ttl").map(|setting| &setting.typed) {
            Some(Typed::Time(ttl)) => Some(Life::For(*ttl)),
            Some(Typed::Forever) => Some(Life::Forever),
            _ => None,
        };
        Self {
            ttl,
            l1_ttl: tree.time_or_off("defaults.l1_ttl"),
            jitter: tree.share("defaults.jitter"),
            negative_ttl: tree.time("defaults.negative_ttl"),
            stale_if_error: tree.time_or_off("defaults.stale_if_error"),
            idle: tree.time_or_off("defaults.idle"),
            hard_timeout: tree.time("defaults.hard_timeout"),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::builder().build().expect("the defaults have no problems, as a test checks")
    }
}
