use std::sync::Arc;

use cache_enterprise_core::{Backend, BackendHealth, Clock, ErrorKind, OpContext, ms, secs};
use cache_enterprise_resilience::{
    BackendExt, BreakerChange, BreakerState, CircuitBreaker, CircuitBreakerConfig, TimeoutConfig,
};
use parking_lot::Mutex;

use crate::scripted::{OPERATIONS, Scripted, Step, call, key};

const FAULT: Step = Step::Fail(ErrorKind::Unavailable);

fn guarded(backend: &Arc<Scripted>, clock: &Clock) -> CircuitBreaker {
    let inner = Arc::clone(backend) as Arc<dyn Backend>;
    CircuitBreaker::new(inner, CircuitBreakerConfig::default(), clock.clone())
}

async fn get(breaker: &CircuitBreaker) -> Result<(), ErrorKind> {
    let answer = breaker.get(&key(), &OpContext::default()).await;
    answer.map(drop).map_err(|error| error.kind())
}

async fn open(breaker: &CircuitBreaker) {
    while breaker.state() == BreakerState::Closed {
        get(breaker).await.unwrap_err();
    }
}

#[tokio::test]
async fn five_failures_open_it_and_then_no_operation_reaches_the_backend() {
    let backend = Scripted::new([], FAULT);
    let breaker = guarded(&backend, &Clock::manual());
    for _ in 0..5 {
        assert_eq!(get(&breaker).await, Err(ErrorKind::Unavailable));
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    for operation in OPERATIONS {
        let error = call(&breaker, operation, &OpContext::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BreakerOpen);
        let text = format!(
            "{operation}: the backend is left alone after failures \
             (backend: scripted, retry_in_ms: 200)"
        );
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(backend.count(), 5);
}

#[tokio::test]
async fn each_operation_can_be_the_one_that_opens_it() {
    for operation in OPERATIONS {
        let backend = Scripted::new([], Step::Fail(ErrorKind::Io));
        let breaker = guarded(&backend, &Clock::manual());
        for _ in 0..5 {
            call(&breaker, operation, &OpContext::default()).await.unwrap_err();
        }
        assert_eq!(breaker.state(), BreakerState::Open, "{operation}");
    }
}

#[tokio::test]
async fn errors_about_one_key_or_call_never_open_it() {
    for kind in [
        ErrorKind::Corrupt,
        ErrorKind::TooLarge,
        ErrorKind::InvalidInput,
        ErrorKind::Unsupported,
        ErrorKind::Closed,
    ] {
        let backend = Scripted::new([], Step::Fail(kind));
        let breaker = guarded(&backend, &Clock::manual());
        for _ in 0..50 {
            assert_eq!(get(&breaker).await, Err(kind));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_through_their_timeouts() {
    let backend = Scripted::new([], Step::Hang);
    let breaker = (backend as Arc<dyn Backend>)
        .with_timeout(TimeoutConfig::default())
        .with_breaker(CircuitBreakerConfig::default(), Clock::manual());
    for _ in 0..5 {
        assert_eq!(get(&breaker).await, Err(ErrorKind::Timeout));
    }
    assert_eq!(get(&breaker).await, Err(ErrorKind::BreakerOpen));
}

#[tokio::test]
async fn three_probes_close_it_and_every_change_is_told() {
    let backend = Scripted::new([], FAULT);
    let clock = Clock::manual();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let breaker = guarded(&backend, &clock)
        .on_change(move |change: &BreakerChange| ear.lock().push(change.clone()));
    open(&breaker).await;
    clock.advance(secs(2));
    backend.play_on(Step::Answer);
    for _ in 0..3 {
        get(&breaker).await.unwrap();
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    let changes: Vec<_> = heard.lock().iter().map(|change| (change.from, change.to)).collect();
    assert_eq!(
        changes,
        [
            (BreakerState::Closed, BreakerState::Open),
            (BreakerState::Open, BreakerState::HalfOpen),
            (BreakerState::HalfOpen, BreakerState::Closed),
        ]
    );
    assert!(heard.lock().iter().all(|change| change.backend == "scripted" && change.node == 0));
}

#[tokio::test]
async fn a_failed_probe_opens_it_for_twice_as_long() {
    let backend = Scripted::new([], FAULT);
    let clock = Clock::manual();
    let breaker = guarded(&backend, &clock);
    open(&breaker).await;
    clock.advance(ms(200));
    assert_eq!(get(&breaker).await, Err(ErrorKind::Unavailable));
    clock.advance(ms(399));
    assert_eq!(get(&breaker).await, Err(ErrorKind::BreakerOpen));
    clock.advance(ms(1));
    assert_eq!(get(&breaker).await, Err(ErrorKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn only_three_probes_run_at_a_time_and_a_dropped_one_is_given_back() {
    let backend = Scripted::new([], FAULT);
    let clock = Clock::manual();
    let breaker = Arc::new(guarded(&backend, &clock));
    open(&breaker).await;
    clock.advance(secs(2));
    backend.play_on(Step::Hang);
    let asked = backend.count();
    let probes: Vec<_> = (0..3)
        .map(|_| {
            let breaker = Arc::clone(&breaker);
            tokio::spawn(async move { get(&breaker).await })
        })
        .collect();
    while backend.count() < asked + 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&breaker).await, Err(ErrorKind::BreakerOpen));

    probes[0].abort();
    while !probes[0].is_finished() {
        tokio::task::yield_now().await;
    }
    assert_eq!(breaker.state(), BreakerState::HalfOpen, "a dropped probe is no verdict");
    backend.play_on(Step::Answer);
    for _ in 0..3 {
        get(&breaker).await.unwrap();
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    probes.iter().for_each(|probe| probe.abort());
}

#[tokio::test]
async fn by_hand_it_opens_until_it_is_closed_by_hand() {
    let backend = Scripted::new([], Step::Answer);
    let clock = Clock::manual();
    let breaker = guarded(&backend, &clock);
    breaker.trip();
    clock.advance(secs(86_400));
    let error = breaker.get(&key(), &OpContext::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "get: the backend is left alone after failures (backend: scripted)"
    );
    breaker.reset();
    get(&breaker).await.unwrap();
}

#[tokio::test]
async fn resetting_forgets_failures_and_growth() {
    let backend = Scripted::new([], FAULT);
    let clock = Clock::manual();
    let breaker = guarded(&backend, &clock);
    open(&breaker).await;
    breaker.reset();
    for _ in 0..4 {
        assert_eq!(get(&breaker).await, Err(ErrorKind::Unavailable));
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(get(&breaker).await, Err(ErrorKind::Unavailable));
    clock.advance(secs(2));
    assert_eq!(get(&breaker).await, Err(ErrorKind::Unavailable), "open for 2 s again, not 4 s");
}

#[tokio::test]
async fn health_tells_the_phase_and_closing_always_goes_through() {
    let backend = Scripted::new([], FAULT);
    let clock = Clock::manual();
    let breaker = guarded(&backend, &clock);
    assert!(matches!(breaker.health().await, BackendHealth::Down(_)));
    open(&breaker).await;
    let asked = backend.count();
    assert_eq!(breaker.health().await, BackendHealth::Down("circuit breaker is open".to_owned()));
    assert_eq!(backend.count(), asked);
    backend.play_on(Step::Answer);
    breaker.close().await.unwrap();
    assert_eq!(backend.calls().last().unwrap().0, "close");

    clock.advance(secs(2));
    get(&breaker).await.unwrap();
    let half_open = BackendHealth::Degraded("circuit breaker is half open".to_owned());
    assert_eq!(breaker.health().await, half_open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_agree_on_one_phase() {
    let backend = Scripted::new([], FAULT);
    let clock = Clock::manual();
    let changes = Arc::new(Mutex::new(0_u32));
    let ear = Arc::clone(&changes);
    let breaker = Arc::new(guarded(&backend, &clock).on_change(move |_| *ear.lock() += 1));
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let breaker = Arc::clone(&breaker);
            tokio::spawn(async move {
                for _ in 0..100 {
                    get(&breaker).await.unwrap_err();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*changes.lock(), 1, "the circuit opened once");
    // Calls already on their way when it opened may still arrive, one for each other worker.
    assert!(backend.count() <= 5 + 4, "{}", backend.count());
}
