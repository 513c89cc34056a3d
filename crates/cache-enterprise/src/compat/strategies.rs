//! Strategies under names of their own.

use std::sync::Arc;

use cache_enterprise_core::{Result, secs};
use cache_enterprise_engine::{ManagerBuilder, Memory};

pub use cache_enterprise_engine::SmartCache;
pub use cache_enterprise_strategies::CacheStrategy;
pub use cache_enterprise_strategies::eviction::{
    Adaptive as AdaptiveStrategy, Learned as MLPredictiveStrategy,
};

/// Switches of strategies that take plain numbers, over the builder's own. Registering one of the
/// program's own is [`register_strategy`](ManagerBuilder::register_strategy), of the builder and of
/// the manager; placing by heat is `set_multi_level`, of both caches and the manager.
///
/// ```
/// use cache_enterprise::compat::EnableStrategies;
/// use cache_enterprise::prelude::*;
///
/// let manager = CacheManager::builder("shop")
///     .l1(Capacity::bytes(16 * MIB))
///     .enable_adaptive_ttl(60, 3_600, 0.1)?
///     .build_in_memory()?;
/// assert_eq!(manager.describe().row("fill_strategy").map(|row| row.value.as_str()), Some("adaptive_ttl"));
/// # Ok::<(), cache_enterprise::Error>(())
/// ```
pub trait EnableStrategies: Sized {
    /// Lives that follow how often values change; the first two are seconds. See
    /// [`ManagerBuilder::adaptive_ttl`].
    ///
    /// # Errors
    /// When a parameter is out of its range, which the error tells.
    fn enable_adaptive_ttl(
        self,
        min_ttl: u64,
        max_ttl: u64,
        adjustment_factor: f64,
    ) -> Result<Self>;
}

impl<C, T> EnableStrategies for ManagerBuilder<C, T> {
    fn enable_adaptive_ttl(
        self,
        min_ttl: u64,
        max_ttl: u64,
        adjustment_factor: f64,
    ) -> Result<Self> {
        self.adaptive_ttl(secs(min_ttl), secs(max_ttl), adjustment_factor)
    }
}

/// The learning strategy of level 1 from plain numbers, over [`Memory::strategy`].
///
/// ```
/// use cache_enterprise::compat::EnableMlOptimization;
/// use cache_enterprise::prelude::*;
///
/// let level1 = Memory::bytes(64 * MIB).enable_ml_optimization(0.01, 3_600, 1_000)?;
/// let manager = CacheManager::builder("shop").l1(level1).build_in_memory()?;
/// assert_eq!(manager.describe().row("l1.strategy").map(|row| row.value.as_str()), Some("learned"));
/// # Ok::<(), cache_enterprise::Error>(())
/// ```
pub trait EnableMlOptimization: Sized {
    /// Lets [`MLPredictiveStrategy`] decide what leaves level 1. The interval counts requests to a
    /// shard, not seconds; below `min_data_points` the strategy does what [`AdaptiveStrategy`] does.
    ///
    /// # Errors
    /// When a parameter is out of its range, which the error tells.
    fn enable_ml_optimization(
        self,
        learning_rate: f64,
        optimization_interval: u64,
        min_data_points: u64,
    ) -> Result<Self>;
}

impl EnableMlOptimization for Memory {
    fn enable_ml_optimization(
        self,
        learning_rate: f64,
        optimization_interval: u64,
        min_data_points: u64,
    ) -> Result<Self> {
        let learned = MLPredictiveStrategy::default()
            .learning_rate(learning_rate)?
            .optimization_interval(optimization_interval)?
            .min_data_points(min_data_points)?;
        Ok(self.strategy(Arc::new(learned)))
    }
}
