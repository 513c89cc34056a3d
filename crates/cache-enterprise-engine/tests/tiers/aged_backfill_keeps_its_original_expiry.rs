//! Absolute expiry travels with the value: climbing does not make it younger.

use cache_enterprise_core::{CacheLevel, Clock, mins, ms, secs};
use cache_enterprise_engine::{CacheSpec, Source};
use cache_enterprise_serializers::MessagePack;

use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(60));

#[tokio::test]
async fn a_value_that_climbs_late_ends_when_it_would_have() {
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let manager = builder(&clock).l2(upper.clone()).l3(lower.clone()).codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    upper.values.lock().clear();
    cache.drop_level1();
    clock.advance(secs(59));
    let hit = cache.get_entry(&1).await.unwrap().unwrap();
    assert_eq!((*hit.value, hit.source, hit.age), (7, Source::Tier(3), secs(59)));
    assert_eq!(hit.level, Some(CacheLevel::L3));
    let climbed = upper.values.lock().values().next().map(|(_, how)| how.ttl);
    assert_eq!(climbed, Some(Some(secs(1))), "the tier above keeps it for the rest of its life");
    assert_eq!(cache.get_entry(&1).await.unwrap().unwrap().source, Source::Memory);
    clock.advance(secs(1) - ms(1));
    assert!(cache.contains(&1));
    clock.advance(ms(1));
    assert!(!cache.contains(&1));
    assert_eq!(get(&cache, 1).await, None, "nor do the tiers give it");
    clock.advance(mins(5));
    assert_eq!(get(&cache, 1).await, None);
}
