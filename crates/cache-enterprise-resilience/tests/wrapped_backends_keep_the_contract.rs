//! A wrapper changes when a call ends, never what it answers: testkit's whole suite passes
//! through each of them, and through the stack.

use std::sync::Arc;

use cache_enterprise_core::{Backend, Clock};
use cache_enterprise_resilience::{BackendExt, CircuitBreakerConfig, RetryConfig, TimeoutConfig};
use cache_enterprise_testkit::ModelBackend;
use cache_enterprise_testkit::conformance::backend::{self, Fixture};

/// Runs the suite against the model behind `wrap`.
async fn check(wrap: fn(Arc<dyn Backend>, Clock) -> Arc<dyn Backend>) {
    let report = backend::run(|| async {
        let clock = Clock::manual();
        let model = Arc::new(ModelBackend::new(clock.clone()));
        let again = Arc::clone(&model);
        let reopened_clock = clock.clone();
        Fixture::new(wrap(model, clock.clone())).clock(clock).reopen(move || {
            let reopened = wrap(Arc::new(again.reopened()), reopened_clock.clone());
            async move { reopened }
        })
    })
    .await;
    report.assert_passed();
    assert!(report.ran() >= 60, "only {} cases ran", report.ran());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_timeout() {
    check(|inner, _| inner.with_timeout(TimeoutConfig::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_retries() {
    check(|inner, _| inner.with_retry(RetryConfig::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_breaker() {
    check(|inner, clock| inner.with_breaker(CircuitBreakerConfig::default(), clock)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_whole_stack() {
    check(|inner, clock| {
        inner
            .with_timeout(TimeoutConfig::default())
            .with_retry(RetryConfig::default())
            .with_breaker(CircuitBreakerConfig::default(), clock)
    })
    .await;
}
