//! `set_multi_level`: hot values everywhere, cool ones further down, and never an older copy above.

use std::sync::Arc;

use cache_enterprise_core::{CacheLevel, Clock, ErrorKind, Heat, PlacementPolicy, mins, tag};
use cache_enterprise_engine::{ByHeat, Cache, CacheSpec, Source, Tier};
use cache_enterprise_serializers::MessagePack;

use crate::scripted::{Mode, Scripted};
use crate::{builder, get, set, tier};

use CacheLevel::{L1, L2, L3};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

/// Two tiers from which nothing climbs by itself, so that only placement moves values.
async fn still(policy: Option<ByHeat>) -> (Cache<u64, u64>, Arc<Scripted>, Arc<Scripted>) {
    let (upper, lower) = (tier("upper"), tier("lower"));
    let at_rest = |scripted: &Arc<Scripted>| Tier::new(scripted.clone()).promote_after(u32::MAX);
    let manager = builder(&Clock::manual()).l2(at_rest(&upper)).l3(at_rest(&lower));
    let manager = match policy {
        Some(policy) => manager.placement(policy),
        None => manager,
    };
    let cache = manager.codec(MessagePack).build().await.unwrap().open(&SPEC).unwrap();
    (cache, upper, lower)
}

#[tokio::test]
async fn a_key_rises_with_the_demand_for_it() {
    let (cache, upper, lower) = still(None).await;
    let placed = cache.set_multi_level(&1, 10_u64).await.unwrap();
    assert_eq!((placed.highest, placed.levels), (L3, vec![L3]));
    assert_eq!((upper.len(), lower.len(), cache.contains(&1)), (0, 1, false));
    assert_eq!(get(&cache, 1).await, Some(10));
    let placed = cache.set_multi_level(&1, 11_u64).await.unwrap();
    assert_eq!(placed.heat, Heat::new(3, false), "two writes and a read");
    assert_eq!(placed.levels, [L2, L3]);
    assert_eq!(cache.get_entry(&1).await.unwrap().unwrap().source, Source::Tier(2));
    let placed = cache.set_multi_level(&1, 12_u64).await.unwrap();
    assert_eq!(placed.levels, [L1, L2, L3]);
    assert_eq!(cache.peek(&1).as_deref(), Some(&12));
    let cool = cache.set_multi_level(&2, 20_u64).await.unwrap();
    assert_eq!(cool.levels, [L3], "one key's demand is not another's");
}

#[tokio::test]
async fn what_lies_above_is_dropped_when_a_newer_value_is_placed_below() {
    let (cache, upper, lower) = still(Some(ByHeat { hot: 100, warm: 100 })).await;
    set(&cache, 1, 10).await;
    cache.drop_level1();
    let placed = cache.set_multi_level(&1, 11_u64).await.unwrap();
    assert_eq!(placed.levels, [L3]);
    assert_eq!((upper.len(), lower.len()), (0, 1), "the older copy is gone");
    assert_eq!(get(&cache, 1).await, Some(11));

    upper.set(Mode::Fail);
    let placed = cache.set_multi_level(&1, 12_u64).await.unwrap();
    assert_eq!(placed.failure.unwrap().kind(), ErrorKind::Unavailable);
    upper.set(Mode::Work);
    assert_eq!(get(&cache, 1).await, Some(12), "what could not be dropped is not believed");
}

/// Level 1 for nobody, though the key may be there.
#[derive(Debug)]
struct Below;

impl PlacementPolicy for Below {
    fn highest(&self, _: Heat, _: CacheLevel) -> CacheLevel {
        L2
    }
}

#[tokio::test]
async fn a_policy_of_ones_own_decides_and_level_1_keeps_nothing_older() {
    let upper = tier("upper");
    let manager = builder(&Clock::manual()).l2(upper.clone()).placement(Below).codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 10).await;
    assert!(cache.contains(&1));
    let placed = cache.set_multi_level(&1, 11_u64).await.unwrap();
    assert!(placed.heat.is_held && placed.levels == [L2] && !cache.contains(&1));
    assert_eq!(get(&cache, 1).await, Some(11));
    cache.set(&1, 12_u64).tags([tag!("t")]).multi_level().await.unwrap();
    manager.invalidate(tag!("t")).await;
    assert_eq!(get(&cache, 1).await, None, "tags hold wherever it lies");
}

#[tokio::test]
async fn what_level_1_holds_is_hot_and_a_load_under_way_does_not_overwrite() {
    let (cache, _, _) = still(None).await;
    cache.get_with(&1, || async { 10_u64 }).await;
    let placed = cache.set_multi_level(&1, 11_u64).await.unwrap();
    assert_eq!(placed.levels, [L1, L2, L3], "it is read, or level 1 would not keep it");

    let loader = || async {
        // Placed below while the load is under way: the load must not store over it.
        cache.set_multi_level(&2, 21_u64).await.unwrap();
        20_u64
    };
    assert_eq!(*cache.get_with(&2, loader).await, 20, "the caller gets what it loaded");
    assert_eq!(get(&cache, 2).await, Some(21), "and nobody else does");
}

#[tokio::test]
async fn the_facade_places_too() {
    let lower = tier("lower");
    let manager = builder(&Clock::manual()).l2(lower.clone()).codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let set = manager.set("popular_tracks", &7_u64).ttl(mins(1));
    assert_eq!(set.multi_level().await.unwrap().levels, [L2]);
    let no_life = manager.set_multi_level("popular_tracks", &7_u64).await.unwrap_err();
    assert_eq!(no_life.kind(), ErrorKind::Config);
    assert_eq!(manager.get::<u64>("popular_tracks").await.unwrap().as_deref(), Some(&7));
}
