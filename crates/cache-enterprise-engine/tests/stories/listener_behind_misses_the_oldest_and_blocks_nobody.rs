//! Events are told to whoever listens; a listener that does not read, or a hook that hangs, holds up
//! no write.

use std::sync::mpsc;

use cache_enterprise_core::{Event, mins};
use cache_enterprise_engine::{CacheSpec, Happening, Reach, block_on};

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
