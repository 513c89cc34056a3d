//! A codec that fails keeps values in level 1 and makes bytes a miss; no caller hears of it.

use cache_enterprise_core::{Clock, SetOutcome, mins};
use cache_enterprise_engine::{CacheSpec, Source};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::{ChaosCodec, CodecMode};

use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

#[tokio::test]
async fn a_value_without_a_form_stays_in_level_1() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let codec = ChaosCodec::new(MessagePack, Seed(7));
    let manager = builder(&clock).l2(disk.clone()).codec(codec.clone()).build().await.unwrap();
    let numbers = manager.open(&SPEC).unwrap();
    codec.set(CodecMode::FailEncode);
    assert_eq!(set(&numbers, 1, 7).await, SetOutcome::StoredAbove);
    let loaded = numbers.get_with(&2, || async { 8_u64 }).await;
    assert_eq!((*loaded, get(&numbers, 1).await, disk.len()), (8, Some(7), 0));

    codec.set(CodecMode::Healthy);
    assert_eq!(set(&numbers, 1, 9).await, SetOutcome::Stored);
    assert_eq!(disk.len(), 1, "the tier fills again");
}

#[tokio::test]
async fn bytes_that_do_not_decode_are_loaded_anew() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let codec = ChaosCodec::new(MessagePack, Seed(7));
    let manager = builder(&clock).l2(disk.clone()).codec(codec.clone()).build().await.unwrap();
    let numbers = manager.open(&SPEC).unwrap();
    set(&numbers, 1, 7).await;
    numbers.drop_level1();
    codec.set(CodecMode::FailDecode);
    assert_eq!(get(&numbers, 1).await, None);
    assert_eq!(*numbers.get_with(&1, || async { 8_u64 }).await, 8);
    assert_eq!(numbers.stats().undecodable, 2);

    codec.set(CodecMode::Healthy);
    numbers.drop_level1();
    let hit = numbers.get_entry(&1).await.unwrap().unwrap();
    assert_eq!((*hit.value, hit.source), (8, Source::Tier(2)), "the load took its place");
}
