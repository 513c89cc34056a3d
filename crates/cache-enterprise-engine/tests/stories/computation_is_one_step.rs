//! `entry(..).and_compute_with(..)`: nobody comes between the value it read and the one it leaves.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use cache_enterprise_core::{Cached, mins, ms, secs, tag};
use cache_enterprise_engine::{Cache, CacheSpec, Compute, Computed, LoadError, block_on};
use tokio::sync::oneshot;

use crate::{manager, ready, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).hard_timeout(secs(2));

fn held(cache: &Cache<u64, u64>, key: u64) -> Option<u64> {
    cache.peek(&key).map(|value| *value)
}

/// Computes key 1 and says what it saw and what came of it.
fn compute(cache: &Cache<u64, u64>, next: Compute<u64>) -> (Option<u64>, Computed<u64>) {
    let seen = RefCell::new(None);
    let computed = block_on(cache.entry(&1).and_compute_with(|old| {
        *seen.borrow_mut() = old.map(|old| *old);
        async move { next }
    }));
    (seen.into_inner(), computed.unwrap())
}

#[test]
fn it_says_what_it_did() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (seen, done) = compute(&cache, Compute::Keep);
    assert!(seen.is_none() && matches!(done, Computed::StillAbsent));
    let (seen, done) = compute(&cache, Compute::Remove);
    assert!(seen.is_none() && matches!(done, Computed::StillAbsent));
    let (seen, done) = compute(&cache, Compute::Put(1));
    assert!(seen.is_none() && matches!(done, Computed::Inserted(new) if *new == 1));
    let (seen, done) = compute(&cache, Compute::Put(2));
    assert!(seen == Some(1) && matches!(done, Computed::Replaced(new) if *new == 2));
    let (seen, done) = compute(&cache, Compute::Keep);
    assert!(seen == Some(2) && matches!(done, Computed::Unchanged(old) if *old == 2));
    let (seen, done) = compute(&cache, Compute::Remove);
    assert!(seen == Some(2) && matches!(done, Computed::Removed(old) if *old == 2));
    assert!(cache.is_empty());
}

#[test]
fn its_value_has_the_life_and_tags_it_was_given() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let put = |key: u64| async move { Compute::Put(key) };
    block_on(cache.entry(&1).ttl(secs(1)).and_compute_with(|_| put(1))).unwrap();
    block_on(cache.entry(&2).tags([tag!("a")]).and_compute_with(|_| put(2))).unwrap();
    clock.advance(secs(1));
    assert_eq!([held(&cache, 1), held(&cache, 2)], [None, Some(2)]);
    block_on(manager.invalidate(tag!("a")));
    assert_eq!(held(&cache, 2), None);
    let invalid = block_on(cache.entry(&1).tags([""]).and_compute_with(|_| put(1)));
    assert!(matches!(invalid, Err(LoadError::Cache(_))));
}

#[test]
fn counts_of_many_threads_add_up() {
    const THREADS: u64 = 8;
    const EACH: u64 = 200;
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let next = |old: Option<Cached<u64>>| async move {
                        Compute::Put(old.map_or(0, |old| *old) + 1)
                    };
                    block_on(cache.entry(&1).and_compute_with(next)).unwrap();
                }
            });
        }
    });
    assert_eq!(held(&cache, 1), Some(THREADS * EACH));
}

type Computing<'a> =
    Pin<Box<dyn Future<Output = Result<Computed<u64>, LoadError<Infallible>>> + 'a>>;

/// Computes key 1 as its old value and one, and waits before it answers for the first time.
fn slow_increment<'a>(
    cache: &'a Cache<u64, u64>,
    origin: oneshot::Receiver<()>,
    seen: &'a RefCell<Vec<Option<u64>>>,
) -> Computing<'a> {
    let mut origin = Some(origin);
    Box::pin(cache.entry(&1).and_compute_with(move |old| {
        seen.borrow_mut().push(old.as_deref().copied());
        let origin = origin.take();
        async move {
            if let Some(origin) = origin {
                origin.await.unwrap();
            }
            Compute::Put(old.map_or(0, |old| *old) + 1)
        }
    }))
}

#[test]
fn a_set_in_between_is_what_it_computes_from() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let seen = RefCell::<Vec<Option<u64>>>::default();
    let (go, origin) = oneshot::channel::<()>();
    let mut computation = slow_increment(&cache, origin, &seen);
    waits(&mut computation);
    block_on(cache.set(&1, 10_u64).into_future());
    go.send(()).unwrap();
    let computed = ready(&mut computation).unwrap();
    assert!(matches!(computed, Computed::Replaced(value) if *value == 11));
    assert_eq!(*seen.borrow(), [None, Some(10)]);
    assert_eq!(held(&cache, 1), Some(11));
}

#[test]
fn a_removal_in_between_is_not_undone() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(cache.set(&1, 10_u64).into_future());
    let seen = RefCell::<Vec<Option<u64>>>::default();
    let (go, origin) = oneshot::channel::<()>();
    let mut computation = slow_increment(&cache, origin, &seen);
    waits(&mut computation);
    assert!(block_on(cache.remove(&1)));
    go.send(()).unwrap();
    let computed = ready(&mut computation).unwrap();
    assert!(matches!(computed, Computed::Inserted(value) if *value == 1));
    assert_eq!(*seen.borrow(), [Some(10), None]);
}

#[test]
fn it_waits_for_a_load_and_a_reader_waits_for_it() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, load) = oneshot::channel::<u64>();
    let mut loading = Box::pin(cache.get_with(&1, || async { load.await.unwrap() }));
    waits(&mut loading);
    let seen = RefCell::<Vec<Option<u64>>>::default();
    let (go, origin) = oneshot::channel::<()>();
    let mut computation = slow_increment(&cache, origin, &seen);
    waits(&mut computation);
    assert!(seen.borrow().is_empty(), "the load is not over");
    answer.send(5).unwrap();
    assert_eq!(*ready(&mut loading), 5);
    waits(&mut computation);
    cache.drop_level1();
    let mut reader = Box::pin(cache.get_with(&1, || async { 99_u64 }));
    waits(&mut reader);
    go.send(()).unwrap();
    assert!(matches!(ready(&mut computation).unwrap(), Computed::Replaced(value) if *value == 6));
    assert_eq!(*ready(&mut reader), 6);
}

#[test]
fn an_error_changes_nothing_and_nobody_gets_it_but_its_caller() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (fail, origin) = oneshot::channel::<String>();
    let mut origin = Some(origin);
    let mut computation = Box::pin(cache.entry(&1).and_try_compute_with(|_| {
        let origin = origin.take().unwrap();
        async { Err::<Compute<u64>, String>(origin.await.unwrap()) }
    }));
    waits(&mut computation);
    let mut reader = Box::pin(cache.try_get_with(&1, || async { Ok::<u64, String>(7) }));
    waits(&mut reader);
    fail.send("no".to_owned()).unwrap();
    assert_eq!(ready(&mut computation).unwrap_err().loader().map(String::as_str), Some("no"));
    assert_eq!(*ready(&mut reader).unwrap(), 7);
}

#[test]
fn a_dropped_or_hanging_computation_makes_way_for_the_next() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let hangs = |_| std::future::pending::<Compute<u64>>();
    let mut gone = Box::pin(cache.entry(&1).and_compute_with(hangs));
    waits(&mut gone);
    let mut next = Box::pin(cache.entry(&1).and_compute_with(hangs));
    waits(&mut next);
    drop(gone);
    waits(&mut next);
    let mut last = Box::pin(cache.entry(&1).and_compute_with(|_| async { Compute::Put(3) }));
    waits(&mut last);
    clock.advance(secs(2) - ms(1));
    manager.tick();
    waits(&mut next);
    cache.drop_level1();
    clock.advance(ms(1));
    manager.tick();
    assert!(matches!(ready(&mut next), Err(LoadError::Timeout)));
    assert!(matches!(ready(&mut last), Err(LoadError::Timeout)), "its two seconds are over too");
    let (_, done) = compute(&cache, Compute::Put(4));
    assert!(matches!(done, Computed::Inserted(_)));
}

#[test]
fn a_computation_inside_its_own_is_an_error() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let inner = cache.clone();
    let computed = block_on(cache.entry(&1).and_compute_with(|_| {
        let inner = inner.clone();
        async move {
            let again = inner.entry(&1).and_compute_with(|_| async { Compute::Put(1) }).await;
            assert!(matches!(again, Err(LoadError::Recursive)));
            Compute::Put(2)
        }
    }));
    assert!(matches!(computed.unwrap(), Computed::Inserted(value) if *value == 2));
}
