//! Which levels a value reaches, and how often it is encoded and decoded on the way.

use std::sync::atomic::Ordering;

use cache_enterprise_core::{Clock, SetOutcome, mins, secs};
use cache_enterprise_engine::{CacheSpec, Source, Tier, WritePolicy};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_strategies::admission::PromoteByHeat;
use cache_enterprise_testkit::chaos::ChaosCodec;
use cache_enterprise_testkit::{Seed, wait};

use crate::scripted::Mode;
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

#[tokio::test]
async fn a_write_encodes_once_and_a_climb_decodes_once() {
    let (clock, codec) = (Clock::manual(), ChaosCodec::new(MessagePack, Seed(7)));
    let (upper, lower) = (tier("upper"), tier("lower"));
    let manager = builder(&clock).l2(upper.clone()).l3(lower.clone()).codec(codec.clone());
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    let counts = || [codec.encoded(), codec.decoded()];
    set(&cache, 1, 7).await;
    assert_eq!((counts(), upper.len(), lower.len()), ([1, 0], 1, 1));
    upper.values.lock().clear();
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, Some(7));
    assert_eq!((counts(), upper.len()), ([1, 1], 1), "the same bytes climb");
    assert_eq!(get(&cache, 1).await, Some(7));
    assert_eq!(counts(), [1, 1], "a hit decodes nothing");
    cache.get_with(&2, || async { 8_u64 }).await;
    assert_eq!((counts(), upper.len(), lower.len()), ([2, 1], 2, 2));
}

#[tokio::test]
async fn an_entry_climbs_at_the_hit_it_was_told() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk).promote_after(3);
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    cache.drop_level1();
    for _ in 0..2 {
        assert_eq!(cache.get_entry(&1).await.unwrap().unwrap().source, Source::Tier(2));
        assert!(!cache.contains(&1));
    }
    assert_eq!(cache.get_entry(&1).await.unwrap().unwrap().source, Source::Tier(2));
    assert!(cache.contains(&1));
}

#[tokio::test]
async fn a_tier_that_is_written_around_fills_from_below_and_keeps_nothing_old() {
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let around = Tier::new(upper.clone()).write(WritePolicy::Around);
    let manager = builder(&clock).l2(around).l3(lower.clone()).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    assert_eq!((upper.len(), lower.len()), (0, 1));
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, Some(7));
    assert_eq!(upper.len(), 1, "the hit below filled it");
    set(&cache, 1, 8).await;
    assert_eq!(upper.len(), 0, "what the write replaced is gone");
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, Some(8));
}

#[tokio::test(start_paused = true)]
async fn a_set_that_was_overtaken_is_told_to_a_tier_that_is_written_around() {
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let around = Tier::new(upper.clone()).bare().write(WritePolicy::Around);
    let through = Tier::new(lower.clone()).bare();
    let manager = builder(&clock).l2(around).l3(through).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    cache.drop_level1();
    assert_eq!((get(&cache, 1).await, upper.len()), (Some(7), 1));
    lower.set(Mode::HoldPuts);
    let setting = |value| {
        let cache = cache.clone();
        tokio::spawn(async move { set(&cache, 1, value).await })
    };
    let mut first = setting(8);
    wait::until_async("it is on its way", async || lower.held.load(Ordering::SeqCst) == 1).await;
    let second = setting(9);
    let is_overtaken = async || cache.peek(&1).is_some_and(|value| *value == 9);
    wait::until_async("it is overtaken", is_overtaken).await;
    upper.set(Mode::HoldRemoves);
    lower.set(Mode::Work);
    lower.pass.add_permits(1);
    let early = tokio::time::timeout(secs(1), &mut first).await;
    assert!(early.is_err(), "it is not acknowledged before its elder has gone");
    upper.pass.add_permits(1);
    assert_eq!((first.await.unwrap(), upper.len()), (SetOutcome::Stored, 0));
    upper.pass.add_permits(1);
    second.await.unwrap();
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, Some(9));
}

#[tokio::test]
async fn an_entry_climbs_when_its_policy_says_so() {
    let clock = Clock::manual();
    let policy = PromoteByHeat::new(3, 1_000).unwrap();
    let below = Tier::new(tier("below")).promote_by(policy);
    let manager = builder(&clock).l2(below).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 10).await;
    cache.drop_level1();
    for is_held in [false, false, true] {
        assert_eq!(get(&cache, 1).await, Some(10));
        assert_eq!(cache.peek(&1).is_some(), is_held);
    }
    assert_eq!(manager.describe().row("l2.promote_after").unwrap().value, "by a policy");
}
