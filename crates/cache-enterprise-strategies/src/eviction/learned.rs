//! Learns which keys come back, and how soon.

use std::sync::Arc;

use cache_enterprise_core::{EvictionPolicy, PolicyFactory, PolicyShape, Result};

use super::parameters::{number, whole};
use super::reuse::{Progress, ReusePolicy, Settings};

const NAME: &str = "learned";

/// Values residents by how soon keys of their count and last two gaps came back of late
/// (`learned`), and refuses newcomers that promise less than who would leave for them.
///
/// Learns while it serves and needs no training. Below `min_data_points` uses it is
/// [`Adaptive`](super::Adaptive), which tells fewer classes of keys apart; [`status`](Self::status)
/// says so. The shards of a store learn together, each from its own keys. The past of at most
/// 8 times as many keys as entries is known (at least 8,192), at most 16 bytes each; 32 bytes a
/// slot, and 0.9 MiB of tables for a store. A hit takes a constant number of steps, a victim looks
/// at 18 entries. Values weigh by use per unit of weight, and per load time where it is known.
///
/// In a cache of at most 1,024 entries a list of names stands for plain recency: while that would
/// hit more, it is followed.
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory, PolicyShape};
/// use cache_enterprise_strategies::eviction::Learned;
///
/// let learned = Learned::default().learning_rate(0.1)?.min_data_points(1_000)?;
/// let policy = learned.create(&PolicyShape::new(100, 100, 7));
/// assert!(learned.status().falls_back());
/// # drop(policy);
/// assert!(Learned::default().learning_rate(f64::NAN).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Learned {
    learning_rate: f64,
    interval: u64,
    min_data_points: u64,
    progress: Arc<Progress>,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            learning_rate: 0.2,
            interval: 4_096,
            min_data_points: 1_000,
            progress: Arc::default(),
        }
    }
}

impl Learned {
    /// The weight of what the last requests, twice as many as there are entries (at least 2,048),
    /// showed against all before, 0.001 to 0.9. Default: 0.2.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn learning_rate(mut self, rate: f64) -> Result<Self> {
        self.learning_rate = number(NAME, "learning_rate", rate, 0.001..=0.9)?;
        Ok(self)
    }

    /// Requests to a store after which it draws conclusions, 256 to 2^30. It drew the first
    /// ones after 256, and others in between at twice the time each. Default: 4,096.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn optimization_interval(mut self, requests: u64) -> Result<Self> {
        self.interval = whole(NAME, "optimization_interval", requests, 256..=1 << 30)?;
        Ok(self)
    }

    /// Uses of known keys that the shards of a store must have seen before the gap before the last
    /// counts, up to 2^40; 0 is never to fall back. Default: 1,000.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn min_data_points(mut self, uses: u64) -> Result<Self> {
        self.min_data_points = whole(NAME, "min_data_points", uses, 0..=1 << 40)?;
        Ok(self)
    }

    /// How far the shards are that were made from this strategy or a clone of it.
    pub fn status(&self) -> LearnedStatus {
        let (shards, learned) = self.progress.counts();
        LearnedStatus { shards, learned }
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            history: 8,
            history_least: 8_192,
            drawn: 16,
            both_gaps: true,
            learning_rate: self.learning_rate,
            interval: self.interval,
            min_data_points: self.min_data_points,
        }
    }
}

impl PolicyFactory for Learned {
    fn name(&self) -> &str {
        NAME
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        Box::new(ReusePolicy::alone(self.settings(), shape, Arc::clone(&self.progress)))
    }

    fn create_all(&self, shapes: &[PolicyShape]) -> Vec<Box<dyn EvictionPolicy>> {
        ReusePolicy::of_store(self.settings(), shapes, &self.progress)
    }
}

/// How many shards have learned enough.
///
/// ```
/// let status = cache_enterprise_strategies::eviction::Learned::default().status();
/// assert!((status.shards, status.learned) == (0, 0) && !status.falls_back());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LearnedStatus {
    /// Shards that run this strategy.
    pub shards: usize,
    /// Those of them that know what `min_data_points` taught.
    pub learned: usize,
}

impl LearnedStatus {
    /// Whether a shard still runs as `adaptive`.
    pub const fn falls_back(self) -> bool {
        self.learned < self.shards
    }
}
