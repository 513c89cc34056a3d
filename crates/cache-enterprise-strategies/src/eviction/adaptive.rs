//! Adapts to what comes back, and how soon.

use std::sync::Arc;

use cache_enterprise_core::{EvictionPolicy, PolicyFactory, PolicyShape, Result};

use super::parameters::number;
use super::reuse::{ReusePolicy, Settings};

const NAME: &str = "adaptive";

/// Values residents by how soon keys of their count and last gap came back of late (`adaptive`),
/// and refuses newcomers that promise less than who would leave for them.
///
/// Needs no training: before it has seen anything it keeps what was used last. The smaller sister
/// of [`Learned`](super::Learned), with fewer classes and half the history: the past of at most
/// 4 times as many keys as entries (at least 4,096), at most 16 bytes each, 32 bytes a slot, and
/// 0.9 MiB of tables for a store, whose shards learn together. A hit takes a constant number of
/// steps, a victim looks at ten entries. Values weigh by use per unit of weight, and per load time
/// where it is known. Among at most 1,024 entries plain recency is followed while it would hit more.
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory};
/// use cache_enterprise_strategies::eviction::Adaptive;
///
/// assert_eq!(Adaptive::default().name(), "adaptive");
/// let fast = Adaptive::default().learning_rate(0.3)?;
/// assert!(fast.learning_rate(f64::NAN).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Adaptive {
    learning_rate: f64,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self { learning_rate: 0.2 }
    }
}

impl Adaptive {
    /// The weight of what the last requests, twice as many as there are entries (at least 2,048),
    /// showed against all before, 0.001 to 0.9. Default: 0.2.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn learning_rate(mut self, rate: f64) -> Result<Self> {
        self.learning_rate = number(NAME, "learning_rate", rate, 0.001..=0.9)?;
        Ok(self)
    }

    pub(super) fn settings(self) -> Settings {
        Settings {
            history: 4,
            history_least: 4_096,
            drawn: 8,
            both_gaps: false,
            learning_rate: self.learning_rate,
            interval: 4_096,
            min_data_points: 0,
        }
    }
}

impl PolicyFactory for Adaptive {
    fn name(&self) -> &str {
        NAME
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        Box::new(ReusePolicy::alone(self.settings(), shape, Arc::default()))
    }

    fn create_all(&self, shapes: &[PolicyShape]) -> Vec<Box<dyn EvictionPolicy>> {
        ReusePolicy::of_store(self.settings(), shapes, &Arc::default())
    }
}
