//! While the circuit is open, a hung backend costs its callers nothing and sees none of them.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Backend, Clock, ErrorKind, KeySpace, OpContext, secs};
use cache_enterprise_resilience::{
    BackendExt, BreakerState, CircuitBreakerConfig, RetryConfig, TimeoutConfig,
};
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode};
use cache_enterprise_testkit::{ModelBackend, Seed};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn an_open_breaker_answers_at_once() {
    let clock = Clock::manual();
    let chaos = Arc::new(ChaosBackend::new(Arc::new(ModelBackend::new(clock.clone())), Seed(1)));
    let stack = (Arc::clone(&chaos) as Arc<dyn Backend>)
        .with_timeout(TimeoutConfig::default())
        .with_retry(RetryConfig::default())
        .with_breaker(CircuitBreakerConfig::default(), clock.clone());
    let key = KeySpace::new("shop", "", "users").unwrap().key(&1_u8).unwrap();
    let ctx = OpContext::default();

    chaos.set(Mode::Hang);
    for _ in 0..5 {
        assert_eq!(stack.get(&key, &ctx).await.unwrap_err().kind(), ErrorKind::Timeout);
    }
    let (seen, started) = (chaos.all_calls(), Instant::now());
    for _ in 0..1_000 {
        assert_eq!(stack.get(&key, &ctx).await.unwrap_err().kind(), ErrorKind::BreakerOpen);
    }
    assert_eq!((chaos.all_calls(), started.elapsed()), (seen, Duration::ZERO));

    chaos.set(Mode::Healthy);
    clock.advance(secs(2));
    for _ in 0..3 {
        assert_eq!(stack.get(&key, &ctx).await.unwrap(), None);
    }
    assert_eq!(stack.state(), BreakerState::Closed);
}
