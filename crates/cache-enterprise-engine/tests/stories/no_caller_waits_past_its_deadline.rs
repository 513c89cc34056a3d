//! The hard timeout bounds a caller, leader or follower, whatever the loader does.

use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use cache_enterprise_core::{mins, ms, secs};
use cache_enterprise_engine::{CacheSpec, LoadError, block_on};
use cache_enterprise_testkit::wait;
use tokio::sync::oneshot;

use crate::{manager, poll, ready, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).hard_timeout(secs(2));

#[test]
fn a_leader_gives_up_at_its_deadline_and_not_before() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let hangs = std::future::pending::<Result<u64, String>>;
    let mut leader = Box::pin(cache.try_get_with(&1, hangs));
    waits(&mut leader);
    clock.advance(secs(2) - ms(1));
    manager.tick();
    waits(&mut leader);
    clock.advance(ms(1));
    manager.tick();
    assert!(matches!(ready(&mut leader), Err(LoadError::Timeout)));
}

#[test]
fn a_follower_gives_up_at_its_own_deadline() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let hangs = std::future::pending::<Result<u64, String>>;
    let mut leader = Box::pin(cache.try_get_with(&1, hangs));
    waits(&mut leader);
    clock.advance(secs(1));
    let mut followers: Vec<_> = (0..10).map(|_| Box::pin(cache.try_get_with(&1, hangs))).collect();
    followers.iter_mut().for_each(waits);
    clock.advance(secs(1));
    manager.tick();
    assert!(ready(&mut leader).is_err());
    followers.retain_mut(|follower| poll(follower).is_pending());
    clock.advance(secs(1));
    manager.tick();
    for follower in &mut followers {
        assert!(matches!(ready(follower), Err(LoadError::Timeout)));
    }
}

#[test]
fn an_owned_load_that_hangs_is_a_timeout_for_its_caller() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let hangs = cache.fetch(&1).detached(|_| std::future::pending::<Result<u64, String>>());
    let mut caller = Box::pin(hangs);
    waits(&mut caller);
    wait::until("the loader was asked", || cache.stats().loads == 1);
    clock.advance(secs(2));
    manager.tick();
    assert!(matches!(block_on(caller), Err(LoadError::Timeout)));
}

#[test]
fn a_follower_sent_round_again_gets_no_second_limit() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    // It came before the follower and may hang for as long as it likes: nobody can make it fail.
    let mut leader = Box::pin(cache.get_with(&1, std::future::pending::<u64>));
    waits(&mut leader);
    clock.advance(secs(1));
    let hangs = std::future::pending::<Result<u64, String>>;
    let mut follower = Box::pin(cache.try_get_with(&1, hangs));
    waits(&mut follower);
    clock.advance(secs(1));
    manager.tick();
    waits(&mut follower);
    clock.advance(secs(1) - ms(1));
    manager.tick();
    waits(&mut follower);
    clock.advance(ms(1));
    manager.tick();
    assert!(matches!(ready(&mut follower), Err(LoadError::Timeout)), "two seconds are over");
}

#[test]
fn a_follower_is_more_patient_than_its_leader_or_less() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let hangs = std::future::pending::<Result<u64, String>>;
    let mut leader = Box::pin(cache.try_get_with(&1, hangs));
    waits(&mut leader);
    let mut hasty = Box::pin(cache.fetch(&1).hard_timeout(ms(100)).with(hangs));
    let patient = cache.fetch(&1).hard_timeout(secs(9));
    let mut patient = Box::pin(patient.with(|| async { Ok::<u64, String>(9) }));
    let mut owned = Box::pin(cache.fetch(&1).hard_timeout(ms(100)).detached(move |_| hangs()));
    waits(&mut hasty);
    waits(&mut patient);
    waits(&mut owned);
    clock.advance(ms(100));
    manager.tick();
    assert!(matches!(ready(&mut hasty), Err(LoadError::Timeout)));
    assert!(matches!(ready(&mut owned), Err(LoadError::Timeout)));
    waits(&mut patient);
    clock.advance(secs(2) - ms(100));
    manager.tick();
    assert!(matches!(ready(&mut leader), Err(LoadError::Timeout)));
    assert_eq!(*ready(&mut patient).unwrap(), 9, "its own limit is not over: it loads itself");
}

#[test]
fn a_load_with_a_longer_limit_of_its_own_is_stored() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut load = Box::pin(cache.fetch(&1).hard_timeout(secs(60)).with(|| origin));
    waits(&mut load);
    clock.advance(secs(30));
    manager.tick();
    let mut follower = Box::pin(cache.get_with(&1, || async { 2_u64 }));
    waits(&mut follower);
    answer.send(1).unwrap();
    assert_eq!(*ready(&mut load).unwrap(), 1);
    assert_eq!(*ready(&mut follower), 1, "the load was not taken from its leader");
    assert_eq!(cache.peek(&1).map(|value| *value), Some(1));
}

#[test]
fn a_flight_that_is_taken_over_has_the_limit_of_its_new_leader() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut gone = Box::pin(cache.get_with(&1, std::future::pending::<u64>));
    waits(&mut gone);
    let (answer, origin) = oneshot::channel::<u64>();
    let mut patient = Box::pin(cache.fetch(&1).hard_timeout(secs(60)).with(|| origin));
    waits(&mut patient);
    drop(gone);
    waits(&mut patient);
    clock.advance(secs(30));
    manager.tick();
    answer.send(1).unwrap();
    assert_eq!(*ready(&mut patient).unwrap(), 1);
    assert_eq!(cache.peek(&1).map(|value| *value), Some(1));
}

#[test]
fn a_follower_that_gives_up_falls_back_on_what_is_past_its_life() {
    static GRACE: CacheSpec<u64, u64> =
        CacheSpec::new("grace").ttl(secs(10)).stale_if_error(mins(5)).hard_timeout(secs(2));
    let (manager, clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    clock.advance(secs(11));
    let mut leader = Box::pin(cache.get_with(&1, std::future::pending::<u64>));
    waits(&mut leader);
    let hangs = std::future::pending::<Result<u64, String>>;
    let mut follower = Box::pin(cache.fetch(&1).hard_timeout(secs(1)).with(hangs));
    waits(&mut follower);
    clock.advance(secs(1));
    manager.tick();
    assert_eq!(*ready(&mut follower).unwrap(), 1);
}

#[derive(Default)]
struct WakeUps(AtomicUsize);

impl Wake for WakeUps {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The model of `tests/model` found this: a flight that was taken from its leader forgot the
/// leader's waker, so a loader that took longer than the hard timeout woke nobody.
#[test]
fn a_caller_without_a_deadline_is_woken_by_its_loader_after_the_flight_was_taken() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut leader = Box::pin(cache.get_with(&1, || async { origin.await.unwrap() }));
    let wake_ups = Arc::new(WakeUps::default());
    let waker = Waker::from(Arc::clone(&wake_ups));
    assert!(leader.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    clock.advance(secs(2));
    manager.tick();
    assert_eq!(cache.stats().takeovers, 1);
    answer.send(10).unwrap();
    assert_eq!(wake_ups.0.load(Ordering::Relaxed), 1);
    assert_eq!(*ready(&mut leader), 10);
}
