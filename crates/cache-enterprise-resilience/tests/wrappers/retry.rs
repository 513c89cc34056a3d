use std::sync::Arc;

use cache_enterprise_core::{Backend, BackendHealth, ErrorKind, OpContext, ms};
use cache_enterprise_resilience::{Retry, RetryBudget, RetryConfig};
use tokio::time::Instant;

use crate::scripted::{OPERATIONS, Scripted, Step, call};

const FAULT: Step = Step::Fail(ErrorKind::Unavailable);

/// What is asked once, however it ends.
const ONCE: [&str; 2] = ["swap", "clear_prefix"];

fn retrying(backend: &Arc<Scripted>, config: RetryConfig) -> Retry {
    Retry::new(Arc::clone(backend) as Arc<dyn Backend>, config)
}

#[tokio::test(start_paused = true)]
async fn one_transient_error_is_not_seen_by_the_caller() {
    for operation in OPERATIONS.into_iter().filter(|operation| !ONCE.contains(operation)) {
        for kind in [ErrorKind::Timeout, ErrorKind::Unavailable, ErrorKind::Overloaded] {
            let backend = Scripted::new([Step::Fail(kind)], Step::Answer);
            let wrapped = retrying(&backend, RetryConfig::default());
            call(&wrapped, operation, &OpContext::default()).await.unwrap();
            assert_eq!(backend.count(), 2, "{operation} after {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_stays_is_told_at_once() {
    for kind in [ErrorKind::Corrupt, ErrorKind::Io, ErrorKind::Unsupported, ErrorKind::Closed] {
        let backend = Scripted::new([], Step::Fail(kind));
        let wrapped = retrying(&backend, RetryConfig::default());
        let error = call(&wrapped, "get", &OpContext::default()).await.unwrap_err();
        assert_eq!((error.kind(), backend.count()), (kind, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_without_a_fence_is_never_repeated() {
    for operation in ["put", "put_many"] {
        let backend = Scripted::with_fence(false, [FAULT], Step::Answer);
        let wrapped = retrying(&backend, RetryConfig::default());
        call(&wrapped, operation, &OpContext::default()).await.unwrap_err();
        assert_eq!(backend.count(), 1, "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_swap_is_never_repeated() {
    for fence in [true, false] {
        let backend = Scripted::with_fence(fence, [FAULT], Step::Answer);
        let wrapped = retrying(&backend, RetryConfig::default());
        call(&wrapped, "swap", &OpContext::default()).await.unwrap_err();
        assert_eq!(backend.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn administration_is_asked_once() {
    let backend = Scripted::new([], FAULT);
    let wrapped = retrying(&backend, RetryConfig::default());
    call(&wrapped, "clear_prefix", &OpContext::default()).await.unwrap_err();
    assert!(matches!(wrapped.health().await, BackendHealth::Down(_)));
    wrapped.close().await.unwrap_err();
    let operations: Vec<_> = backend.calls().into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(operations, ["clear_prefix", "health", "close"]);
}

#[tokio::test(start_paused = true)]
async fn attempts_end_and_the_waits_between_them_grow() {
    let backend = Scripted::new([], FAULT);
    let config = RetryConfig { attempts: 3, delay: ms(10), ..RetryConfig::default() };
    let started = Instant::now();
    let error = call(&retrying(&backend, config), "get", &OpContext::default()).await.unwrap_err();
    assert_eq!((error.kind(), backend.count()), (ErrorKind::Unavailable, 4));
    // 10 + 20 + 40 ms, each up to doubled by chance, in whole milliseconds of the timer.
    let waited = started.elapsed();
    assert!(waited >= ms(70) && waited <= ms(143), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn no_attempts_means_none() {
    let backend = Scripted::new([FAULT], Step::Answer);
    let config = RetryConfig { attempts: 0, ..RetryConfig::default() };
    call(&retrying(&backend, config), "get", &OpContext::default()).await.unwrap_err();
    assert_eq!(backend.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_further_attempt_gets_what_is_left_of_the_deadline() {
    let fault = Step::FailAfter(ms(60), ErrorKind::Unavailable);
    for deadline in [None, Some(ms(250))] {
        let backend = Scripted::new([fault], Step::Answer);
        let ctx = OpContext { timeout: deadline };
        let wrapped = retrying(&backend, RetryConfig::default());
        call(&wrapped, "get", &ctx).await.unwrap();
        let calls = backend.calls();
        assert_eq!(calls[0].1, deadline, "the first attempt has the caller's own context");
        let left = calls[1].1.unwrap();
        assert!(left >= ms(179) && left <= ms(185), "{left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_outlast_the_deadline_is_not_begun() {
    let fault = Step::FailAfter(ms(46), ErrorKind::Unavailable);
    let backend = Scripted::new([fault], Step::Answer);
    let wrapped = retrying(&backend, RetryConfig::default());
    let started = Instant::now();
    call(&wrapped, "get", &OpContext { timeout: Some(ms(50)) }).await.unwrap_err();
    assert_eq!((backend.count(), started.elapsed()), (1, ms(46)));
    assert_eq!(wrapped.budget().tokens(), 10, "what was not tried was not paid");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_dropped_before_it_began_is_not_paid() {
    let backend = Scripted::new([], FAULT);
    let config = RetryConfig { delay: ms(50), ..RetryConfig::default() };
    let wrapped = retrying(&backend, config);
    let ctx = OpContext::default();
    for _ in 0..20 {
        let call = call(&wrapped, "get", &ctx);
        assert!(tokio::time::timeout(ms(10), call).await.is_err(), "dropped while it waits");
    }
    assert_eq!((backend.count(), wrapped.budget().tokens()), (20, 10));
    call(&wrapped, "get", &ctx).await.unwrap_err();
    assert_eq!((backend.count(), wrapped.budget().tokens()), (22, 9), "one that began is");
}

#[tokio::test(start_paused = true)]
async fn backends_that_share_a_budget_share_its_end() {
    let config =
        RetryConfig { budget: Some(Arc::new(RetryBudget::new(1, 10))), ..RetryConfig::default() };
    let (first, second) = (Scripted::new([], FAULT), Scripted::new([], FAULT));
    let ctx = OpContext::default();
    call(&retrying(&first, config.clone()), "get", &ctx).await.unwrap_err();
    call(&retrying(&second, config), "get", &ctx).await.unwrap_err();
    assert_eq!((first.count(), second.count()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_success_earns() {
    for operation in OPERATIONS.into_iter().filter(|operation| *operation != "clear_prefix") {
        for fence in [true, false] {
            let budget = Arc::new(RetryBudget::new(1, 100));
            assert!(budget.spend());
            let backend = Scripted::with_fence(fence, [], Step::Answer);
            let config =
                RetryConfig { budget: Some(Arc::clone(&budget)), ..RetryConfig::default() };
            call(&retrying(&backend, config), operation, &OpContext::default()).await.unwrap();
            assert_eq!(budget.tokens(), 1, "{operation}");
        }
    }
}
