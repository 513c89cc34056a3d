//! A load that began before another process removed its key stores nowhere.

use std::future::IntoFuture;
use std::sync::Arc;

use cache_enterprise_core::tag;
use tokio::sync::Notify;

use super::Fleet;

#[tokio::test(start_paused = true)]
async fn a_late_load_stores_neither_above_nor_below() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let (go, load) = other.loading(1, 10).await;
    one.cache.remove(&1).await;
    let heard = || other.manager.bus_stats().unwrap().heard > 0;
    other.heard("the removal is heard", heard).await;
    go.send(()).unwrap();
    assert_eq!(load.await.unwrap(), 10, "its own caller has the value");
    assert_eq!(other.peek(1), None);
    assert_eq!(one.get(1).await, None);
    assert_eq!(other.get(1).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_late_load_is_refused_below_though_nothing_was_heard() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    other.bus.set(cache_enterprise_testkit::coherence::Link::Deaf);
    let removed = async || {
        one.cache.remove(&1).await;
        one.manager.invalidate(tag!("a")).await.strict().unwrap();
        10_u64
    };
    assert_eq!(*other.cache.get_with(&1, removed).await, 10);
    assert_eq!(one.get(1).await, None, "the tier refused it");
    let tagged = other.cache.fetch(&2).tags([tag!("a")]);
    let value = tagged.with(async || Ok::<_, ()>(removed().await)).await.unwrap();
    assert_eq!(*value, 10);
    assert_eq!(one.get(2).await, None, "whoever reads it knows the epoch");
}

#[tokio::test(start_paused = true)]
async fn a_late_load_of_what_was_expired_is_refused_below() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    other.bus.set(cache_enterprise_testkit::coherence::Link::Deaf);
    let (go, load) = other.loading(1, 10).await;
    one.cache.expire(&1).await;
    go.send(()).unwrap();
    assert_eq!(load.await.unwrap(), 10, "its own caller has the value");
    assert_eq!(one.get(1).await, None, "the tier refused it");
    one.set(1, 11).await;
    assert_eq!(one.get(1).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_begins_after_the_end_was_heard_stores() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    one.cache.remove(&1).await;
    let heard = || other.manager.bus_stats().unwrap().heard > 1;
    other.heard("the removal is heard", heard).await;
    assert_eq!(*other.cache.get_with(&1, || async { 11_u64 }).await, 11);
    assert_eq!(other.peek(1), Some(11));
    assert_eq!(one.get(1).await, Some(11));
    let sets = one.cache.set(&1, 12_u64).strict().into_future().await;
    sets.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_late_load_does_not_replace_what_was_expired() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(1, 9).await;
    let set_was_heard = || other.manager.bus_stats().unwrap().heard > 0;
    other.heard("the set is heard", set_was_heard).await;
    other.bus.set(cache_enterprise_testkit::coherence::Link::Deaf);
    let (go, began) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let load = tokio::spawn({
        let (cache, go, began) = (other.cache.clone(), Arc::clone(&go), Arc::clone(&began));
        async move {
            let load = async || {
                began.notify_one();
                go.notified().await;
                Ok::<_, ()>(10_u64)
            };
            cache.fetch(&1).refresh().with(load).await.map(|value| *value)
        }
    });
    began.notified().await;
    one.cache.expire(&1).await;
    go.notify_one();
    assert_eq!(load.await.unwrap().unwrap(), 10, "its own caller has the value");
    assert_eq!(one.get(1).await, None, "it came to the tier as fresh");
    one.set(1, 11).await;
    assert_eq!(one.get(1).await, Some(11));
}
