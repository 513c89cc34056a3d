//! An outage is not doubled by retries: the bucket empties once, and only successes refill it.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::{Backend, Clock, ErrorKind, KeySpace, OpContext};
use cache_enterprise_resilience::{BackendExt, RetryConfig};
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode, Operation};
use cache_enterprise_testkit::{ModelBackend, Seed};

#[tokio::test(start_paused = true)]
async fn an_outage_spends_the_retry_budget_once() {
    let chaos = Arc::new(ChaosBackend::new(Arc::new(ModelBackend::new(Clock::manual())), Seed(1)));
    let stack = (Arc::clone(&chaos) as Arc<dyn Backend>).with_retry(RetryConfig::default());
    let key = KeySpace::new("shop", "", "users").unwrap().key(&1_u8).unwrap();
    let ctx = OpContext::default();

    chaos.set(Mode::Fail(ErrorKind::Unavailable));
    for _ in 0..1_000 {
        stack.get(&key, &ctx).await.unwrap_err();
    }
    assert_eq!(chaos.calls(Operation::Get), 1_000 + 10);

    // Fifty successes pay five retries of the next outage, no more.
    chaos.set(Mode::Healthy);
    for _ in 0..50 {
        stack.get(&key, &ctx).await.unwrap();
    }
    chaos.set(Mode::Fail(ErrorKind::Unavailable));
    let before = chaos.calls(Operation::Get);
    for _ in 0..1_000 {
        stack.get(&key, &ctx).await.unwrap_err();
    }
    assert_eq!(chaos.calls(Operation::Get) - before, 1_000 + 5);
}
