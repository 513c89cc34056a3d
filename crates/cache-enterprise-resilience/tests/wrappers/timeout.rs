use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Backend, BackendHealth, ErrorKind, OpContext, ms, secs};
use cache_enterprise_resilience::{Timeout, TimeoutConfig};
use tokio::time::Instant;

use crate::scripted::{OPERATIONS, Scripted, Step, call};

const CONFIG: TimeoutConfig = TimeoutConfig { read: ms(100), write: ms(200), admin: ms(5_000) };

fn limit_of(operation: &str) -> Duration {
    match operation {
        "get" | "get_many" => CONFIG.read,
        "scan" | "clear_prefix" => CONFIG.admin,
        _ => CONFIG.write,
    }
}

fn is_told_the_deadline(operation: &str) -> bool {
    !matches!(operation, "scan" | "clear_prefix")
}

fn bounded(backend: &Arc<Scripted>) -> Timeout {
    Timeout::new(Arc::clone(backend) as Arc<dyn Backend>, CONFIG)
}

#[tokio::test(start_paused = true)]
async fn every_hung_operation_ends_at_its_own_limit() {
    for operation in OPERATIONS {
        let backend = Scripted::new([], Step::Hang);
        let started = Instant::now();
        let error = call(&bounded(&backend), operation, &OpContext::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{operation}");
        let limit = limit_of(operation);
        assert_eq!(started.elapsed(), limit, "{operation}");
        let text = format!(
            "{operation}: the backend did not answer in time (backend: scripted, ms: {})",
            limit.as_millis()
        );
        assert_eq!(error.to_string(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_deadline_counts_when_it_is_shorter_and_only_then() {
    for (asked, operation, expected) in
        [(ms(30), "get", ms(30)), (ms(150), "get", ms(100)), (ms(150), "put", ms(150))]
    {
        let backend = Scripted::new([], Step::Hang);
        let started = Instant::now();
        let ctx = OpContext { timeout: Some(asked) };
        let error = call(&bounded(&backend), operation, &ctx).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(started.elapsed(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_backend_is_told_how_long_it_has() {
    for operation in OPERATIONS.into_iter().filter(|operation| is_told_the_deadline(operation)) {
        let backend = Scripted::new([], Step::Answer);
        call(&bounded(&backend), operation, &OpContext::default()).await.unwrap();
        assert_eq!(backend.calls(), [(operation, Some(limit_of(operation)))]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_answers_in_time_is_left_as_it_is() {
    let backend =
        Scripted::new([Step::AnswerAfter(ms(99))], Step::FailAfter(ms(99), ErrorKind::Corrupt));
    let wrapped = bounded(&backend);
    call(&wrapped, "get", &OpContext::default()).await.unwrap();
    let error = call(&wrapped, "get", &OpContext::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_is_not_without_limit() {
    let backend = Scripted::new([], Step::Hang);
    let config = TimeoutConfig { read: Duration::ZERO, ..CONFIG };
    let wrapped = Timeout::new(backend, config);
    let started = Instant::now();
    let error = call(&wrapped, "get", &OpContext::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    // The runtime's timer has a resolution of one millisecond.
    assert!(started.elapsed() <= ms(1));
}

#[tokio::test(start_paused = true)]
async fn a_hung_health_check_is_a_backend_that_is_down() {
    let backend = Scripted::new([], Step::Hang);
    let health = bounded(&backend).health().await;
    assert_eq!(health, BackendHealth::Down("did not answer within 100 ms".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn closing_may_take_the_time_a_flush_takes() {
    let backend = Scripted::new([], Step::AnswerAfter(secs(60)));
    bounded(&backend).close().await.unwrap();
}
