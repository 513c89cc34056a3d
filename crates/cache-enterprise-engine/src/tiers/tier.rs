//! One level below level 1, as the builder takes it and as the stack walks it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{
    Backend, BackendSource, Clock, Counter, DescribedOption, Observer, OpenedBackend, Result,
    saturating_millis,
};
use cache_enterprise_resilience::{
    CircuitBreaker, CircuitBreakerConfig, RetryConfig, TimeoutConfig,
};

use super::forms::Compression;
use super::lease::Leasing;
use super::promote::Heat;
use super::{Failing, Guards, Packer};
use cache_enterprise_strategies::admission::PromotionPolicy;

use crate::options::{Origin, Origins};

/// When a write reaches a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WritePolicy {
    /// Before the call that writes returns.
    #[default]
    Through,
    /// Soon after: queued, at most this many; a full queue writes through in the caller.
    Behind {
        /// Longest queue.
        queue_max: usize,
    },
    /// Never on a write; the tier is filled by hits of deeper levels only.
    Around,
}

/// A level below level 1: a backend and how it is used. Anything that describes a backend turns
/// into one.
///
/// ```
/// use cache_enterprise_engine::{Tier, WritePolicy};
/// # use cache_enterprise_core::{BackendSource, OpenedBackend};
/// # fn tier(disk: impl BackendSource) -> Tier {
/// Tier::new(disk).write(WritePolicy::Behind { queue_max: 10_000 }).promote_after(2)
/// # }
/// ```
pub struct Tier {
    pub(crate) source: Box<dyn BackendSource>,
    pub(crate) config: TierConfig,
}

/// How a tier is used.
#[derive(Clone, Debug)]
pub(crate) struct TierConfig {
    pub(crate) name: Option<String>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) write: WritePolicy,
    pub(crate) promote_after: u32,
    /// Who decides it instead.
    pub(crate) promotion: Option<Arc<dyn PromotionPolicy>>,
    pub(crate) compression: Compression,
    pub(crate) guards: Guards,
    pub(crate) origins: Origins,
}

impl Tier {
    /// A tier on this backend: written through, promoted at the first hit, bounded to 250 ms a
    /// call, one budgeted retry, and a circuit breaker.
    pub fn new(source: impl BackendSource) -> Self {
        let config = TierConfig {
            name: None,
            ttl: None,
            write: WritePolicy::Through,
            promote_after: 1,
            promotion: None,
            compression: Compression::Inherited,
            guards: Guards::default(),
            origins: Origins::default(),
        };
        Self { source: Box::new(source), config }
    }

    /// Name under which calls reach this level's backend alone, see
    /// [`CacheManager::backend`](crate::CacheManager::backend). Default: none.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.config.name = Some(name.into());
        self
    }

    /// Longest life of an entry in this tier. Default: the entry's own.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.config.ttl = Some(ttl);
        self.origin("ttl", Origin::Manager)
    }

    /// When writes reach the tier. Default: [`WritePolicy::Through`].
    #[must_use]
    pub fn write(mut self, policy: WritePolicy) -> Self {
        self.config.write = policy;
        self.origin("write", Origin::Manager)
    }

    /// Hits in this tier before an entry climbs to the levels above. Default: 1.
    #[must_use]
    pub fn promote_after(mut self, hits: u32) -> Self {
        self.config.promote_after = hits.max(1);
        self.origin("promote_after", Origin::Manager)
    }

    /// Decides by a policy at which hit in this tier an entry climbs, in the place of a number of
    /// hits. It is asked at each such hit. Default: [`promote_after`](Self::promote_after).
    ///
    /// ```
    /// use cache_enterprise_engine::Tier;
    /// use cache_enterprise_strategies::admission::PromoteByHeat;
    ///
    /// fn choosy(tier: Tier) -> cache_enterprise_core::Result<Tier> {
    ///     // At the third hit lately, told for about 100 000 keys.
    ///     Ok(tier.promote_by(PromoteByHeat::new(3, 100_000)?))
    /// }
    /// ```
    #[must_use]
    pub fn promote_by(mut self, policy: impl PromotionPolicy) -> Self {
        self.config.promotion = Some(Arc::new(policy));
        self.origin("promote_after", Origin::Manager)
    }

    /// Compresses what this tier is written, whatever the manager compresses with: by one
    /// compressor, or by [`AdaptiveCompression`](crate::AdaptiveCompression). Tiers that are given
    /// clones of one `Arc<dyn Compressor>`, or of one choice, share its work: a value is compressed
    /// once for all of them. Bytes that climb from a deeper tier keep the form they have there. Default:
    /// the manager's.
    #[must_use]
    pub fn compression(mut self, packer: impl Into<Packer>) -> Self {
        self.config.compression = Compression::Own(packer.into());
        self.origin("compression", Origin::Manager)
    }

    /// Stores values in this tier as they are, whatever the manager compresses with.
    #[must_use]
    pub fn without_compression(mut self) -> Self {
        self.config.compression = Compression::Off;
        self.origin("compression", Origin::Manager)
    }

    /// Longest a call may take. Default: 250 ms.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        self.timeouts(TimeoutConfig { read: limit, write: limit, ..TimeoutConfig::default() })
    }

    /// Longest a call may take, by what it does. Default: see [`TimeoutConfig`].
    #[must_use]
    pub fn timeouts(mut self, limits: TimeoutConfig) -> Self {
        self.config.guards.timeout = Some(limits);
        self.origin("timeout", Origin::Manager)
    }

    /// How calls are tried again. Retries are paid from the manager's budget unless `retry`
    /// brings its own. Default: once, within the deadline.
    #[must_use]
    pub fn retry(mut self, retry: RetryConfig) -> Self {
        self.config.guards.retry = Some(retry);
        self.origin("retry", Origin::Manager)
    }

    /// When the tier is skipped. Default: see [`CircuitBreakerConfig`].
    #[must_use]
    pub fn breaker(mut self, breaker: CircuitBreakerConfig) -> Self {
        self.config.guards.breaker = Some(breaker);
        self.origin("breaker", Origin::Manager)
    }

    /// Asks the tier however often it failed. Default: a circuit breaker skips it.
    #[must_use]
    pub fn without_breaker(mut self) -> Self {
        self.config.guards.breaker = None;
        self.origin("breaker", Origin::Manager)
    }

    /// Notes who set an option of this tier, under the name that
    /// [`describe`](crate::CacheManager::describe) gives it after the level. A setter called later
    /// notes itself. Default: whoever called the setter, that is the manager.
    #[must_use]
    pub fn origin(mut self, option: impl Into<Cow<'static, str>>, origin: Origin) -> Self {
        self.config.origins.note(option, origin);
        self
    }

    /// Takes timeout, hedge, retry, breaker and bulkhead away: the backend is called as it is.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.config.guards = Guards::NONE;
        let guards = ["timeout", "hedge", "retry", "breaker", "bulkhead"];
        guards.into_iter().fold(self, |tier, guard| tier.origin(guard, Origin::Manager))
    }
}

impl<S: BackendSource> From<S> for Tier {
    fn from(source: S) -> Self {
        Self::new(source)
    }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier").field("source", &self.source).field("config", &self.config).finish()
    }
}

/// A tier in use.
#[derive(Debug)]
pub(crate) struct Level {
    /// Number of the level, from 2; 0 for a backend beside the levels.
    pub(crate) number: u8,
    pub(crate) name: String,
    /// The backend in its wrappers.
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) breaker: Option<Arc<CircuitBreaker>>,
    pub(crate) config: TierConfig,
    /// The options of the backend itself, for the description.
    pub(crate) options: Vec<DescribedOption>,
    pub(crate) heat: Heat,
    /// What compresses what is written to it, and the number of that form.
    pub(crate) packer: Option<Packer>,
    pub(crate) packing: usize,
    pub(crate) counts: LevelCounts,
    /// Lets one process at a time load a key.
    pub(crate) leasing: Option<Leasing>,
    /// Which of its nodes failed at their last call.
    pub(crate) failing: Failing,
}

/// Counters of one tier.
#[derive(Debug, Default)]
pub(crate) struct LevelCounts {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) failures: Counter,
    pub(crate) puts: Counter,
    pub(crate) behind_full: Counter,
}

/// Opens a tier and puts its wrappers around it.
pub(crate) async fn open(
    tier: Tier,
    number: u8,
    clock: &Clock,
    observer: &Arc<dyn Observer>,
    packer: Option<Packer>,
) -> Result<(Level, OpenedBackend)> {
    let Tier { source, config } = tier;
    let options = source.describe();
    let opened = source.open(clock).await?;
    let name = opened.backend.name().to_owned();
    let inner = Arc::clone(&opened.backend);
    let (backend, breaker) = config.guards.around(inner, clock, observer);
    let heat = Heat::decided(config.promote_after, config.promotion.clone());
    let counts = LevelCounts::default();
    let failing = Failing::default();
    let level = Level {
        number,
        name,
        backend,
        breaker,
        config,
        options,
        heat,
        packer,
        packing: 0,
        counts,
        leasing: opened.lease.clone().map(Leasing::new),
        failing,
    };
    Ok((level, opened))
}

impl Level {
    /// The same backend as a level of its own: with its wrappers and its breaker, its own counts.
    /// What is written there by name is written through, or behind, but never around it.
    pub(crate) fn beside(&self, name: &str) -> Self {
        let mut config = self.config.clone();
        if config.write == WritePolicy::Around {
            config.write = WritePolicy::Through;
        }
        Self {
            number: 0,
            name: name.to_owned(),
            backend: Arc::clone(&self.backend),
            breaker: self.breaker.clone(),
            heat: Heat::new(1),
            options: self.options.clone(),
            packer: self.packer.clone(),
            packing: 0,
            counts: LevelCounts::default(),
            leasing: self.leasing.clone(),
            failing: Failing::default(),
            config,
        }
    }

    /// Whether other processes write here too.
    pub(crate) fn is_shared(&self) -> bool {
        self.backend.capabilities().shared
    }

    /// The life of bytes in this tier, when they are to expire in `rest` milliseconds.
    pub(crate) fn life(&self, rest: Option<u64>) -> Option<Duration> {
        let cap = self.config.ttl.map(saturating_millis);
        let life = match (rest, cap) {
            (Some(rest), Some(cap)) => Some(rest.min(cap)),
            (rest, cap) => rest.or(cap),
        };
        life.map(Duration::from_millis)
    }
}
