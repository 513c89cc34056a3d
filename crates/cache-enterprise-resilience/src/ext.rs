//! Wrapping in one line.

use std::sync::Arc;

use cache_enterprise_core::{Backend, Clock};

use crate::{
    Bulkhead, BulkheadConfig, CircuitBreaker, CircuitBreakerConfig, Hedge, HedgeConfig, Retry,
    RetryConfig, Timeout, TimeoutConfig,
};

/// Wraps a shared backend. Call the methods in the order they are listed here: timeout, hedge,
/// retry, breaker, bulkhead; the crate's documentation says why.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::{Backend, Clock};
/// use cache_enterprise_resilience::{
///     BackendExt, CircuitBreakerConfig, RetryConfig, TimeoutConfig,
/// };
///
/// # fn wrap(disk: Arc<dyn Backend>) -> Arc<dyn Backend> {
/// disk.with_timeout(TimeoutConfig::default())
///     .with_retry(RetryConfig::default())
///     .with_breaker(CircuitBreakerConfig::default(), Clock::system())
/// # }
/// ```
pub trait BackendExt {
    /// Bounds each call.
    fn with_timeout(self, config: TimeoutConfig) -> Arc<dyn Backend>;

    /// Attempts slow reads a second time. The hedge itself comes back, for its counts.
    fn with_hedge(self, config: HedgeConfig) -> Arc<Hedge>;

    /// Tries failed calls again.
    fn with_retry(self, config: RetryConfig) -> Arc<dyn Backend>;

    /// Stops asking a backend that keeps failing. The breaker itself comes back, for
    /// [`trip`](CircuitBreaker::trip), [`reset`](CircuitBreaker::reset) and
    /// [`state`](CircuitBreaker::state).
    fn with_breaker(self, config: CircuitBreakerConfig, clock: Clock) -> Arc<CircuitBreaker>;

    /// Bounds the calls under way and in the queue. The bulkhead itself comes back, for its
    /// counts.
    fn with_bulkhead(self, config: BulkheadConfig) -> Arc<Bulkhead>;
}

impl BackendExt for Arc<dyn Backend> {
    fn with_timeout(self, config: TimeoutConfig) -> Arc<dyn Backend> {
        Arc::new(Timeout::new(self, config))
    }

    fn with_hedge(self, config: HedgeConfig) -> Arc<Hedge> {
        Arc::new(Hedge::new(self, config))
    }

    fn with_retry(self, config: RetryConfig) -> Arc<dyn Backend> {
        Arc::new(Retry::new(self, config))
    }

    fn with_breaker(self, config: CircuitBreakerConfig, clock: Clock) -> Arc<CircuitBreaker> {
        Arc::new(CircuitBreaker::new(self, config, clock))
    }

    fn with_bulkhead(self, config: BulkheadConfig) -> Arc<Bulkhead> {
        Arc::new(Bulkhead::new(self, config))
    }
}
