//! `get_many_with`: one loader call for what is missing, and an outcome for every key.

use std::cell::{Cell, RefCell};
use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use cache_enterprise_core::{Clock, Event, Observer, mins, ms, secs, tag};
use cache_enterprise_engine::{
    Batch, Cache, CacheManager, CacheSpec, LoadError, Loaded, Missing, Options, block_on,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{manager, poll, ready, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).hard_timeout(secs(2));

/// The tenfold of every key.
fn tenfold(keys: &[u64]) -> Vec<(u64, u64)> {
    keys.iter().map(|key| (*key, key * 10)).collect()
}

/// What a call found, `None` for absent keys.
fn found<E: std::fmt::Debug>(loaded: Loaded<u64, u64, E>) -> Vec<Option<u64>> {
    loaded.into_values().unwrap().into_iter().map(|value| value.map(|value| *value)).collect()
}

/// Loads `keys` and notes what the loader was asked for.
fn load(cache: &Cache<u64, u64>, keys: &[u64], asked: &RefCell<Vec<Vec<u64>>>) -> Vec<Option<u64>> {
    let load = |missing: Missing<u64>| {
        asked.borrow_mut().push(missing.to_vec());
        async move { tenfold(&missing) }
    };
    found(block_on(cache.get_many_with(keys.iter().copied(), load)))
}

#[test]
fn the_loader_is_asked_once_for_what_is_missing_and_the_order_stays() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(cache.set(&2, 7_u64).into_future());
    let asked = RefCell::default();
    assert_eq!(load(&cache, &[3, 2, 1], &asked), [Some(30), Some(7), Some(10)]);
    assert_eq!(load(&cache, &[1, 2, 3], &asked), [Some(10), Some(7), Some(30)]);
    assert_eq!(*asked.borrow(), [vec![3, 1]]);
    assert_eq!(cache.stats().loads, 1);
}

#[test]
fn a_key_that_is_named_twice_is_loaded_once() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let asked = RefCell::default();
    assert_eq!(load(&cache, &[1, 2, 1], &asked), [Some(10), Some(20), Some(10)]);
    assert_eq!(*asked.borrow(), [vec![1, 2]]);
}

#[test]
fn a_key_that_is_named_twice_is_asked_for_once_though_it_stays_unknown() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let asked = RefCell::<Vec<Vec<u64>>>::default();
    let load = |missing: Missing<u64>| {
        asked.borrow_mut().push(missing.to_vec());
        async {
            let mut batch: Batch<u64, u64, String> = Batch::new();
            batch.partial();
            batch
        }
    };
    let loaded = block_on(cache.get_many_with([1_u64, 1], load));
    let errors: Vec<_> = loaded.errors().collect();
    assert!(matches!(errors[..], [(1, LoadError::Omitted), (1, LoadError::Omitted)]));
    assert_eq!(*asked.borrow(), [[1]]);
}

#[test]
fn nothing_is_asked_for_no_keys() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let load = |_| -> std::future::Ready<Vec<(u64, u64)>> { unreachable!("nothing is missing") };
    assert!(block_on(cache.get_many_with([0_u64; 0], load)).is_empty());
}

#[test]
fn what_an_answer_does_not_name_is_absent_and_remembered() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let calls = Cell::new(0);
    let ask = || {
        let load = |_| {
            calls.set(calls.get() + 1);
            async { vec![(1_u64, 10_u64), (99, 990)] }
        };
        found(block_on(cache.get_many_with([1_u64, 2], load)))
    };
    assert_eq!(ask(), [Some(10), None]);
    assert_eq!(ask(), [Some(10), None]);
    assert_eq!(calls.get(), 1, "the absence of 2 is remembered");
    assert!(cache.peek(&99).is_none(), "nobody asked for 99");
    clock.advance(secs(30));
    assert_eq!(ask(), [Some(10), None]);
    assert_eq!(calls.get(), 2, "the absence of 2 has ended");
}

#[test]
fn what_a_partial_answer_does_not_name_is_unknown() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let load = |_| async {
        let mut batch: Batch<u64, u64, String> = Batch::new();
        batch.partial().value(1, 10_u64);
        batch.absent(2);
        batch
    };
    let loaded = block_on(cache.get_many_with([1_u64, 2, 3], load));
    assert_eq!(loaded.absent().collect::<Vec<_>>(), [&2]);
    let errors: Vec<_> = loaded.errors().collect();
    assert!(matches!(errors[..], [(3, LoadError::Omitted)]));
    assert_eq!(cache.stats().absences.entries, 1, "of 3 nothing is remembered");
}

#[test]
fn each_key_has_the_life_tags_and_error_its_loader_gave_it() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let load = |_| async {
        let mut batch = Batch::new();
        batch.value(1, 10_u64).ttl(secs(1));
        batch.value(2, 20_u64).tag(tag!("org:7"));
        batch.value(3, 30_u64).skip();
        batch.error(4, "no such shard");
        batch.value(5, 50_u64);
        batch
    };
    let loaded = block_on(cache.get_many_with(1_u64..=5, load));
    assert_eq!(loaded.values().map(|(_, value)| **value).collect::<Vec<_>>(), [10, 20, 30, 50]);
    let errors: Vec<_> = loaded.errors().map(|(key, error)| (*key, error.loader())).collect();
    assert_eq!(errors, [(4, Some(&"no such shard"))]);
    let held = || (1..=5).filter(|key| cache.contains(key)).collect::<Vec<u64>>();
    assert_eq!(held(), [1, 2, 5]);
    clock.advance(secs(1));
    assert_eq!(held(), [2, 5]);
    block_on(manager.invalidate(tag!("org:7")));
    assert_eq!(held(), [5]);
}

#[test]
fn an_error_of_the_whole_load_is_that_of_every_key_and_shared() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (fail, origin) = oneshot::channel::<String>();
    let mut origin = Some(origin);
    let load = |_: Missing<u64>| {
        let origin = origin.take().unwrap();
        async { Err::<Vec<(u64, u64)>, String>(origin.await.unwrap()) }
    };
    let mut batch = Box::pin(cache.get_many_with([1_u64, 2], load));
    waits(&mut batch);
    let hangs = std::future::pending::<Result<u64, String>>;
    let mut follower = Box::pin(cache.try_get_with(&2, hangs));
    waits(&mut follower);
    fail.send("down".to_owned()).unwrap();
    let loaded = ready(&mut batch);
    assert_eq!(loaded.errors().count(), 2);
    assert_eq!(ready(&mut follower).unwrap_err().loader().map(String::as_str), Some("down"));
    assert!(cache.is_empty());
}

#[test]
fn keys_in_flight_elsewhere_are_waited_for_and_not_asked_for_again() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut single = Box::pin(cache.get_with(&2, || async { origin.await.unwrap() }));
    waits(&mut single);
    let asked = RefCell::<Vec<Vec<u64>>>::default();
    let load = |missing: Missing<u64>| {
        asked.borrow_mut().push(missing.to_vec());
        async move { tenfold(&missing) }
    };
    let mut batch = Box::pin(cache.get_many_with([1_u64, 2, 3], load));
    waits(&mut batch);
    assert_eq!(cache.peek(&1).map(|value| *value), Some(10), "its own keys do not wait for 2");
    answer.send(7).unwrap();
    assert_eq!(*ready(&mut single), 7);
    assert_eq!(found(ready(&mut batch)), [Some(10), Some(7), Some(30)]);
    assert_eq!(*asked.borrow(), [vec![1, 3]]);
}

#[cfg(feature = "tiers")]
#[tokio::test]
async fn a_load_that_it_alone_waits_for_is_not_cancelled_while_other_keys_end() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (first, one) = oneshot::channel::<u64>();
    let mut single = Box::pin(cache.get_with(&1, || async { one.await.unwrap() }));
    waits(&mut single);
    let (second, two) = oneshot::channel::<u64>();
    let owned = cache.fetch(&2).on_no_waiters(cache_enterprise_engine::OnNoWaiters::Cancel);
    let mut owned = Box::pin(owned.detached(|_| two));
    waits(&mut owned);
    let load = |_| -> std::future::Ready<Vec<(u64, u64)>> { unreachable!("others load both") };
    let mut batch = Box::pin(cache.get_many_with([1_u64, 2], load));
    waits(&mut batch);
    drop(owned);
    first.send(7).unwrap();
    assert_eq!(*ready(&mut single), 7);
    waits(&mut batch);
    tokio::task::yield_now().await;
    second.send(8).expect("the load is wanted");
    assert_eq!(found(batch.await), [Some(7), Some(8)]);
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a loader is on its way to.
type Answering = Pin<Box<dyn Future<Output = Vec<(u64, u64)>> + Send>>;

/// A loader that answers its one call when it is told to.
fn answered_after(origin: oneshot::Receiver<()>) -> impl FnMut(Missing<u64>) -> Answering {
    let mut origin = Some(origin);
    move |missing| {
        let origin = origin.take().expect("it is called once");
        Box::pin(async move {
            origin.await.expect("somebody answers");
            tenfold(&missing)
        })
    }
}

#[test]
fn a_batch_that_loads_what_it_was_left_lets_others_lead_the_rest() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut first = Box::pin(cache.get_with(&1, std::future::pending::<u64>));
    let mut second = Box::pin(cache.get_with(&2, std::future::pending::<u64>));
    waits(&mut first);
    waits(&mut second);
    let (answer, origin) = oneshot::channel::<()>();
    let load = answered_after(origin);
    let mut batch = Box::pin(cache.get_many_with([1_u64, 2], load));
    waits(&mut batch);
    let woken = Arc::new(Woken::default());
    let mut single = Box::pin(cache.get_with(&2, || async { 7_u64 }));
    let waker = Waker::from(Arc::clone(&woken));
    assert!(single.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(first);
    waits(&mut batch);
    drop(second);
    assert!(woken.0.load(Ordering::Relaxed), "the batch, which came first, has a key to load");
    assert_eq!(*ready(&mut single), 7);
    answer.send(()).unwrap();
    assert_eq!(found(ready(&mut batch)), [Some(10), Some(7)]);
}

#[test]
fn the_keys_of_a_dropped_batch_go_to_the_loader_of_the_next_in_one_call() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let hangs = |_| std::future::pending::<Vec<(u64, u64)>>();
    let mut gone = Box::pin(cache.get_many_with(1_u64..=50, hangs));
    waits(&mut gone);
    let asked = RefCell::<Vec<Vec<u64>>>::default();
    let load = |missing: Missing<u64>| {
        asked.borrow_mut().push(missing.to_vec());
        async move { tenfold(&missing) }
    };
    let mut heir = Box::pin(cache.get_many_with(41_u64..=60, load));
    waits(&mut heir);
    let mut single = Box::pin(cache.get_with(&50, || async { 5_u64 }));
    waits(&mut single);
    drop(gone);
    assert_eq!(found(ready(&mut heir)).len(), 20);
    assert_eq!(*ready(&mut single), 500, "the batch came first");
    let mut asked = asked.borrow().clone();
    asked[1].sort_unstable();
    assert_eq!(asked, [(51..=60).collect::<Vec<_>>(), (41..=50).collect()]);
}

#[test]
fn a_batch_that_is_woken_and_not_polled_loses_its_keys() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<()>();
    let load = answered_after(origin);
    let mut slow = Box::pin(cache.get_many_with([1_u64, 2], load));
    waits(&mut slow);
    let mut single = Box::pin(cache.get_with(&2, || async { 7_u64 }));
    waits(&mut single);
    answer.send(()).unwrap();
    clock.advance(secs(1));
    manager.tick();
    assert_eq!(*ready(&mut single), 7);
    assert_eq!(found(ready(&mut slow)), [Some(10), Some(20)], "late values go to their caller");
    assert!(cache.peek(&1).is_none());
    assert_eq!(cache.peek(&2).map(|value| *value), Some(7));
}

#[derive(Debug, Default)]
struct Panics(Mutex<u32>);

impl Observer for Panics {
    fn on_event(&self, event: &Event) {
        *self.0.lock() += u32::from(matches!(event, Event::LoaderPanicked { .. }));
    }
}

#[test]
fn a_panic_unwinds_in_its_caller_is_told_once_and_the_next_loads_itself() {
    let panics = Arc::new(Panics::default());
    let options = Options { jitter: Some(0.0), ..Options::NONE };
    let builder = CacheManager::builder("stories").options(options).clock(Clock::manual());
    let manager = builder.observer(Arc::clone(&panics)).build_in_memory().unwrap();
    let cache = manager.open(&SPEC).unwrap();
    let (go, start) = oneshot::channel::<()>();
    let mut start = Some(start);
    let load = |_: Missing<u64>| {
        let start = start.take().unwrap();
        async {
            start.await.unwrap();
            panic!("the loader's own");
            #[expect(unreachable_code, reason = "gives the loader its type")]
            Vec::<(u64, u64)>::new()
        }
    };
    let mut batch = Box::pin(cache.get_many_with([1_u64, 2, 3], load));
    waits(&mut batch);
    let mut heir =
        Box::pin(cache.get_many_with([3_u64, 2], |missing| async move { tenfold(&missing) }));
    waits(&mut heir);
    go.send(()).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut batch))).is_err());
    drop(batch);
    assert_eq!(found(ready(&mut heir)), [Some(30), Some(20)]);
    assert_eq!(*panics.0.lock(), 1);
}

#[test]
fn a_loader_that_asks_for_its_own_keys_is_told_so() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let inner = cache.clone();
    let load = |missing: Missing<u64>| {
        let inner = inner.clone();
        async move {
            let again = inner.get_many_with([1_u64, 3], |m| async move { tenfold(&m) }).await;
            let errors: Vec<_> = again.errors().map(|(key, error)| (*key, error.clone())).collect();
            assert!(matches!(errors[..], [(1, LoadError::Recursive)]));
            tenfold(&missing)
        }
    };
    let loaded = block_on(cache.get_many_with([1_u64, 2], load));
    assert_eq!(found(loaded), [Some(10), Some(20)]);
    assert_eq!(cache.peek(&3).map(|value| *value), Some(30), "another key is no recursion");
}

#[test]
fn the_deadline_gives_what_there_is_by_then() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    let mut single = Box::pin(cache.get_with(&2, std::future::pending::<u64>));
    waits(&mut single);
    let mut batch = Box::pin(cache.get_many_with([1_u64, 2, 3], |m| async move { tenfold(&m) }));
    waits(&mut batch);
    clock.advance(secs(2) - ms(1));
    manager.tick();
    waits(&mut batch);
    clock.advance(ms(1));
    manager.tick();
    let loaded = ready(&mut batch);
    assert_eq!(loaded.values().map(|(_, value)| **value).collect::<Vec<_>>(), [1, 30]);
    let errors: Vec<_> = loaded.errors().collect();
    assert!(matches!(errors[..], [(2, LoadError::Timeout)]));
}

#[test]
fn a_loader_that_hangs_ends_with_the_deadline_and_its_followers_load_themselves() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let hangs = |_| std::future::pending::<Vec<(u64, u64)>>();
    let mut batch = Box::pin(cache.get_many_with([1_u64, 2], hangs));
    waits(&mut batch);
    let mut follower = Box::pin(cache.get_with(&2, || async { 7_u64 }));
    waits(&mut follower);
    clock.advance(secs(2));
    manager.tick();
    assert_eq!(ready(&mut batch).errors().count(), 2);
    assert_eq!(*ready(&mut follower), 7);
}

#[test]
fn a_value_past_its_life_answers_for_a_key_that_fails() {
    static GRACE: CacheSpec<u64, u64> =
        CacheSpec::new("grace").ttl(secs(10)).stale_if_error(mins(5));
    let (manager, clock) = manager();
    let cache = manager.open(&GRACE).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    clock.advance(secs(11));
    let load = |_| async { Err::<Vec<(u64, u64)>, _>("down") };
    let loaded = block_on(cache.get_many_with([1_u64, 2], load));
    assert!(loaded.values().next().is_some_and(|(key, value)| (*key, **value) == (1, 1)));
    assert_eq!(loaded.errors().map(|(key, _)| *key).collect::<Vec<_>>(), [2]);
    assert_eq!(cache.stats().stale_served, 1);
}

#[test]
fn a_key_that_is_removed_or_set_during_the_load_keeps_what_came_later() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<()>();
    let load = answered_after(origin);
    let mut batch = Box::pin(cache.get_many_with(1_u64..=4, load));
    waits(&mut batch);
    block_on(cache.remove(&1));
    block_on(cache.set(&2, 7_u64).into_future());
    answer.send(()).unwrap();
    assert_eq!(found(ready(&mut batch)).len(), 4);
    let held: Vec<_> = (1..=4).map(|key| cache.peek(&key).map(|value| *value)).collect();
    assert_eq!(held, [None, Some(7), Some(30), Some(40)]);
}
