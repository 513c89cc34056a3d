use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Backend, ErrorKind, OpContext, ms};
use cache_enterprise_resilience::{BackendExt, Hedge, HedgeConfig, HedgeDelay, RetryBudget};
use tokio::time::Instant;

use crate::scripted::{OPERATIONS, Scripted, Step, call};

const READS: [&str; 2] = ["get", "get_many"];

fn after(delay: Duration) -> HedgeConfig {
    HedgeConfig { delay: HedgeDelay::Fixed(delay), ..HedgeConfig::default() }
}

fn hedged(backend: &Arc<Scripted>, config: HedgeConfig) -> Arc<Hedge> {
    (Arc::clone(backend) as Arc<dyn Backend>).with_hedge(config)
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_is_answered_by_its_second_attempt() {
    for operation in READS {
        let backend = Scripted::new([Step::Hang], Step::AnswerAfter(ms(3)));
        let hedge = hedged(&backend, after(ms(10)));
        let started = Instant::now();
        call(&*hedge, operation, &OpContext::default()).await.unwrap();
        let elapsed = started.elapsed();
        assert!(elapsed >= ms(13) && elapsed <= ms(15), "{elapsed:?}");
        assert_eq!((backend.count(), hedge.started(), hedge.won()), (2, 1, 1), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_answers_after_all_wins() {
    let backend = Scripted::new([Step::AnswerAfter(ms(12))], Step::Hang);
    let hedge = hedged(&backend, after(ms(10)));
    call(&*hedge, "get", &OpContext::default()).await.unwrap();
    assert_eq!((backend.count(), hedge.started(), hedge.won()), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn only_reads_of_a_shared_backend_are_attempted_twice() {
    let slow = Step::AnswerAfter(ms(50));
    for operation in OPERATIONS {
        let (shared, local) = (Scripted::new([], slow), Scripted::local([], slow));
        for (backend, is_shared) in [(shared, true), (local, false)] {
            call(&*hedged(&backend, after(ms(10))), operation, &OpContext::default())
                .await
                .unwrap();
            let twice = is_shared && READS.contains(&operation);
            assert_eq!(backend.count(), 1 + usize::from(twice), "{operation}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_two_failing_leaves_the_answer_to_the_other() {
    let fails = |wait| Step::FailAfter(ms(wait), ErrorKind::Unavailable);
    let answers = |wait| Step::AnswerAfter(ms(wait));
    for (first, second) in [(fails(11), answers(5)), (answers(15), fails(2))] {
        let backend = Scripted::new([first, second], Step::Hang);
        call(&*hedged(&backend, after(ms(10))), "get", &OpContext::default()).await.unwrap();
    }
    let timeout = Step::FailAfter(ms(11), ErrorKind::Timeout);
    let backend = Scripted::new([timeout, fails(5)], Step::Hang);
    let hedge = hedged(&backend, after(ms(10)));
    let error = call(&*hedge, "get", &OpContext::default()).await.unwrap_err();
    assert_eq!((error.kind(), hedge.won()), (ErrorKind::Timeout, 0), "the first's own error");
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_delay_is_the_answer() {
    let backend = Scripted::new([Step::Fail(ErrorKind::Unavailable)], Step::Answer);
    let hedge = hedged(&backend, after(ms(10)));
    call(&*hedge, "get", &OpContext::default()).await.unwrap_err();
    assert_eq!(backend.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_second_attempt_gets_what_is_left_of_the_callers_time() {
    let backend = Scripted::new([Step::Hang], Step::Answer);
    let ctx = OpContext { timeout: Some(ms(100)) };
    call(&*hedged(&backend, after(ms(10))), "get", &ctx).await.unwrap();
    let calls = backend.calls();
    let left = calls[1].1.unwrap();
    assert!(calls[0].1 == ctx.timeout && left >= ms(88) && left <= ms(90), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn second_attempts_are_a_small_share_of_answered_reads() {
    let backend = Scripted::new([], Step::AnswerAfter(ms(50)));
    let hedge = hedged(&backend, after(ms(10)));
    for _ in 0..1_000 {
        call(&*hedge, "get", &OpContext::default()).await.unwrap();
    }
    // The ten that were saved up, and 5 % of a thousand reads.
    assert!((55..=60).contains(&hedge.started()), "{}", hedge.started());
}

#[tokio::test(start_paused = true)]
async fn they_are_paid_from_the_budget_that_retries_share() {
    let backend = Scripted::new([], Step::AnswerAfter(ms(50)));
    let budget = Arc::new(RetryBudget::new(3, 10));
    let config = HedgeConfig { budget: Some(Arc::clone(&budget)), ..after(ms(10)) };
    let hedge = hedged(&backend, config);
    for _ in 0..20 {
        call(&*hedge, "get", &OpContext::default()).await.unwrap();
    }
    assert_eq!((hedge.started(), budget.tokens()), (3, 0), "a hedge earns nothing");
}

#[tokio::test(start_paused = true)]
async fn their_own_share_is_kept_while_that_budget_is_empty() {
    let backend = Scripted::new([], Step::AnswerAfter(ms(50)));
    let budget = Arc::new(RetryBudget::new(3, 100));
    while budget.spend() {}
    let config =
        HedgeConfig { share_percent: 0, budget: Some(Arc::clone(&budget)), ..after(ms(10)) };
    let hedge = hedged(&backend, config);
    for _ in 0..20 {
        call(&*hedge, "get", &OpContext::default()).await.unwrap();
    }
    assert_eq!(hedge.started(), 0);
    (0..3).for_each(|_| budget.earn());
    for _ in 0..3 {
        call(&*hedge, "get", &OpContext::default()).await.unwrap();
    }
    assert_eq!(hedge.started(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_delay_follows_what_reads_take() {
    let backend = Scripted::new([], Step::AnswerAfter(ms(4)));
    let (min, max) = (ms(1), ms(100));
    let delay = HedgeDelay::Quantile { quantile: 0.95, min, max };
    let hedge = hedged(&backend, HedgeConfig { delay, ..HedgeConfig::default() });
    assert_eq!(hedge.delay(), max, "nothing is known yet");
    for _ in 0..128 {
        call(&*hedge, "get", &OpContext::default()).await.unwrap();
    }
    assert!(hedge.delay() >= ms(4) && hedge.delay() <= ms(7), "{:?}", hedge.delay());
    backend.play_on(Step::Answer);
    for _ in 0..10_000 {
        call(&*hedge, "get", &OpContext::default()).await.unwrap();
    }
    assert_eq!(hedge.delay(), min, "never sooner than told");
}
