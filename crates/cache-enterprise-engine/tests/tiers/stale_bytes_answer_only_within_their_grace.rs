//! What a tier holds past its life answers a failed load as long as the call allows, and never
//! longer than the entry was to be kept.

use cache_enterprise_core::{Clock, hours, mins, secs};
use cache_enterprise_engine::{Cache, CacheSpec};
use cache_enterprise_serializers::MessagePack;

use crate::{builder, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(10)).stale_if_error(hours(1));

/// What a call that allows `grace` gets when its load fails and level 1 holds nothing.
async fn after_a_failed_load(cache: &Cache<u64, u64>, grace: std::time::Duration) -> Option<u64> {
    cache.drop_level1();
    let fetch = cache.fetch(&1).stale_if_error(grace);
    fetch.with(|| async { Err::<u64, &str>("down") }).await.ok().map(|value| *value)
}

#[tokio::test]
async fn the_calls_and_the_entrys() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let manager = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    clock.advance(secs(40));
    assert_eq!(after_a_failed_load(&cache, mins(1)).await, Some(7));
    assert_eq!(after_a_failed_load(&cache, secs(30)).await, None, "30 s past its life");
    clock.advance(hours(1) - secs(31));
    assert_eq!(after_a_failed_load(&cache, hours(9)).await, Some(7));
    clock.advance(secs(1));
    assert_eq!(after_a_failed_load(&cache, hours(9)).await, None, "it was kept for an hour");
}
