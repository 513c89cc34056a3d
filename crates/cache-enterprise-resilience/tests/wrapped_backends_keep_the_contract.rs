//! A wrapper changes when a call ends, never what it answers: testkit's whole suite passes
//! through each of them, and through the stack.

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Backend, Capabilities, Clock};
use cache_enterprise_resilience::{
    BackendExt, BulkheadConfig, CircuitBreakerConfig, HedgeConfig, HedgeDelay, MigratingTier,
    RetryConfig, TimeoutConfig,
};
use cache_enterprise_testkit::chaos::ChaosNodes;
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::{ModelBackend, Seed};

/// Runs the suite against a model behind `wrap`: one that is one, and one of three nodes. Both
/// say that they are shared, so that reads are hedged.
async fn check(wrap: fn(Arc<dyn Backend>, Clock) -> Arc<dyn Backend>) {
    for nodes in [1, 3] {
        let report = backend::run(|| async {
            let clock = Clock::manual();
            let models: Vec<_> = (0..nodes).map(|_| model(clock.clone())).collect();
            let again = models.clone();
            let reopened_clock = clock.clone();
            Fixture::new(wrap(joined(models), clock.clone())).clock(clock).reopen(move || {
                let models = again.iter().map(|model| Arc::new(model.reopened())).collect();
                let reopened = wrap(joined(models), reopened_clock.clone());
                async move { reopened }
            })
        })
        .await;
        report.assert_passed();
        assert!(report.ran() >= 60, "only {} cases ran", report.ran());
    }
}

fn model(clock: Clock) -> Arc<ModelBackend> {
    let model = ModelBackend::new(clock);
    let limit = Some(8 << 20);
    let shared = Capabilities { shared: true, value_bytes_max: limit, ..model.capabilities() };
    Arc::new(model.claiming(shared))
}

fn joined(mut models: Vec<Arc<ModelBackend>>) -> Arc<dyn Backend> {
    match models.len() {
        1 => models.remove(0),
        count => {
            let mut models = models.into_iter();
            let next = || models.next().expect("a model a node");
            Arc::new(ChaosNodes::new(count as u32, Seed(7), next))
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_timeout() {
    check(|inner, _| inner.with_timeout(TimeoutConfig::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_hedge() {
    // Each read that does not answer at its first poll is attempted twice.
    check(|inner, _| {
        let delay = HedgeDelay::Fixed(Duration::ZERO);
        inner.with_hedge(HedgeConfig { delay, share_percent: 100, ..HedgeConfig::default() })
    })
    .await;
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
async fn behind_a_bulkhead() {
    check(|inner, _| inner.with_bulkhead(BulkheadConfig::default())).await;
}

/// Both models end their entries by the same clock, and are opened again together.
async fn check_migrating(is_cut_over: bool) {
    let joined = move |old: Arc<ModelBackend>, new: Arc<ModelBackend>| {
        let tier = MigratingTier::new(old, new);
        if is_cut_over {
            tier.cut_over();
        }
        tier as Arc<dyn Backend>
    };
    let report = backend::run(|| async {
        let clock = Clock::manual();
        let (old, new) = (model(clock.clone()), model(clock.clone()));
        let again = (old.clone(), new.clone());
        Fixture::new(joined(old, new)).clock(clock).reopen(move || {
            let (old, new) = (again.0.reopened(), again.1.reopened());
            let tier = joined(Arc::new(old), Arc::new(new));
            async move { tier }
        })
    })
    .await;
    report.assert_passed();
    assert!(report.ran() >= 60, "only {} cases ran", report.ran());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_two_backends() {
    check_migrating(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_old_of_two_was_cut_off() {
    check_migrating(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_whole_stack() {
    check(|inner, clock| {
        let inner: Arc<dyn Backend> =
            inner.with_timeout(TimeoutConfig::default()).with_hedge(HedgeConfig::default());
        let inner: Arc<dyn Backend> = inner
            .with_retry(RetryConfig::default())
            .with_breaker(CircuitBreakerConfig::default(), clock);
        inner.with_bulkhead(BulkheadConfig::default())
    })
    .await;
}
