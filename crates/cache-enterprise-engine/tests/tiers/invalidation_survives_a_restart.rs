//! Epochs that a store keeps hold for the next process too.

use std::sync::Arc;

use cache_enterprise_core::{Clock, OpenedBackend, mins};
use cache_enterprise_engine::{CacheManager, CacheSpec};
use cache_enterprise_serializers::MessagePack;

use crate::kept::Kept;
use crate::scripted::Scripted;
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

async fn open(disk: &Arc<Scripted>, kept: &Arc<Kept>) -> CacheManager<MessagePack> {
    let source = OpenedBackend::new(disk.clone()).with_epochs(kept.clone());
    builder(&Clock::manual()).l2(source).codec(MessagePack).build().await.unwrap()
}

#[tokio::test]
async fn a_tag_invalidated_before_the_restart_is_a_miss_after_it() {
    let (disk, kept) = (tier("disk"), Arc::new(Kept::default()));
    let manager = open(&disk, &kept).await;
    let cache = manager.open(&SPEC).unwrap();
    cache.set(&1, 1_u64).tags(["gone"]).await;
    cache.set(&2, 2_u64).tags(["kept"]).await;
    assert!(manager.invalidate("gone").await.strict().is_ok());
    drop((cache, manager));

    let manager = open(&disk, &kept).await;
    let cache = manager.open(&SPEC).unwrap();
    assert_eq!(disk.len(), 2, "the bytes of both are there");
    assert_eq!(get(&cache, 1).await, None);
    assert_eq!(get(&cache, 2).await, Some(2));
    cache.set(&1, 3_u64).tags(["gone"]).await;
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, Some(3), "a newer value of the tag is valid");
}

#[tokio::test]
async fn so_does_the_end_of_a_cache_a_tenant_and_everything() {
    for ended in ["cache", "tenant", "everything"] {
        let (disk, kept) = (tier("disk"), Arc::new(Kept::default()));
        let manager = open(&disk, &kept).await;
        let cache = manager.open(&SPEC).unwrap();
        set(&cache, 1, 1).await;
        let receipt = match ended {
            "cache" => cache.clear().await,
            "tenant" => manager.clear().await,
            _ => manager.clear_everything().await,
        };
        assert!(receipt.strict().is_ok());
        drop((cache, manager));

        let cache = open(&disk, &kept).await.open(&SPEC).unwrap();
        assert_eq!(disk.len(), 1, "the bytes are there");
        assert_eq!(get(&cache, 1).await, None, "{ended}");
    }
}
