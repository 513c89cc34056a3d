//! Bytes that cannot be used are a miss and a count, whatever is wrong with them.

use cache_enterprise_core::{Clock, mins};
use cache_enterprise_engine::{CacheSpec, Source};
use cache_enterprise_serializers::MessagePack;
use serde::{Deserialize, Serialize};

use crate::{builder, get, set, tier};

#[derive(Debug, Serialize, Deserialize)]
struct Before {
    name: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct After {
    id: u64,
    name: String,
}

static BEFORE: CacheSpec<u64, Before> = CacheSpec::new("users").ttl(mins(5));
static AFTER: CacheSpec<u64, After> = CacheSpec::new("users").ttl(mins(5));
static NUMBERS: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));
static RENUMBERED: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).schema(1);

#[tokio::test]
async fn a_deploy_with_another_struct_loads_anew() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let old = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    let users = old.open(&BEFORE).unwrap();
    users.get_with(&1, || async { Before { name: "Ada".to_owned() } }).await;
    assert_eq!(disk.len(), 1);

    let new = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    let users = new.open(&AFTER).unwrap();
    assert!(users.get(&1).await.unwrap().is_none());
    assert_eq!(users.stats().undecodable, 1);
    let user = users.get_with(&1, || async { After { id: 1, name: "Ada".to_owned() } }).await;
    assert_eq!((user.id, &*user.name), (1, "Ada"));
    users.drop_level1();
    let hit = users.get_entry(&1).await.unwrap().unwrap();
    assert_eq!(hit.source, Source::Tier(2), "the new layout took the place of the old");
}

#[tokio::test]
async fn another_schema_number_and_corrupt_bytes_are_misses() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let old = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    set(&old.open(&NUMBERS).unwrap(), 1, 7).await;
    let new = builder(&clock).l2(disk.clone()).codec(MessagePack).build().await.unwrap();
    let numbers = new.open(&RENUMBERED).unwrap();
    assert_eq!(get(&numbers, 1).await, None);
    for bytes in [&b""[..], b"\0", b"no envelope at all, and long enough to look like one......"] {
        disk.overwrite(bytes);
        assert_eq!(get(&numbers, 1).await, None);
    }
    assert_eq!(numbers.stats().undecodable, 4);
}
