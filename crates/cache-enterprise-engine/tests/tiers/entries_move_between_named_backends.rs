//! What calls put into one named backend moves to another: values, lives and tags, by pattern.

use std::sync::Arc;

use cache_enterprise_core::{Clock, ErrorKind, mins, secs};
use cache_enterprise_engine::CacheManager;
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::ModelBackend;

use crate::builder;

async fn world() -> (CacheManager<MessagePack>, Clock) {
    let clock = Clock::manual();
    let model = || Arc::new(ModelBackend::new(clock.clone()));
    let manager = builder(&clock).backend("old", model()).backend("new", model());
    (manager.codec(MessagePack).build().await.unwrap(), clock)
}

async fn read(manager: &CacheManager<MessagePack>, key: &str, backend: &str) -> Option<u64> {
    let found = manager.get::<u64>(key).backend(backend).await.unwrap();
    found.map(|value| *value)
}

#[tokio::test]
async fn what_matches_moves_with_its_life_and_its_tags() {
    let (manager, clock) = world().await;
    for (key, value) in [("heavy_data:1", 1_u64), ("heavy_data:2", 2), ("light:1", 3)] {
        let set = manager.set(key, &value).backend("old").ttl(mins(1)).tags([format!("t{value}")]);
        set.await.unwrap();
    }
    let migration = |pattern| manager.migrate_data("old", "new", pattern).unwrap();
    let dry = migration("heavy_data:*").dry_run().run().await.unwrap();
    assert_eq!((dry.moved, read(&manager, "heavy_data:1", "new").await), (2, None));

    let report = migration("heavy_data:*").run().await.unwrap();
    assert_eq!((report.seen, report.moved), (2, 2));
    assert_eq!(read(&manager, "heavy_data:1", "new").await, Some(1));
    assert_eq!(read(&manager, "heavy_data:1", "old").await, None);
    assert_eq!(read(&manager, "light:1", "old").await, Some(3), "it does not match");

    manager.invalidate("t1").await;
    assert_eq!(read(&manager, "heavy_data:1", "new").await, None, "its tags came along");
    clock.advance(secs(59));
    assert_eq!(read(&manager, "heavy_data:2", "new").await, Some(2));
    clock.advance(secs(1));
    assert_eq!(read(&manager, "heavy_data:2", "new").await, None, "and its life");
}

#[tokio::test]
async fn another_tenants_entries_stay() {
    let (manager, _clock) = world().await;
    let set = manager.set("k", &1_u64).tenant("acme").backend("old").ttl(mins(1));
    set.await.unwrap();
    let report = manager.migrate_data("old", "new", "*").unwrap().run().await.unwrap();
    assert_eq!(report.seen, 0);
    let acme = manager.tenant("acme").unwrap();
    assert_eq!(acme.migrate_data("old", "new", "*").unwrap().run().await.unwrap().moved, 1);
    assert_eq!(read(&acme, "k", "new").await, Some(1));
}

#[tokio::test]
async fn names_without_bytes_of_their_own_are_refused() {
    let (manager, _clock) = world().await;
    let kind = |from, to, pattern| manager.migrate_data(from, to, pattern).unwrap_err().kind();
    assert_eq!(kind("memory", "new", "*"), ErrorKind::Unsupported);
    assert_eq!(kind("attic", "new", "*"), ErrorKind::Config);
    assert_eq!(kind("old", "new", "["), ErrorKind::InvalidInput);
}
