//! A queue that is bounded, flushed at the shutdown, and passed by when it is full.

use std::sync::atomic::Ordering;

use cache_enterprise_core::{Clock, mins, secs};
use cache_enterprise_engine::{CacheSpec, Tier, WritePolicy};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::wait;

use crate::scripted::Mode;
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

#[tokio::test]
async fn a_shutdown_flushes_everything_queued() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare().write(WritePolicy::Behind { queue_max: 200 });
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    disk.set(Mode::HoldPuts);
    for key in 0..100 {
        set(&cache, key, key).await;
    }
    assert_eq!(disk.len(), 0, "no caller waited for the tier");
    disk.pass.add_permits(100);
    let report = manager.shutdown(secs(60)).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.writes_flushed, disk.len()), (100, 100));
}

#[tokio::test]
async fn a_full_queue_writes_through_and_counts() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare().write(WritePolicy::Behind { queue_max: 1 });
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    disk.set(Mode::HoldPuts);
    set(&cache, 1, 1).await;
    wait::until_async("the first is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    set(&cache, 2, 2).await;
    let third = tokio::spawn({
        let cache = cache.clone();
        async move { set(&cache, 3, 3).await }
    });
    wait::until_async("the third is held", async || disk.held.load(Ordering::SeqCst) == 2).await;
    assert_eq!(manager.tier_stats()[0].behind_full, 1);
    assert!(!third.is_finished(), "the caller waits for the tier itself");
    disk.pass.add_permits(3);
    third.await.unwrap();
    assert!(manager.shutdown(secs(60)).await.is_clean());
    assert_eq!(disk.len(), 3);
}

#[tokio::test]
async fn older_bytes_are_not_read_past_a_queued_write() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare().write(WritePolicy::Behind { queue_max: 10 });
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    wait::until_async("the first is written", async || disk.len() == 1).await;
    disk.set(Mode::HoldPuts);
    set(&cache, 1, 2).await;
    wait::until_async("the second is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, None, "the tier still holds 1");
    disk.pass.add_permits(1);
    assert!(manager.shutdown(secs(60)).await.is_clean());
}

#[tokio::test]
async fn a_write_that_was_overtaken_in_the_queue_takes_nothing_newer_along() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare().write(WritePolicy::Behind { queue_max: 1 });
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    disk.set(Mode::HoldPuts);
    set(&cache, 1, 1).await;
    wait::until_async("the first is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    set(&cache, 2, 2).await;
    disk.set(Mode::Work);
    // The queue is full: this one reaches the tier before its elder.
    set(&cache, 2, 3).await;
    assert_eq!(disk.len(), 1);
    disk.pass.add_permits(1);
    assert!(manager.shutdown(secs(60)).await.is_clean());
    assert_eq!(disk.len(), 2, "the newer value stays");
}
