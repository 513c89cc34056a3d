//! What stands between the engine and a backend: the wrappers of `resilience`, in their order.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::{Backend, Clock, Event, Observer, StoredKey};
use cache_enterprise_resilience::{
    BackendExt, BreakerChange, BreakerState, BulkheadConfig, CircuitBreaker, CircuitBreakerConfig,
    HedgeConfig, RetryBudget, RetryConfig, TimeoutConfig,
};

use super::Tier;
use crate::options::Origin;

/// Which wrappers a tier has.
#[derive(Clone, Debug)]
pub(crate) struct Guards {
    pub(crate) timeout: Option<TimeoutConfig>,
    pub(crate) hedge: Option<HedgeConfig>,
    pub(crate) retry: Option<RetryConfig>,
    pub(crate) breaker: Option<CircuitBreakerConfig>,
    pub(crate) bulkhead: Option<BulkheadConfig>,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            timeout: Some(TimeoutConfig::default()),
            hedge: None,
            retry: Some(RetryConfig::default()),
            breaker: Some(CircuitBreakerConfig::default()),
            bulkhead: None,
        }
    }
}

impl Guards {
    pub(crate) const NONE: Self =
        Self { timeout: None, hedge: None, retry: None, breaker: None, bulkhead: None };

    /// Retries and hedges that bring no budget are paid from this one.
    pub(crate) fn lend(&mut self, budget: &Arc<RetryBudget>) {
        let retry = self.retry.as_mut().map(|retry| &mut retry.budget);
        let hedge = self.hedge.as_mut().map(|hedge| &mut hedge.budget);
        for unset in retry.into_iter().chain(hedge).filter(|budget| budget.is_none()) {
            *unset = Some(Arc::clone(budget));
        }
    }

    /// Puts the wrappers around a backend; a breaker tells the observer of its circuits.
    pub(crate) fn around(
        &self,
        mut backend: Arc<dyn Backend>,
        clock: &Clock,
        observer: &Arc<dyn Observer>,
    ) -> (Arc<dyn Backend>, Option<Arc<CircuitBreaker>>) {
        if let Some(timeout) = self.timeout {
            backend = backend.with_timeout(timeout);
        }
        if let Some(hedge) = &self.hedge {
            backend = backend.with_hedge(hedge.clone());
        }
        if let Some(retry) = &self.retry {
            backend = backend.with_retry(retry.clone());
        }
        let breaker = self.breaker.map(|config| {
            let observer = Arc::clone(observer);
            let breaker = CircuitBreaker::new(Arc::clone(&backend), config, clock.clone());
            Arc::new(breaker.on_change(move |change| tell(&*observer, change)))
        });
        if let Some(breaker) = &breaker {
            backend = Arc::clone(breaker) as Arc<dyn Backend>;
        }
        if let Some(bulkhead) = self.bulkhead {
            backend = backend.with_bulkhead(bulkhead);
        }
        (backend, breaker)
    }
}

/// Probing is no news: it ends in one of the two.
fn tell(observer: &dyn Observer, change: &BreakerChange) {
    let (tier, node) = (change.backend.clone(), change.node);
    match change.to {
        BreakerState::Open => observer.on_event(&Event::BreakerOpened { tier, node }),
        BreakerState::Closed => observer.on_event(&Event::BreakerClosed { tier, node }),
        BreakerState::HalfOpen => {}
    }
}

impl Tier {
    /// Attempts slow reads of this tier a second time, if its backend is shared with other
    /// processes. Second attempts are paid from the manager's budget of retries unless the
    /// configuration brings its own. Default: reads are attempted once.
    #[must_use]
    pub fn hedge(mut self, hedge: HedgeConfig) -> Self {
        self.config.guards.hedge = Some(hedge);
        self.origin("hedge", Origin::Manager)
    }

    /// Bounds the calls this tier holds at once and those that wait for their turn. Default: as
    /// many as come, each within its timeout.
    #[must_use]
    pub fn bulkhead(mut self, bulkhead: BulkheadConfig) -> Self {
        self.config.guards.bulkhead = Some(bulkhead);
        self.origin("bulkhead", Origin::Manager)
    }
}

/// Which nodes of a tier failed at their last call, a bit each; nodes 64 apart share one.
#[derive(Default)]
pub(crate) struct Failing(AtomicU64);

impl Failing {
    /// Notes that the node of `key` failed.
    pub(crate) fn failed(&self, backend: &dyn Backend, key: &StoredKey) {
        self.0.fetch_or(bit(backend, key), Ordering::Relaxed);
    }

    /// Notes that the node of `key` answered; `true` when it was the last that had failed. Costs
    /// a load while nothing fails.
    pub(crate) fn answered(&self, backend: &dyn Backend, key: &StoredKey) -> bool {
        if self.0.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let bit = bit(backend, key);
        self.0.fetch_and(!bit, Ordering::Relaxed) == bit
    }
}

fn bit(backend: &dyn Backend, key: &StoredKey) -> u64 {
    1 << (backend.node(key) % 64)
}

impl fmt::Debug for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#b}", self.0.load(Ordering::Relaxed))
    }
}
