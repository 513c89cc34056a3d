//! The truth table of `refresh`, `bypass` and `read_only` over level 1 and a tier.

use cache_enterprise_core::{CacheLevel, Clock, mins};
use cache_enterprise_engine::{Access, Cache, CacheSpec};
use cache_enterprise_serializers::MessagePack;

use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

/// What the caller gets, and what level 1 and the tier hold afterwards, where both held 1 and the
/// loader gives 2.
#[tokio::test]
async fn the_truth_table() {
    let (l1, l2) = (CacheLevel::L1, CacheLevel::L2);
    let table = [
        (Access::PLAIN, 1, Some(1), Some(1)),
        (Access::PLAIN.refresh(), 2, Some(2), Some(2)),
        (Access::PLAIN.bypass(l1), 1, Some(1), Some(1)),
        (Access::PLAIN.bypass(l2), 1, Some(1), Some(1)),
        (Access::PLAIN.bypass(l1).bypass(l2), 2, None, None),
        (Access::PLAIN.refresh().bypass(l1), 2, None, Some(2)),
        (Access::PLAIN.refresh().bypass(l2), 2, Some(2), None),
        (Access::PLAIN.read_only(), 1, Some(1), Some(1)),
        (Access::PLAIN.refresh().read_only(), 2, Some(1), Some(1)),
    ];
    for (access, value, above, below) in table {
        let (clock, disk) = (Clock::manual(), tier("disk"));
        let manager = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
        let cache = manager.open(&SPEC).unwrap();
        set(&cache, 1, 1).await;
        assert_eq!(load(&cache, access).await, value, "{access:?}");
        assert_eq!(cache.peek(&1).map(|value| *value), above, "{access:?}");
        cache.drop_level1();
        assert_eq!(get(&cache, 1).await, below, "{access:?}");
    }
}

async fn load(cache: &Cache<u64, u64>, access: Access) -> u64 {
    let fetch = cache.fetch(&1).access(access);
    *fetch.with(|| async { Ok::<u64, ()>(2) }).await.unwrap()
}

#[tokio::test]
async fn what_is_found_below_is_not_kept_above_by_a_read_only_call() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let manager = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    cache.drop_level1();
    let found = cache.fetch(&1).read_only().look().await.unwrap().unwrap();
    assert_eq!((*found.value, found.level), (1, Some(CacheLevel::L2)));
    assert!(cache.peek(&1).is_none());
    let passed = cache.fetch(&1).bypass(CacheLevel::L2).look().await.unwrap();
    assert!(passed.is_none(), "the only level that has it is passed by");
}
