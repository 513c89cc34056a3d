//! In a rolling deploy some processes write what others cannot read yet. To those it is a miss, a
//! counter and an event; only who asks strictly gets an error, and nobody removes it.

use bytes::Bytes;
use cache_enterprise_core::{Clock, ErrorKind, mins};
use cache_enterprise_engine::CacheSpec;
use cache_enterprise_serializers::MessagePack;

use crate::scripted::{Mode, Scripted};
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

/// The version this build writes for a plain value, behind the two bytes of the magic.
const PLAIN: u8 = 1;

/// The newest version it writes.
const NEWEST: u8 = 2;

/// Writes the next version's number into every envelope the tier holds.
fn raise_version(disk: &Scripted) {
    for (bytes, _) in disk.values.lock().values_mut() {
        let mut newer = bytes.to_vec();
        assert_eq!(std::mem::replace(&mut newer[2], NEWEST + 1), PLAIN);
        *bytes = Bytes::from(newer);
    }
}

#[tokio::test]
async fn to_all_but_who_asks_strictly() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let manager = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    cache.drop_level1();
    assert_eq!(cache.get_strict(&1).await.unwrap().map(|value| *value), Some(7));
    assert!(!cache.contains(&1), "a strict read leaves nothing behind");
    raise_version(&disk);
    assert_eq!(get(&cache, 1).await, None);
    assert_eq!(cache.stats().undecodable, 1);
    let error = cache.get_strict(&1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(cache.stats().undecodable, 2);
    assert_eq!(disk.len(), 1, "who wrote it can still read it");
    assert_eq!(*cache.get_with(&1, || async { 8_u64 }).await, 8);
}

#[tokio::test]
async fn a_strict_read_gives_the_error_of_a_tier_that_fails() {
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let manager = builder(&clock).l2(upper.clone()).l3(lower.clone()).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    assert!(cache.get_strict(&2).await.unwrap().is_none());
    cache.drop_level1();
    upper.set(Mode::Fail);
    assert_eq!(cache.get_strict(&1).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(get(&cache, 1).await, Some(7), "others are answered by the next level");
}
