//! What can happen to a leader, times what its followers hold: a borrowed loader (`get_with`) or
//! an owned one (`detached`).

use std::panic::{AssertUnwindSafe, catch_unwind};

use cache_enterprise_core::{Cached, mins, secs};
use cache_enterprise_engine::{Cache, CacheSpec, LoadContext, LoadError, block_on};
use tokio::sync::oneshot;

use crate::{manager, poll, ready, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).takeover_after(secs(1));

type Owned = Result<Cached<u64>, LoadError<std::convert::Infallible>>;

async fn borrowed(cache: &Cache<u64, u64>, value: u64) -> u64 {
    *cache.get_with(&1, || async move { value }).await
}

async fn detached(cache: &Cache<u64, u64>, value: u64) -> u64 {
    let owned: Owned = cache.fetch(&1).detached(move |_| async move { Ok(value) }).await;
    *owned.unwrap()
}

#[test]
fn a_dropped_leader_hands_over_to_the_next() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut leader = Box::pin(cache.get_with(&1, std::future::pending::<u64>));
    waits(&mut leader);
    let mut first = Box::pin(borrowed(&cache, 2));
    let mut second = Box::pin(detached(&cache, 3));
    waits(&mut first);
    waits(&mut second);
    drop(leader);
    assert_eq!(ready(&mut first), 2);
    assert_eq!(ready(&mut second), 2);
}

#[test]
fn a_dropped_leader_hands_over_to_an_owned_loader() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut leader = Box::pin(cache.get_with(&1, std::future::pending::<u64>));
    waits(&mut leader);
    let mut follower = Box::pin(detached(&cache, 3));
    waits(&mut follower);
    drop(leader);
    assert_eq!(block_on(follower), 3);
}

#[test]
fn a_chosen_follower_that_leaves_passes_the_lead_on() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut leader = Box::pin(cache.get_with(&1, std::future::pending::<u64>));
    waits(&mut leader);
    let mut chosen = Box::pin(borrowed(&cache, 2));
    let mut last = Box::pin(borrowed(&cache, 3));
    waits(&mut chosen);
    waits(&mut last);
    drop(leader);
    drop(chosen);
    assert_eq!(ready(&mut last), 3);
}

#[test]
fn a_panic_unwinds_in_its_own_caller_and_the_next_leads() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (go, start) = oneshot::channel::<()>();
    let mut leader = Box::pin(cache.get_with(&1, || async {
        start.await.unwrap();
        panic!("the loader's own");
        #[expect(unreachable_code, reason = "gives the loader its type")]
        0_u64
    }));
    waits(&mut leader);
    let mut first = Box::pin(borrowed(&cache, 2));
    let mut second = Box::pin(detached(&cache, 3));
    waits(&mut first);
    waits(&mut second);
    go.send(()).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut leader))).is_err());
    drop(leader);
    assert_eq!(ready(&mut first), 2);
    assert_eq!(ready(&mut second), 2);
}

#[test]
fn after_three_panics_each_runs_its_own() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (go, start) = oneshot::channel::<()>();
    let mut leader = Box::pin(cache.get_with(&1, || async {
        start.await.unwrap();
        panic!("first");
        #[expect(unreachable_code, reason = "gives the loader its type")]
        0_u64
    }));
    waits(&mut leader);
    let panics = || async {
        panic!("again");
        #[expect(unreachable_code, reason = "gives the loader its type")]
        0_u64
    };
    let mut second = Box::pin(cache.get_with(&1, panics));
    let mut third = Box::pin(cache.get_with(&1, panics));
    waits(&mut second);
    waits(&mut third);
    let mut ones: Vec<_> = (10..20).map(|value| Box::pin(borrowed(&cache, value))).collect();
    ones.iter_mut().for_each(waits);
    let mut owned = Box::pin(detached(&cache, 30));
    waits(&mut owned);
    go.send(()).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut leader))).is_err());
    drop(leader);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut second))).is_err());
    drop(second);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut third))).is_err());
    drop(third);
    for (value, one) in (10..20).zip(&mut ones) {
        assert_eq!(ready(one), value);
    }
    assert_eq!(block_on(owned), 30);
    assert!(cache.peek(&1).is_none(), "what is not shared is not stored");
}

#[test]
fn a_leader_that_is_woken_and_not_polled_loses_the_lead() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut leader = Box::pin(cache.get_with(&1, || async { origin.await.unwrap() }));
    waits(&mut leader);
    let mut first = Box::pin(borrowed(&cache, 2));
    let mut second = Box::pin(detached(&cache, 3));
    waits(&mut first);
    waits(&mut second);
    answer.send(1).unwrap();
    clock.advance(secs(1) - cache_enterprise_core::ms(1));
    manager.tick();
    waits(&mut first);
    clock.advance(cache_enterprise_core::ms(1));
    manager.tick();
    assert_eq!(ready(&mut first), 2);
    assert_eq!(block_on(second), 2);
    assert_eq!(*ready(&mut leader), 1, "the late value goes to its own caller");
    assert_eq!(cache.peek(&1).map(|value| *value), Some(2));
    assert_eq!(cache.stats().takeovers, 1);
}

#[test]
fn a_slow_leader_that_is_not_woken_keeps_the_lead() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut leader = Box::pin(cache.get_with(&1, || async { origin.await.unwrap() }));
    waits(&mut leader);
    let mut follower = Box::pin(borrowed(&cache, 2));
    waits(&mut follower);
    clock.advance(secs(10));
    manager.tick();
    waits(&mut follower);
    answer.send(1).unwrap();
    assert_eq!(*ready(&mut leader), 1);
    assert_eq!(ready(&mut follower), 1);
}

#[test]
fn a_loader_that_asks_for_its_own_key_is_not_waited_for() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let inner = cache.clone();
    let value = block_on(cache.get_with(&1, || async { borrowed(&inner, 5).await + 1 }));
    assert_eq!(*value, 6);
    assert_eq!(cache.peek(&1).map(|value| *value), Some(6), "the outer load is the one stored");

    let inner = cache.clone();
    let failed = block_on(cache.try_get_with(&2, || async move {
        let again = inner.try_get_with(&2, || async { Ok::<u64, &str>(1) }).await;
        match again {
            Err(LoadError::Recursive) => Err("recursive"),
            _ => Ok(0_u64),
        }
    }));
    assert_eq!(failed.unwrap_err().loader(), Some(&"recursive"));
}

#[test]
fn an_owned_loader_that_led_an_older_load_is_believed() {
    static PATHS: CacheSpec<u64, u64> = CacheSpec::new("paths").ttl(mins(5)).paths();
    let (manager, _clock) = manager();
    let cache = manager.open(&PATHS).unwrap();
    let mut leader = Box::pin(cache.get_opt_with(&1, std::future::pending::<Option<u64>>));
    waits(&mut leader);
    block_on(async { cache.set(&2, 2_u64).await });
    let absent = |cx: LoadContext<u64>| async move { Ok::<_, ()>(cx.absent()) };
    let mut follower = Box::pin(cache.fetch(&1).detached(absent));
    waits(&mut follower);
    drop(leader);
    assert!(matches!(block_on(follower), Err(LoadError::Absent)));
}
