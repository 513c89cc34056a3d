//! After a failed load an older value answers for a while without another attempt; who shares an
//! error, who retries, and how long an error is kept is chosen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::{hours, mins, secs};
use cache_enterprise_engine::{Cache, CacheSpec, LoadError, OnError, block_on};

use crate::stale_value_answers_while_one_refresh_runs::loading;
use crate::{manager, ready, waits};

static GRACE: CacheSpec<u64, u64> = CacheSpec::new("grace").ttl(secs(10)).stale_if_error(hours(1));

type Loaded = Result<u64, LoadError<&'static str>>;

fn fails(cache: &Cache<u64, u64>, calls: &AtomicU64) -> Loaded {
    let load = || async {
        calls.fetch_add(1, Ordering::SeqCst);
        Err::<u64, _>("down")
    };
    block_on(cache.try_get_with(&1, load)).map(|value| *value)
}

#[test]
fn rests_grow_from_a_second_to_half_a_minute() {
    let (manager, clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(async { cache.set(&1, 1_u64).await });
    clock.advance(secs(10));
    let calls = AtomicU64::new(0);
    for (rest, expected) in [(1, 1), (2, 2), (4, 3), (8, 4), (16, 5), (30, 6), (30, 7)] {
        assert_eq!(fails(&cache, &calls).unwrap(), 1);
        assert_eq!(fails(&cache, &calls).unwrap(), 1);
        assert_eq!(calls.load(Ordering::SeqCst), expected, "one attempt, then a rest of {rest} s");
        clock.advance(secs(rest));
    }
}

#[test]
fn a_key_without_an_older_value_does_not_rest() {
    let (manager, _clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    let calls = AtomicU64::new(0);
    assert!(fails(&cache, &calls).is_err() && fails(&cache, &calls).is_err());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn a_failed_refresh_rests_too() {
    static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(10)).stale_for(mins(5));
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&SPEC).unwrap());
    block_on(numbers.load(&1)).unwrap();
    clock.advance(secs(11));
    origin.hold().send(Err("down")).unwrap();
    assert_eq!(*block_on(numbers.load(&1)).unwrap(), 1);
    let failed = || numbers.stats().load_failures == 1;
    cache_enterprise_testkit::wait::until("the refresh has failed", failed);
    for _ in 0..10 {
        assert_eq!(*block_on(numbers.load(&1)).unwrap(), 1);
    }
    assert_eq!(origin.loads(), 2, "the key rests");
    clock.advance(secs(1));
    assert_eq!(*block_on(numbers.load(&1)).unwrap(), 1);
    cache_enterprise_testkit::wait::until("the next has landed", || numbers.contains(&1));
}

#[test]
fn a_kept_error_answers_until_its_time_or_until_the_key_changes() {
    static KEPT: CacheSpec<u64, u64> =
        CacheSpec::new("kept").ttl(secs(10)).on_error(OnError::CacheFor(secs(5)));
    let (manager, clock) = manager();
    let cache = manager.open(&KEPT).unwrap();
    let calls = AtomicU64::new(0);
    for _ in 0..3 {
        assert_eq!(fails(&cache, &calls).unwrap_err().loader(), Some(&"down"));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let other = block_on(cache.try_get_with(&1, || async { Err::<u64, u8>(7) }));
    assert_eq!(other.unwrap_err().loader(), Some(&7), "an error of another type is not its own");
    assert_eq!(fails(&cache, &calls).unwrap_err().loader(), Some(&"down"));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    block_on(cache.remove(&1));
    assert!(fails(&cache, &calls).is_err());
    assert_eq!(calls.load(Ordering::SeqCst), 3, "the key was removed");
    block_on(cache.clear());
    assert!(fails(&cache, &calls).is_err());
    assert_eq!(calls.load(Ordering::SeqCst), 4, "the cache was cleared");
    clock.advance(secs(5));
    assert!(fails(&cache, &calls).is_err());
    assert_eq!(calls.load(Ordering::SeqCst), 5, "its time is over");
}

#[test]
fn the_next_waiter_tries_its_own_loader_and_the_first_gets_its_error() {
    static RETRY: CacheSpec<u64, u64> =
        CacheSpec::new("retry").ttl(secs(10)).on_error(OnError::RetryNext);
    let (manager, _clock) = manager();
    let cache = manager.open(&RETRY).unwrap();
    let (fail, failed) = tokio::sync::oneshot::channel::<()>();
    let mut first = Box::pin(cache.try_get_with(&1, || async {
        failed.await.unwrap();
        Err::<u64, _>("down")
    }));
    waits(&mut first);
    let mut second = Box::pin(cache.try_get_with(&1, || async { Ok::<u64, &str>(2) }));
    waits(&mut second);
    fail.send(()).unwrap();
    assert_eq!(ready(&mut first).unwrap_err().loader(), Some(&"down"));
    assert_eq!(*ready(&mut second).unwrap(), 2);
}

#[test]
fn an_owned_load_that_fails_leaves_the_key_to_the_next() {
    static RETRY: CacheSpec<u64, u64> =
        CacheSpec::new("retry").ttl(secs(10)).on_error(OnError::RetryNext);
    let (manager, _clock) = manager();
    let (numbers, origin) = loading(&manager.open(&RETRY).unwrap());
    let answer = origin.hold();
    let mut first = Box::pin(numbers.load(&1));
    waits(&mut first);
    cache_enterprise_testkit::wait::until("the load has begun", || origin.loads() == 1);
    answer.send(Err("down")).unwrap();
    assert_eq!(block_on(first).unwrap_err().loader(), Some(&"down"));
    assert_eq!(*block_on(numbers.load(&1)).unwrap(), 2);
}

#[test]
fn all_who_wait_share_one_error() {
    static SHARE: CacheSpec<u64, u64> = CacheSpec::new("share").ttl(secs(10));
    let (manager, _clock) = manager();
    let (numbers, origin) = loading(&manager.open(&SHARE).unwrap());
    let answer = origin.hold();
    let mut readers: Vec<_> = (0..10).map(|_| Box::pin(numbers.load(&1))).collect();
    readers.iter_mut().for_each(waits);
    cache_enterprise_testkit::wait::until("the load has begun", || origin.loads() == 1);
    answer.send(Err("down")).unwrap();
    let errors: Vec<_> = readers
        .into_iter()
        .map(|reader| match block_on(reader) {
            Err(LoadError::Loader(error)) => error,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(errors.iter().all(|error| Arc::ptr_eq(error, &errors[0])));
    assert_eq!(origin.loads(), 1);
}
