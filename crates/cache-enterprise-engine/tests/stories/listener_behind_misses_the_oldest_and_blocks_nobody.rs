//! Events are told to whoever listens; a listener that does not read, or a hook that hangs, holds up
//! no write.

use std::sync::{Arc, mpsc};

use cache_enterprise_core::{Event, SetOutcome, mins};
use cache_enterprise_engine::{CacheSpec, Compute, Happening, Reach, block_on};
use cache_enterprise_strategies::{CacheStrategy, StrategyContext};

use crate::{manager, poll, ready, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

#[test]
fn a_listener_hears_what_ended_in_order() {
    let (manager, _clock) = manager();
    let cache = manager.tenant("acme").unwrap().open(&SPEC).unwrap();
    let mut events = manager.events(100);
    block_on(cache.set(&7, 7_u64));
    block_on(cache.remove(&7));
    block_on(cache.expire(&7));
    block_on(cache.clear().soft());
    let told = |happening: Happening| match happening {
        Happening::Removed { tenant, cache, keys } => format!("{tenant} {cache} removed {keys:?}"),
        Happening::Expired { cache, keys, .. } => format!("{cache} expired {keys:?}"),
        Happening::Ending { targets, .. } => format!("ending {targets:?}"),
        Happening::Ended { targets, reach, .. } => {
            assert_eq!(reach, Reach::Process);
            format!("ended {targets:?}")
        }
        other => format!("{other:?}"),
    };
    let heard: Vec<String> = std::iter::from_fn(|| events.try_recv()).map(told).collect();
    assert_eq!(
        heard,
        [
            "acme numbers removed [\"7\"]",
            "numbers expired [\"7\"]",
            "ending [\"cache numbers, softly\"]",
            "ended [\"cache numbers, softly\"]",
        ]
    );
}

#[test]
fn a_removal_by_a_computation_is_told() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut events = manager.events(10);
    for key in [7, 8] {
        block_on(async {
            cache.set(&7, 7_u64).await;
            cache.entry(&key).and_compute_with(|_| async { Compute::Remove }).await.unwrap();
        });
    }
    let Some(Happening::Removed { keys, .. }) = events.try_recv() else { panic!("it was removed") };
    assert_eq!(keys, ["7"]);
    assert!(events.try_recv().is_none(), "there was no 8 to remove");
}

/// Lets nothing in.
#[derive(Debug)]
struct Nothing;

impl CacheStrategy for Nothing {
    fn should_cache(&self, _: &StrategyContext<'_>) -> bool {
        false
    }
}

#[test]
fn a_value_that_is_not_let_in_ends_what_stood_there_and_is_told_once() {
    static NOTHING: CacheSpec<u64, u64> =
        CacheSpec::new("nothing").ttl(mins(5)).fill_strategy("nothing");
    let (manager, _clock) = manager();
    manager.register_strategy("nothing", Arc::new(Nothing)).unwrap();
    let cache = manager.open(&NOTHING).unwrap();
    let mut events = manager.events(10);
    assert_eq!(block_on(cache.set(&7, 7_u64)), SetOutcome::Declined);
    let computed = cache.entry(&8).and_compute_with(|_| async { Compute::Put(8) });
    block_on(computed).unwrap();
    let removed = |happening| match happening {
        Happening::Removed { keys, .. } => keys.join(" "),
        other => format!("{other:?}"),
    };
    let heard: Vec<_> = std::iter::from_fn(|| events.try_recv()).map(removed).collect();
    assert_eq!(heard, ["7", "8"]);
}

#[test]
fn rare_events_are_told_too() {
    let (manager, _clock) = manager();
    let mut events = manager.events(10);
    let mut forgotten = manager.invalidations();
    forgotten.tag("t");
    drop(forgotten);
    let Some(Happening::Trouble(event)) = events.try_recv() else { panic!("nothing was told") };
    assert_eq!(event, Event::InvalidationsDropped { keys: 0, groups: 1 });
}

#[test]
fn a_listener_that_is_behind_misses_the_oldest_and_knows_it() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut events = manager.events(3);
    for key in 0..10 {
        block_on(cache.remove(&key));
    }
    assert_eq!(events.missed(), 7);
    let Some(Happening::Removed { keys, .. }) = events.try_recv() else { panic!("three are left") };
    assert_eq!(keys, ["7"]);
}

#[test]
fn waiting_needs_no_runtime_and_ends_with_the_manager() {
    let (manager, _clock) = manager();
    let mut events = manager.events(3);
    let mut next = Box::pin(events.recv());
    waits(&mut next);
    block_on(manager.invalidate("t"));
    assert!(matches!(ready(&mut next), Some(Happening::Ending { .. })));
    drop(next);
    assert!(events.try_recv().is_some());
    drop(manager);
    assert!(ready(&mut Box::pin(events.recv())).is_none());
}

#[test]
fn a_hook_that_hangs_or_panics_holds_up_nobody() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let hook = manager.on_invalidate(move |happening| {
        if let Happening::Removed { keys, .. } = happening {
            entered.send(keys[0].clone()).unwrap();
            released.recv().unwrap();
            assert_ne!(keys[0], "1", "this hook panics once");
        }
    });
    let hook = hook.unwrap();
    block_on(cache.remove(&1));
    assert_eq!(has_entered.recv().unwrap(), "1");
    // The hook hangs now; every write goes on.
    for key in 2..100 {
        let mut removal = Box::pin(cache.remove(&key));
        assert!(poll(&mut removal).is_ready());
    }
    release.send(()).unwrap();
    assert_eq!(has_entered.recv().unwrap(), "2", "it is called again after its panic");
    assert_eq!((hook.missed(), hook.panics()), (0, 1));
    for _ in 2..100 {
        let _ = release.send(());
    }
}
