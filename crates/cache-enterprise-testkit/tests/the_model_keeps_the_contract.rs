//! The reference backend passes the backend suite, with every capability and with none.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::Capabilities;
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::{Clock, ModelBackend};

fn fixture(tier: ModelBackend) -> Fixture {
    let tier = Arc::new(tier);
    let stored = Arc::clone(&tier);
    Fixture::new(tier).reopen(move || {
        let again = stored.reopened();
        async move { Arc::new(again) as _ }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_every_capability_and_a_manual_clock() {
    let report = backend::run(|| async {
        let clock = Clock::manual();
        let model = ModelBackend::new(clock.clone());
        let limited = Capabilities { value_bytes_max: Some(8 << 20), ..all() };
        fixture(model.claiming(limited)).clock(clock)
    })
    .await;
    report.assert_passed();
    assert_eq!(report.not_claimed(), 0, "{report}");
    assert_eq!(report.ran(), backend::case_names().count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_a_clock_that_follows_the_machine() {
    let clock = Clock::system();
    let ticking = clock.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let ticker = std::thread::spawn(move || {
        use std::sync::mpsc::RecvTimeoutError::Timeout;
        let period = std::time::Duration::from_millis(1);
        while stopped.recv_timeout(period) == Err(Timeout) {
            ticking.tick();
        }
    });
    let report = backend::run(|| async { fixture(ModelBackend::new(clock.clone())) }).await;
    drop(stop);
    ticker.join().unwrap();
    report.assert_passed();
}

#[tokio::test]
async fn with_no_capability_on_one_thread() {
    let report = backend::run(|| async {
        let model = ModelBackend::new(Clock::manual()).claiming(Capabilities::default());
        Fixture::new(Arc::new(model))
    })
    .await;
    report.assert_passed();
    assert!(report.ran() >= 50, "{report}");
    assert!(report.not_claimed() > 50, "{report}");
}

#[tokio::test]
async fn one_case_runs_alone() {
    let name = "a_missing_key_is_a_miss";
    let report = backend::run_case(name, || async {
        Fixture::new(Arc::new(ModelBackend::new(Clock::manual())))
    })
    .await;
    report.assert_passed();
    assert_eq!(report.results().len(), 1);
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let names: Vec<_> = backend::case_names().collect();
    let distinct: std::collections::HashSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    assert!(names.len() >= 60, "{} cases", names.len());
}

fn all() -> Capabilities {
    use cache_enterprise_core::Backend as _;
    ModelBackend::new(Clock::manual()).capabilities()
}
