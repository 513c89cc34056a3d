//! Numbers that the store of epochs did not reserve may be given again by the next process: what
//! carries one is not written to a tier, which would believe it after the end of its group.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_enterprise_core::{Clock, OpenedBackend, SetOutcome, mins};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Tier};
use cache_enterprise_serializers::MessagePack;

use crate::kept::Kept;
use crate::scripted::Scripted;
use crate::{builder, get, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

async fn open(
    disk: &Arc<Scripted>,
    kept: &Arc<Kept>,
) -> (CacheManager<MessagePack>, Cache<u64, u64>) {
    let source = OpenedBackend::new(disk.clone()).with_epochs(kept.clone());
    let level = Tier::new(source).bare();
    let manager = builder(&Clock::manual()).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    (manager, cache)
}

#[tokio::test]
async fn a_value_is_no_newer_than_an_end_after_the_restart() {
    let (disk, kept) = (tier("disk"), Arc::new(Kept::default()));
    let (_manager, cache) = open(&disk, &kept).await;
    kept.reserves_nothing.store(true, Ordering::SeqCst);
    for key in 0..9 {
        let set = cache.set(&key, key).tags(["tag"]).strict().into_future().await;
        assert!(set.is_err(), "it is in level 1 alone");
    }
    let many = cache.set_many((10..19_u64).map(|key| (key, key))).await;
    assert_eq!(many, [SetOutcome::StoredAbove; 9]);
    let tagged = cache.fetch(&20).tags(["tag"]);
    assert_eq!(*tagged.with(async || Ok::<_, ()>(20_u64)).await.unwrap(), 20);
    assert_eq!((get(&cache, 8).await, get(&cache, 18).await), (Some(8), Some(18)));

    kept.reserves_nothing.store(false, Ordering::SeqCst);
    let (manager, cache) = open(&disk, &kept).await;
    manager.invalidate("tag").await.strict().unwrap();
    for key in 0..=20 {
        assert_eq!(get(&cache, key).await, None, "key {key}");
    }
}

#[tokio::test]
async fn nothing_older_stays_in_its_place() {
    let (disk, kept) = (tier("disk"), Arc::new(Kept::default()));
    let (_manager, cache) = open(&disk, &kept).await;
    cache.set(&1, 1_u64).strict().into_future().await.unwrap();
    let (_manager, cache) = open(&disk, &kept).await;
    kept.reserves_nothing.store(true, Ordering::SeqCst);
    cache.set(&1, 2_u64).into_future().await;
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, None);
}
