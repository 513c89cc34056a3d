//! A miss begins its load at the first poll, and ends it there if its loader is ready: all that
//! holds for loads that wait holds for it.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use cache_enterprise_core::{mins, ms, secs, tag};
use cache_enterprise_engine::{CacheSpec, block_on};

use crate::{manager, poll, ready, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).takeover_after(secs(1));

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Wakes itself at its first poll, and is ready at its second.
async fn yields(polls: &Cell<u32>, value: u64) -> u64 {
    poll_fn(|cx| {
        polls.set(polls.get() + 1);
        cx.waker().wake_by_ref();
        if polls.get() == 1 { Poll::Pending } else { Poll::Ready(value) }
    })
    .await
}

#[test]
fn every_answer_of_a_ready_loader_is_there_at_the_first_poll() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    assert_eq!(*ready(&mut Box::pin(cache.get_with(&1, || async { 1_u64 }))), 1);
    let failing = cache.try_get_with(&2, || async { Err::<u64, &str>("down") });
    assert_eq!(ready(&mut Box::pin(failing)).unwrap_err().loader(), Some(&"down"));
    assert!(ready(&mut Box::pin(cache.get_opt_with(&3, || async { None::<u64> }))).is_none());
    assert_eq!(cache.peek(&1).map(|value| *value), Some(1));
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.loads, stats.load_failures), (3, 3, 1));
}

#[test]
fn a_loader_that_wakes_itself_is_polled_once_a_poll_and_its_task_is_woken() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let polls = Cell::new(0);
    let mut read = Box::pin(cache.get_with(&1, || yields(&polls, 7)));
    let woken = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!((polls.get(), woken.0.load(Ordering::Relaxed)), (1, 1));
    assert_eq!(*ready(&mut read), 7);
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_leader_that_was_woken_in_its_first_poll_and_not_polled_again_loses_the_lead() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let polls = Cell::new(0);
    let mut leader = Box::pin(cache.get_with(&1, || yields(&polls, 1)));
    waits(&mut leader);
    let mut follower = Box::pin(cache.get_with(&1, || async { 2_u64 }));
    waits(&mut follower);
    clock.advance(secs(1) - ms(1));
    manager.tick();
    waits(&mut follower);
    clock.advance(ms(1));
    manager.tick();
    assert_eq!(*ready(&mut follower), 2);
    assert_eq!(*ready(&mut leader), 1, "the late value goes to its own caller");
    assert_eq!(cache.peek(&1).map(|value| *value), Some(2));
}

#[test]
fn what_changes_the_key_inside_the_first_poll_beats_the_load() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let inner = cache.clone();
    let loaded = ready(&mut Box::pin(cache.get_with(&1, || async {
        inner.set(&1, 9_u64).await;
        5_u64
    })));
    assert_eq!((*loaded, cache.peek(&1).map(|value| *value)), (5, Some(9)));
    ready(&mut Box::pin(cache.get_with(&2, || async {
        inner.remove(&2).await;
        5_u64
    })));
    assert!(cache.peek(&2).is_none(), "removed while it was loaded");
    let tagged = cache.fetch(&3).tags([tag!("odd")]);
    ready(&mut Box::pin(tagged.with(|| async {
        manager.invalidate(tag!("odd")).await;
        Ok::<u64, String>(5)
    })))
    .unwrap();
    assert!(cache.peek(&3).is_none(), "its tag was ended while it was loaded");
    ready(&mut Box::pin(cache.get_with(&4, || async {
        inner.clear().await;
        5_u64
    })));
    assert!(cache.peek(&4).is_none(), "its cache was ended while it was loaded");
}

#[test]
fn a_panic_in_the_first_poll_leaves_nothing_behind() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut read = Box::pin(cache.get_with(&1, || async {
        if cache.peek(&1).is_none() {
            panic!("the loader's own");
        }
        0_u64
    }));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut read).is_ready())).is_err());
    drop(read);
    assert_eq!(*block_on(cache.get_with(&1, || async { 2_u64 })), 2);
    assert_eq!(cache.peek(&1).map(|value| *value), Some(2));
}
