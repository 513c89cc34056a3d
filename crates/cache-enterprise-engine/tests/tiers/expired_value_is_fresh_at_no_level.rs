//! Once `expire` has returned, no level gives the value as fresh, whoever reads or writes
//! meanwhile; it may still answer when a load fails.

use std::future::IntoFuture;
use std::sync::atomic::Ordering;

use cache_enterprise_core::{Clock, hours, mins};
use cache_enterprise_engine::{Cache, CacheSpec, Tier, WritePolicy};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::wait;

use crate::scripted::Mode;
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).stale_if_error(hours(1));

async fn after_a_failed_load(cache: &Cache<u64, u64>) -> Option<u64> {
    let loaded = cache.try_get_with(&1, || async { Err::<u64, &str>("down") }).await;
    loaded.ok().map(|value| *value)
}

#[tokio::test]
async fn it_answers_at_every_level_when_a_load_fails_and_only_then() {
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let manager = builder(&clock).l2(upper.clone()).l3(lower.clone()).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    assert!(cache.expire(&1).await);
    for _ in 0..3 {
        assert_eq!(get(&cache, 1).await, None);
        assert_eq!(after_a_failed_load(&cache).await, Some(7));
        cache.drop_level1();
        upper.values.lock().clear();
    }
    assert!(!cache.expire(&2).await);
}

#[tokio::test]
async fn a_reader_in_between_does_not_bring_it_back() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    disk.set(Mode::HoldPuts);
    let expiring = tokio::spawn({
        let cache = cache.clone();
        async move { cache.expire(&1).await }
    });
    wait::until_async("the tier is being told", async || disk.held.load(Ordering::SeqCst) == 1)
        .await;
    cache.drop_level1();
    // The tier still holds the fresh bytes; a read now may or may not give them.
    get(&cache, 1).await;
    disk.pass.add_permits(1);
    expiring.await.unwrap();
    assert!(!cache.contains(&1), "after the call it is fresh nowhere");
    assert_eq!(get(&cache, 1).await, None);
}

#[tokio::test]
async fn bytes_on_their_way_up_do_not_bring_it_back() {
    let clock = Clock::manual();
    let tiers = [tier("upper"), tier("middle"), tier("lower")];
    let [upper, middle, lower] = tiers.clone().map(|tier| Tier::new(tier).bare());
    let manager = builder(&clock).l2(upper).l3(middle).tier(lower).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    tiers[..2].iter().for_each(|tier| tier.values.lock().clear());
    cache.drop_level1();
    // The reader writes the fresh bytes it found below into the middle, and the upper is next.
    tiers[1].set(Mode::HoldPuts);
    let reader = tokio::spawn({
        let cache = cache.clone();
        async move { get(&cache, 1).await }
    });
    wait::until_async("the bytes climb", async || tiers[1].held.load(Ordering::SeqCst) == 1).await;
    let expiring = tokio::spawn({
        let cache = cache.clone();
        async move { cache.expire(&1).await }
    });
    // On a runtime of one thread the expiry has taken its place behind the reader after this.
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    tiers[1].set(Mode::Work);
    tiers[1].pass.add_permits(1);
    assert_eq!(reader.await.unwrap(), Some(7));
    expiring.await.unwrap();
    assert!(!cache.contains(&1));
    assert_eq!(tiers[0].len(), 1, "the bytes arrived");
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, None);
}

#[tokio::test]
async fn a_write_queued_behind_does_not_bring_it_back() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare().write(WritePolicy::Behind { queue_max: 10 });
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    disk.set(Mode::HoldPuts);
    // The first holds the queue's task, so that the second is still queued when it is ended.
    set(&cache, 2, 2).await;
    wait::until_async("the first is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    set(&cache, 1, 7).await;
    assert!(cache.expire(&1).await);
    disk.set(Mode::Work);
    disk.pass.add_permits(1);
    wait::until_async("the queue is empty", async || disk.len() == 2).await;
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, None);
    assert_eq!(after_a_failed_load(&cache).await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_was_not_told_does_not_bring_it_back() {
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let (high, low) = (Tier::new(upper.clone()).bare(), Tier::new(lower.clone()).bare());
    let manager = builder(&clock).l2(high).l3(low).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    lower.set(Mode::Fail);
    cache.expire(&1).await;
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, None, "the tier above was told");
    lower.set(Mode::Work);
    upper.values.lock().clear();
    assert_eq!(get(&cache, 1).await, None);
    cache.set(&1, 8_u64).into_future().await;
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, Some(8));
}
