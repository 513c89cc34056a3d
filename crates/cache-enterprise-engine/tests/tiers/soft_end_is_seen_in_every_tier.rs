//! Bytes in a tier that a soft invalidation ended arrive as a value past its life.
//!
//! Breaking the rule "a soft end is seen in a tier" turns both tests red.

use std::sync::Arc;

use cache_enterprise_core::{CacheLevel, Clock, OpenedBackend, mins, secs};
use cache_enterprise_engine::{CacheSpec, Reach, StoredState};
use cache_enterprise_serializers::MessagePack;

use crate::kept::Kept;
use crate::{builder, get, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).stale_if_error(mins(60));

#[tokio::test]
async fn a_tier_gives_a_fallback_and_no_hit() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let manager = builder(&clock).l2(disk.clone()).codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    cache.set(&1, 1_u64).tags(["t"]).await;
    let receipt = manager.invalidate("t").soft().await;
    assert_eq!(receipt.levels, [CacheLevel::L1, CacheLevel::L2]);
    cache.drop_level1();

    assert_eq!(manager.inspect("numbers", &1_u64).await.unwrap()[0].state, StoredState::Stale);
    assert_eq!(get(&cache, 1).await, None);
    let stale = cache.try_get_with(&1, || async { Err::<u64, _>("down") }).await.unwrap();
    assert_eq!((*stale, stale.is_stale()), (1, true));
    clock.advance(secs(1));
    assert_eq!(*cache.get_with(&1, || async { 2_u64 }).await, 2);
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, Some(2), "what was loaded since is fresh below too");
}

#[tokio::test]
async fn a_soft_end_that_was_stored_holds_after_a_restart() {
    let (disk, kept) = (tier("disk"), Arc::new(Kept::default()));
    let open = || {
        let source = OpenedBackend::new(disk.clone()).with_epochs(kept.clone());
        builder(&Clock::manual()).l2(source).codec(MessagePack).build()
    };
    let manager = open().await.unwrap();
    manager.open(&SPEC).unwrap().set(&1, 1_u64).await;
    let receipt = manager.clear().soft().strict().await.unwrap();
    assert_eq!(receipt.reach, Reach::Stored);
    drop(manager);

    let cache = open().await.unwrap().open(&SPEC).unwrap();
    assert_eq!(get(&cache, 1).await, None);
    let stale = cache.try_get_with(&1, || async { Err::<u64, _>("down") }).await.unwrap();
    assert_eq!(*stale, 1);
}

#[tokio::test]
async fn a_batch_gives_the_fallback_that_a_single_call_gives() {
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let manager = builder(&clock).l2(upper.clone()).l3(lower.clone()).codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    cache.set(&1, 1_u64).tags(["t"]).await;
    let older = lower.values.lock().clone();
    clock.advance(secs(1));
    cache.set(&1, 2_u64).tags(["t"]).await;
    *lower.values.lock() = older;
    assert!(manager.invalidate("t").soft().await.failure.is_none());
    for _ in 0..2 {
        cache.drop_level1();
        let single = cache.try_get_with(&1, || async { Err::<u64, _>("down") }).await.unwrap();
        assert_eq!((*single, single.is_stale()), (2, true));
        cache.drop_level1();
        let load = |_| async { Err::<Vec<(u64, u64)>, _>("down") };
        let batch = cache.get_many_with([1_u64], load).await.into_values().unwrap();
        let batch = batch[0].clone().unwrap();
        assert_eq!((*batch, batch.is_stale()), (2, true));
        clock.advance(secs(1));
    }
}
