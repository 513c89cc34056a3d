//! A value that its origin confirms lives on in the tiers too: with other dates, and with the
//! bytes it had.

use std::sync::Arc;

use cache_enterprise_core::{CacheLevel, Clock, mins, secs};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, LoadContext, Source};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::chaos::ChaosCodec;
use cache_enterprise_testkit::{ModelBackend, Seed};

use crate::builder;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(10)).stale_if_error(mins(5));

type Codec = ChaosCodec<MessagePack>;

async fn process(clock: &Clock, tier: &Arc<ModelBackend>, codec: &Codec) -> CacheManager<Codec> {
    builder(clock).l2(Arc::clone(tier)).codec(codec.clone()).build().await.unwrap()
}

async fn load(cache: &Cache<u64, u64>) -> u64 {
    let load = |cx: LoadContext<u64>| async move {
        if cx.etag() == Some("v1") {
            return Ok::<_, ()>(cx.not_modified());
        }
        cx.keep_etag("v1");
        Ok(cx.value(7_u64))
    };
    *cache.fetch(&1).detached(load).await.unwrap()
}

#[tokio::test]
async fn and_other_processes_find_it_fresh() {
    let (clock, codec) = (Clock::manual(), ChaosCodec::new(MessagePack, Seed(1)));
    let tier = Arc::new(ModelBackend::new(clock.clone()));
    let first = process(&clock, &tier, &codec).await.open(&SPEC).unwrap();
    assert_eq!(load(&first).await, 7);
    assert_eq!(codec.encoded(), 1);
    for round in 1..4 {
        clock.advance(secs(11));
        if round == 2 {
            first.drop_level1();
        }
        assert_eq!(load(&first).await, 7);
        assert_eq!((codec.encoded(), first.stats().renewals), (1, round));
    }
    clock.advance(secs(9));
    let second = process(&clock, &tier, &codec).await.open(&SPEC).unwrap();
    let hit = second.get_entry(&1).await.unwrap().unwrap();
    assert_eq!((*hit.value, hit.source, hit.stale), (7, Source::Tier(2), false));
    assert_eq!((hit.level, hit.age), (Some(CacheLevel::L2), secs(9)));
    clock.advance(secs(1));
    assert!(second.get(&1).await.unwrap().is_none(), "its life ends again");
    assert_eq!(load(&second).await, 7);
    assert_eq!(second.stats().renewals, 1, "the etag travels with the value");
}

#[tokio::test]
async fn a_value_that_is_gone_at_its_origin_goes_from_the_tiers() {
    let (clock, codec) = (Clock::manual(), ChaosCodec::new(MessagePack, Seed(1)));
    let tier = Arc::new(ModelBackend::new(clock.clone()));
    let cache = process(&clock, &tier, &codec).await.open(&SPEC).unwrap();
    assert_eq!(load(&cache).await, 7);
    clock.advance(secs(11));
    let absent = |cx: LoadContext<u64>| async move { Ok::<_, ()>(cx.absent()) };
    assert!(cache.fetch(&1).detached(absent).await.is_err());
    clock.advance(secs(31));
    cache.drop_level1();
    let fails = cache.fetch(&1).with(|| async { Err::<u64, _>("down") });
    assert!(fails.await.is_err(), "no fallback is left below");
}
