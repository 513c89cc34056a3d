//! Two tenants use one cache of one tier: each sees its own, also after level 1 has let go.

use std::future::IntoFuture;

use cache_enterprise_core::{Clock, mins};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec};
use cache_enterprise_serializers::MessagePack;

use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

async fn two() -> (CacheManager<MessagePack>, [CacheManager<MessagePack>; 2], [Cache<u64, u64>; 2])
{
    let clock = Clock::manual();
    let manager = builder(&clock).l2(tier("disk")).codec(MessagePack).build().await.unwrap();
    let tenants = [manager.tenant("acme").unwrap(), manager.tenant("umbrella").unwrap()];
    let caches = [tenants[0].open(&SPEC).unwrap(), tenants[1].open(&SPEC).unwrap()];
    for (cache, value) in caches.iter().zip(10..) {
        cache.set(&1, value).tags(["tag"]).into_future().await;
        set(cache, 2, value).await;
        cache.drop_level1();
    }
    (manager, tenants, caches)
}

#[tokio::test]
async fn a_key_below_is_its_tenants() {
    let (_manager, _tenants, [acme, umbrella]) = two().await;
    assert_eq!((get(&acme, 1).await, get(&umbrella, 1).await), (Some(10), Some(11)));
    acme.remove(&2).await;
    assert_eq!((get(&acme, 2).await, get(&umbrella, 2).await), (None, Some(11)));
}

#[tokio::test]
async fn an_invalidation_below_is_its_tenants() {
    let (manager, tenants, [acme, umbrella]) = two().await;
    tenants[0].invalidate("tag").await;
    assert_eq!((get(&acme, 1).await, get(&umbrella, 1).await), (None, Some(11)));
    acme.clear().await;
    assert_eq!((get(&acme, 2).await, get(&umbrella, 2).await), (None, Some(11)));
    umbrella.drop_level1();
    manager.clear_everything().await;
    assert_eq!(get(&umbrella, 1).await, None);
    let later = manager.tenant("umbrella").unwrap().open(&SPEC).unwrap();
    assert_eq!(get(&later, 2).await, None);
}

#[tokio::test]
async fn a_tenant_met_after_the_end_of_everything_finds_nothing_older() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let before = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    set(&before.tenant("acme").unwrap().open(&SPEC).unwrap(), 1, 7).await;
    let after = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    // The root tenant of this process has taken more numbers than the last one's tenant.
    let root = after.open(&SPEC).unwrap();
    for key in 0..5 {
        set(&root, key, key).await;
    }
    after.clear_everything().await;
    let acme = after.tenant("acme").unwrap().open(&SPEC).unwrap();
    assert_eq!(get(&acme, 1).await, None);
    set(&acme, 1, 8).await;
    acme.drop_level1();
    assert_eq!(get(&acme, 1).await, Some(8));
}
