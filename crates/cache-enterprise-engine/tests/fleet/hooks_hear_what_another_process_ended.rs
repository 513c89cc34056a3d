//! Listeners and hooks of one process hear what another one removed, replaced, expired or
//! invalidated, and that another one did.

use std::future::IntoFuture;
use std::sync::mpsc;
use std::time::Duration;

use cache_enterprise_core::tag;
use cache_enterprise_engine::{Compute, Events, Happening, Reach};

use super::{Fleet, Process, SPEC};

/// Longest wait for a thread of a hook.
const PATIENCE: Duration = Duration::from_secs(30);

/// A happening in short; a changed or expired key says `elsewhere`, a group whether it was heard.
fn told(happening: Happening) -> String {
    match happening {
        Happening::Changed { tenant, cache, keys } => {
            format!("{tenant}/{cache} changed {keys:?} elsewhere")
        }
        Happening::Expired { tenant, cache, keys, is_heard: true } => {
            format!("{tenant}/{cache} expired {keys:?} elsewhere")
        }
        Happening::Ended { tenant, targets, reach: Reach::Published, is_heard: true, .. } => {
            format!("{tenant}/ ended {targets:?} elsewhere")
        }
        other => format!("{other:?}"),
    }
}

/// The next so many happenings of another process.
async fn next(process: &Process, events: &mut Events, many: usize) -> Vec<String> {
    let mut heard = Vec::new();
    let take = || {
        heard.extend(events.try_recv().map(told));
        heard.len() >= many
    };
    process.heard("what the other did", take).await;
    heard.extend(std::iter::from_fn(|| events.try_recv()).map(told));
    heard
}

#[tokio::test(start_paused = true)]
async fn keys_are_told_as_changed_or_expired() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let mut events = other.manager.events(100);
    one.set(1, 10).await;
    assert_eq!(next(&other, &mut events, 1).await, ["/numbers changed [\"1\"] elsewhere"]);
    one.cache.entry(&1).and_compute_with(|_| async { Compute::Remove }).await.unwrap();
    assert_eq!(next(&other, &mut events, 1).await, ["/numbers changed [\"1\"] elsewhere"]);
    one.set(2, 10).await;
    assert_eq!(next(&other, &mut events, 1).await, ["/numbers changed [\"2\"] elsewhere"]);
    one.cache.expire(&2).await;
    assert_eq!(next(&other, &mut events, 1).await, ["/numbers expired [\"2\"] elsewhere"]);
    one.cache.remove_many(&[3, 4]).await;
    let both = ["/numbers changed [\"3\", \"4\"] elsewhere"];
    assert_eq!(next(&other, &mut events, 1).await, both, "one call is one happening");
}

#[tokio::test(start_paused = true)]
async fn groups_are_told_as_ended_with_all_they_name() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let mut events = other.manager.events(100);
    one.manager.invalidate([tag!("a"), tag!("b")]).await.strict().unwrap();
    let both = ["/ ended [\"tag a\", \"tag b\"] elsewhere"];
    assert_eq!(next(&other, &mut events, 1).await, both);
    one.cache.clear().soft().await.strict().unwrap();
    let soft = ["/ ended [\"cache numbers, softly\"] elsewhere"];
    assert_eq!(next(&other, &mut events, 1).await, soft);
    one.manager.clear_everything().await.strict().unwrap();
    assert_eq!(next(&other, &mut events, 1).await, ["/ ended [\"everything\"] elsewhere"]);
}

#[tokio::test(start_paused = true)]
async fn tenants_that_were_never_opened_here_are_told_too() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let mut events = other.manager.events(100);
    let acme = one.manager.tenant("acme").unwrap();
    let cache = acme.open(&SPEC).unwrap();
    cache.set(&1, 10_u64).strict().into_future().await.unwrap();
    assert_eq!(next(&other, &mut events, 1).await, ["acme/numbers changed [\"1\"] elsewhere"]);
    acme.clear().await.strict().unwrap();
    assert_eq!(next(&other, &mut events, 1).await, ["acme/ ended [\"the tenant\"] elsewhere"]);
}

#[tokio::test(start_paused = true)]
async fn a_process_does_not_hear_itself_as_another() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    let mut events = one.manager.events(100);
    one.set(1, 10).await;
    one.cache.remove(&1).await;
    one.heard("its own frames", || one.manager.bus_stats().unwrap().ignored > 1).await;
    let heard: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    assert!(matches!(&heard[..], [Happening::Removed { .. }]), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_holds_up_no_ear() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let hook = other.manager.on_invalidate(move |happening| {
        if let Happening::Changed { keys, .. } = happening {
            entered.send(keys[0].clone()).unwrap();
            let _ = released.recv();
        }
    });
    let hook = hook.unwrap();
    one.set(0, 10).await;
    other.heard("the first set", || other.manager.bus_stats().unwrap().heard > 0).await;
    assert_eq!(has_entered.recv_timeout(PATIENCE).unwrap(), "0");
    // The hook hangs now; what is heard holds all the same.
    for key in 1..=20 {
        one.set(key, 10).await;
        assert_eq!(other.get(key).await, Some(10));
        one.set(key, 11).await;
        other.heard("the old value is gone", || other.peek(key).is_none()).await;
    }
    drop(release);
    let keys: Vec<_> = (0..40).map(|_| has_entered.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(keys.last().map(String::as_str), Some("20"));
    assert_eq!((hook.missed(), hook.panics()), (0, 0));
}
