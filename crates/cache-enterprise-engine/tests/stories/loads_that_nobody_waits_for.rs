//! An owned load whose callers were all dropped goes on, or is cancelled where that was chosen.
//! Loads that would wait for each other for ever are told so.

use cache_enterprise_core::secs;
use cache_enterprise_engine::{CacheSpec, LoadError, OnNoWaiters, block_on};
use cache_enterprise_testkit::wait;
use tokio::sync::oneshot;

use crate::{manager, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(10));

/// Tells when it is dropped.
struct Tells(Option<oneshot::Sender<()>>);

impl Drop for Tells {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

#[test]
fn it_is_cancelled_when_the_last_caller_is_dropped() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (tell, mut told) = oneshot::channel();
    let fetch = || cache.fetch(&1).on_no_waiters(OnNoWaiters::Cancel);
    let tells = Tells(Some(tell));
    let mut first = Box::pin(fetch().detached(|_| async move {
        let _tells = tells;
        std::future::pending::<Result<u64, ()>>().await
    }));
    waits(&mut first);
    let mut second = Box::pin(fetch().detached(|_| async { Ok::<u64, ()>(2) }));
    waits(&mut second);
    drop(first);
    assert!(told.try_recv().is_err(), "somebody waits");
    drop(second);
    assert_eq!(block_on(&mut told), Ok(()));
    let again = block_on(fetch().detached(|_| async { Ok::<u64, ()>(3) }));
    assert_eq!(*again.unwrap(), 3);
}

#[test]
fn a_caller_that_was_answered_with_an_older_value_wants_it_to_go_on() {
    static GRACE: CacheSpec<u64, u64> =
        CacheSpec::new("grace").ttl(secs(10)).stale_if_error(secs(60));
    let (manager, clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(async { cache.set(&1, 1_u64).await });
    block_on(cache.expire(&1));
    let (answer, origin) = oneshot::channel::<u64>();
    let fetch = cache.fetch(&1).soft_timeout(secs(1));
    let fetch = fetch.on_no_waiters(OnNoWaiters::Cancel);
    let mut fetch = Box::pin(fetch.detached(|_| origin));
    waits(&mut fetch);
    clock.advance(secs(1));
    manager.tick();
    assert_eq!(*block_on(fetch).unwrap(), 1);
    answer.send(2).unwrap();
    wait::until("the load has landed", || cache.contains(&1));
}

#[test]
fn a_recursion_across_tasks_is_told() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (outer, inner) = (cache.clone(), cache.clone());
    let first = cache.fetch(&1).detached(move |_| async move {
        let second = outer.fetch(&2).detached(move |_| async move {
            match inner.fetch(&1).detached(|_| async { Ok::<u64, &str>(0) }).await {
                Err(LoadError::Recursive) => Ok::<u64, &str>(20),
                _ => Err("it waited"),
            }
        });
        second.await.map(|value| *value + 1).map_err(|_| "the second failed")
    });
    assert_eq!(*block_on(first).unwrap(), 21);
    assert_eq!(cache.peek(&2).map(|value| *value), Some(20));
}

#[test]
fn two_loads_that_ask_for_each_other_do_not_wait_for_ever() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (go, start) = oneshot::channel::<()>();
    let inner = cache.clone();
    let mut first = Box::pin(cache.try_get_with(&1, || async move {
        start.await.unwrap();
        inner.try_get_with(&2, || async { Ok::<u64, &str>(20) }).await.map_err(|_| "lost")?;
        Ok::<u64, &str>(1)
    }));
    waits(&mut first);
    let inner = cache.clone();
    let mut second = Box::pin(cache.try_get_with(&2, || async move {
        match inner.try_get_with(&1, || async { Ok::<u64, &str>(10) }).await {
            Err(LoadError::Recursive) => Err("recursive"),
            _ => Ok::<u64, &str>(2),
        }
    }));
    waits(&mut second);
    go.send(()).unwrap();
    let first = crate::ready(&mut first);
    assert!(first.is_err(), "it would wait for a load that waits for it");
    drop(first);
    assert!(crate::poll(&mut second).is_ready());
}
