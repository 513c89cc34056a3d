//! A value past its life answers when its load fails, or at once with `stale_for`; a removed one
//! never does.

use std::future::IntoFuture;

use cache_enterprise_core::{mins, ms, secs};
use cache_enterprise_engine::{Cache, CacheSpec, block_on};
use cache_enterprise_testkit::wait;
use tokio::sync::oneshot;

use crate::{manager, poll, waits};

static GRACE: CacheSpec<u64, u64> = CacheSpec::new("grace").ttl(secs(10)).stale_if_error(secs(60));

fn after_a_failed_load(cache: &Cache<u64, u64>) -> Option<u64> {
    let loaded = block_on(cache.try_get_with(&1, || async { Err::<u64, &str>("down") }));
    loaded.ok().map(|value| *value)
}

#[test]
fn an_expired_value_answers_within_its_grace_and_not_after() {
    let (manager, clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    clock.advance(secs(70) - ms(1));
    assert_eq!(after_a_failed_load(&cache), Some(1));
    clock.advance(ms(1));
    assert_eq!(after_a_failed_load(&cache), None);
}

#[test]
fn what_was_ended_softly_is_a_fallback_and_what_was_removed_is_not() {
    let (manager, _clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    assert!(block_on(cache.expire(&1)));
    assert!(!cache.contains(&1));
    assert_eq!(after_a_failed_load(&cache), Some(1));
    block_on(cache.remove(&1));
    assert_eq!(after_a_failed_load(&cache), None);
}

#[test]
fn what_was_invalidated_is_no_fallback() {
    let (manager, _clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(cache.set(&1, 1_u64).tags(["t"]).into_future());
    block_on(cache.expire(&1));
    block_on(manager.invalidate("t"));
    assert_eq!(after_a_failed_load(&cache), None);
}

#[test]
fn stale_for_answers_at_once_and_refreshes_once() {
    let (manager, clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    clock.advance(secs(11));
    let (answer, origin) = oneshot::channel::<u64>();
    let first = cache.fetch(&1).stale_for(mins(1)).detached(move |_| origin);
    assert_eq!(*block_on(first).unwrap(), 1);
    let second = cache.fetch(&1).stale_for(mins(1));
    let second = second.detached(|_| async { Ok::<u64, String>(99) });
    assert_eq!(*block_on(second).unwrap(), 1);
    answer.send(2).unwrap();
    wait::until("the refresh has landed", || cache.contains(&1));
    assert_eq!(cache.peek(&1).map(|value| *value), Some(2));
    assert_eq!(cache.stats().loads, 1);
}

#[test]
fn stale_for_does_not_reach_as_far_as_a_longer_grace_for_errors() {
    let (manager, clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    clock.advance(secs(40));
    let fetch = cache.fetch(&1).stale_for(secs(5));
    let fetch = fetch.detached(|_| async { Ok::<u64, String>(2) });
    assert_eq!(*block_on(fetch).unwrap(), 2, "30 s past its life is more than 5 s");
}

#[test]
fn after_the_soft_timeout_the_old_value_answers_and_the_load_goes_on() {
    let (manager, clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    clock.advance(secs(11));
    let (answer, origin) = oneshot::channel::<u64>();
    let fetch = cache.fetch(&1).soft_timeout(ms(50)).detached(move |_| origin);
    let mut fetch = Box::pin(fetch);
    waits(&mut fetch);
    clock.advance(ms(49));
    manager.tick();
    waits(&mut fetch);
    clock.advance(ms(1));
    manager.tick();
    let std::task::Poll::Ready(value) = poll(&mut fetch) else { panic!("the timeout has passed") };
    assert_eq!(*value.unwrap(), 1);
    answer.send(2).unwrap();
    wait::until("the load has landed", || cache.contains(&1));
}

#[test]
fn an_owned_load_outlives_its_caller() {
    let (manager, _clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut fetch = Box::pin(cache.fetch(&1).detached(move |_| origin));
    waits(&mut fetch);
    drop(fetch);
    answer.send(4).unwrap();
    wait::until("the load has landed", || cache.contains(&1));
}

#[test]
fn what_is_invalidated_while_a_caller_waits_is_no_fallback_for_it() {
    let (manager, clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(cache.set(&1, 1_u64).tags(["t"]).into_future());
    clock.advance(secs(11));
    let mut leader = Box::pin(cache.get_with(&1, std::future::pending::<u64>));
    waits(&mut leader);
    let hangs = std::future::pending::<Result<u64, String>>;
    let mut early = Box::pin(cache.fetch(&1).hard_timeout(secs(1)).with(hangs));
    let mut late = Box::pin(cache.fetch(&1).hard_timeout(secs(2)).with(hangs));
    waits(&mut early);
    waits(&mut late);
    clock.advance(secs(1));
    manager.tick();
    let std::task::Poll::Ready(value) = poll(&mut early) else { panic!("its limit is over") };
    assert_eq!(*value.unwrap(), 1);
    block_on(manager.invalidate("t"));
    clock.advance(secs(1));
    manager.tick();
    assert!(matches!(poll(&mut late), std::task::Poll::Ready(Err(_))));
}
