use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Backend, BackendHealth, ErrorKind, OpContext, Result, ms, secs};
use cache_enterprise_resilience::{
    BackendExt, BreakerState, Bulkhead, BulkheadConfig, CircuitBreakerConfig, RetryConfig,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::scripted::{OPERATIONS, Scripted, Step, call};

fn bounded(backend: &Arc<Scripted>, config: BulkheadConfig) -> Arc<Bulkhead> {
    (Arc::clone(backend) as Arc<dyn Backend>).with_bulkhead(config)
}

fn config(calls_max: usize, queue_max: usize) -> BulkheadConfig {
    BulkheadConfig { calls_max, queue_max, wait_max: ms(50) }
}

fn spawn(bulkhead: &Arc<Bulkhead>, operation: &'static str) -> JoinHandle<Result<()>> {
    let bulkhead = Arc::clone(bulkhead);
    tokio::spawn(async move { call(&*bulkhead, operation, &OpContext::default()).await })
}

/// Starts `count` calls that take all places of a hung backend, or wait.
async fn fill(bulkhead: &Arc<Bulkhead>, count: usize) -> Vec<JoinHandle<Result<()>>> {
    let calls: Vec<_> = (0..count).map(|_| spawn(bulkhead, "get")).collect();
    while bulkhead.running() + bulkhead.waiting() < count {
        tokio::task::yield_now().await;
    }
    calls
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_reach_the_backend_than_there_are_places() {
    for operation in OPERATIONS {
        let backend = Scripted::new([], Step::AnswerAfter(ms(10)));
        let bulkhead = bounded(&backend, config(3, 100));
        let started = Instant::now();
        let calls: Vec<_> = (0..12).map(|_| spawn(&bulkhead, operation)).collect();
        for call in calls {
            assert!(bulkhead.running() <= 3, "{operation}");
            call.await.unwrap().unwrap();
        }
        // Four turns of 10 ms, in whole milliseconds of the timer.
        let elapsed = started.elapsed();
        assert!(elapsed >= ms(40) && elapsed <= ms(44), "{operation} took {elapsed:?}");
        assert_eq!(backend.count(), 12);
        assert_eq!((bulkhead.running(), bulkhead.waiting(), bulkhead.refused()), (0, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_turns_away_at_once() {
    let backend = Scripted::new([], Step::Hang);
    let bulkhead = bounded(&backend, config(2, 3));
    let calls = fill(&bulkhead, 5).await;
    let started = Instant::now();
    for operation in OPERATIONS {
        let error = call(&*bulkhead, operation, &OpContext::default()).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Overloaded && error.is_transient());
        let text = "the queue for the backend is full (backend: scripted, calls_max: 2)";
        assert_eq!(error.to_string(), format!("{operation}: {text}"));
    }
    assert_eq!((started.elapsed(), backend.count()), (Duration::ZERO, 2));
    assert_eq!(bulkhead.refused(), OPERATIONS.len() as u64);
    calls.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_queue_time_or_the_callers_whichever_is_first() {
    let backend = Scripted::new([], Step::Hang);
    let bulkhead = bounded(&backend, config(1, 10));
    let calls = fill(&bulkhead, 1).await;
    for (timeout, waited) in [(None, 50), (Some(secs(9)), 50), (Some(ms(20)), 20)] {
        let started = Instant::now();
        let error = call(&*bulkhead, "get", &OpContext { timeout }).await.unwrap_err();
        let text = "get: no place at the backend became free in time \
                    (backend: scripted, calls_max: 1)";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Overloaded, text));
        // Whole milliseconds of the timer.
        let elapsed = started.elapsed();
        assert!(elapsed >= ms(waited) && elapsed <= ms(waited + 1), "{elapsed:?}");
    }
    assert_eq!((bulkhead.waiting(), backend.count()), (0, 1));
    calls.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn what_was_waited_is_taken_from_the_callers_time() {
    let backend = Scripted::new([Step::AnswerAfter(ms(30))], Step::Answer);
    let bulkhead = bounded(&backend, config(1, 10));
    let first = fill(&bulkhead, 1).await;
    call(&*bulkhead, "get", &OpContext { timeout: Some(ms(100)) }).await.unwrap();
    let left = backend.calls()[1].1.unwrap();
    assert!(left >= ms(69) && left <= ms(70), "{left:?}");
    assert!(first.iter().all(JoinHandle::is_finished));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_its_place_and_its_seat() {
    let backend = Scripted::new([], Step::Hang);
    let bulkhead = bounded(&backend, config(1, 1));
    let calls = fill(&bulkhead, 2).await;
    for call in calls {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!((bulkhead.running(), bulkhead.waiting()), (0, 0));
    backend.play_on(Step::Answer);
    call(&*bulkhead, "get", &OpContext::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn watching_and_closing_need_no_place() {
    let backend = Scripted::new([Step::Hang], Step::Answer);
    let bulkhead = bounded(&backend, config(1, 0));
    let calls = fill(&bulkhead, 1).await;
    assert_eq!(bulkhead.health().await, BackendHealth::Up);
    bulkhead.close().await.unwrap();
    calls.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_call_turned_away_opens_no_circuit_and_costs_no_retry() {
    let backend = Scripted::new([], Step::Hang);
    let clock = cache_enterprise_core::Clock::manual();
    let breaker = (Arc::clone(&backend) as Arc<dyn Backend>)
        .with_retry(RetryConfig::default())
        .with_breaker(CircuitBreakerConfig::default(), clock);
    let bulkhead = (Arc::clone(&breaker) as Arc<dyn Backend>).with_bulkhead(config(2, 0));
    let calls = fill(&bulkhead, 2).await;
    for _ in 0..100 {
        call(&*bulkhead, "get", &OpContext::default()).await.unwrap_err();
    }
    assert_eq!((breaker.state(), backend.count()), (BreakerState::Closed, 2));
    calls.iter().for_each(JoinHandle::abort);
}
