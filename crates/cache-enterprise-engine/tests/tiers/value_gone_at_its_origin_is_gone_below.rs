//! A load that finds its value gone at the origin takes it from the tiers too, whether it has
//! read them or not; a load that writes no level takes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_enterprise_core::{Clock, mins, secs};
use cache_enterprise_engine::{Access, Cache, CacheSpec, LoadContext, LoadError};
use cache_enterprise_serializers::MessagePack;

use crate::scripted::{Mode, Scripted};
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).stale_if_error(mins(5));

/// A cache over one tier, of which both hold the keys 1 to 3.
async fn filled(clock: &Clock, disk: &Arc<Scripted>) -> Cache<u64, u64> {
    let manager = builder(clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    for key in 1..=3 {
        set(&cache, key, key * 10).await;
    }
    cache
}

/// Loads a key that the origin does not have.
async fn lose(cache: &Cache<u64, u64>, key: u64, access: Access) {
    let absent = |cx: LoadContext<u64>| async move { Ok::<_, ()>(cx.absent()) };
    let lost = cache.fetch(&key).access(access).detached(absent).await;
    assert!(matches!(lost, Err(LoadError::Absent)));
}

/// Loads keys that the origin does not have in one call.
async fn lose_many(cache: &Cache<u64, u64>, keys: &[u64]) {
    let lost = cache.get_many_with(keys.iter().copied(), |_| async { Vec::<(u64, u64)>::new() });
    assert_eq!(lost.await.absent().count(), keys.len());
}

#[tokio::test]
async fn a_refresh_takes_what_it_did_not_read() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let cache = filled(&clock, &disk).await;
    lose(&cache, 1, Access::PLAIN.refresh()).await;
    assert_eq!((get(&cache, 1).await, disk.len()), (None, 2));
    cache.drop_level1();
    assert_eq!(get(&cache, 2).await, Some(20), "another key stays");
}

#[tokio::test]
async fn a_load_that_writes_no_level_takes_nothing() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let cache = filled(&clock, &disk).await;
    lose(&cache, 1, Access::PLAIN.refresh().read_only()).await;
    clock.advance(mins(6));
    lose(&cache, 1, Access::PLAIN.read_only()).await;
    let absent = |cx: LoadContext<u64>| async move {
        cx.skip();
        Ok::<_, ()>(cx.absent())
    };
    assert!(cache.fetch(&1).detached(absent).await.is_err());
    assert_eq!(disk.len(), 3);
}

#[tokio::test]
async fn a_batch_takes_what_is_past_its_life() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let cache = filled(&clock, &disk).await;
    clock.advance(mins(6));
    cache.drop_level1();
    lose_many(&cache, &[1, 2]).await;
    assert_eq!(disk.len(), 1);
    clock.advance(secs(31));
    let fails = cache.fetch(&1).with(|| async { Err::<u64, _>("down") });
    assert!(fails.await.is_err(), "no fallback is left below");
}

#[tokio::test]
async fn what_a_failing_tier_holds_does_not_come_back_with_it() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let cache = filled(&clock, &disk).await;
    cache.drop_level1();
    disk.set(Mode::Fail);
    lose(&cache, 1, Access::PLAIN).await;
    lose_many(&cache, &[2]).await;
    disk.set(Mode::Work);
    clock.advance(secs(31));
    cache.drop_level1();
    assert_eq!([get(&cache, 1).await, get(&cache, 2).await], [None, None]);
    assert_eq!(get(&cache, 3).await, Some(30));
}

#[tokio::test]
async fn a_tier_that_holds_nothing_is_told_nothing() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let cache = filled(&clock, &disk).await;
    let before = disk.calls.load(Ordering::SeqCst);
    lose(&cache, 7, Access::PLAIN).await;
    lose_many(&cache, &[8]).await;
    assert_eq!(disk.calls.load(Ordering::SeqCst) - before, 2, "it was read");
}
