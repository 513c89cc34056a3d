//! Level 1 needs no runtime: a hit is ready at once, a load runs under any executor.

use std::future::IntoFuture;

use cache_enterprise_core::mins;
use cache_enterprise_engine::{CacheSpec, block_on};

use crate::{manager, ready};

static SPEC: CacheSpec<String, u64> = CacheSpec::new("numbers").ttl(mins(5));

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn every_form_of_read_is_ready_with_a_waker_that_does_nothing() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(cache.set("a", 1_u64).into_future());
    assert_eq!(*ready(&mut Box::pin(is_send(cache.get("a")))).unwrap().unwrap(), 1);
    assert_eq!(*ready(&mut Box::pin(is_send(cache.get_with("a", || async { 2_u64 })))), 1);
    let fallible = is_send(cache.try_get_with("a", || async { Ok::<u64, String>(2) }));
    assert_eq!(*ready(&mut Box::pin(fallible)).unwrap(), 1);
    let fetch = is_send(cache.fetch("a").with(|| async { Ok::<u64, String>(2) }));
    assert_eq!(*ready(&mut Box::pin(fetch)).unwrap(), 1);
}

#[test]
fn a_runtime_without_timers_is_enough_for_loads_and_deadlines() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert_eq!(*cache.get_with("a", || async { 1_u64 }).await, 1);
        let owned = cache.fetch("b").detached(|_| async { Ok::<u64, String>(2) });
        assert_eq!(*owned.await.unwrap(), 2);
        let timed = cache.try_get_with("c", || async { Ok::<u64, String>(3) });
        assert_eq!(*timed.await.unwrap(), 3);
    });
}

#[test]
fn a_loader_that_is_not_send_may_borrow() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let origin = std::rc::Rc::new(5_u64);
    assert_eq!(*block_on(cache.get_with("a", || async { *origin })), 5);
}
