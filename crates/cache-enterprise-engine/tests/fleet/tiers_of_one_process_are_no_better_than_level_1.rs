//! A disk that one process alone writes knows no more of the others than its level 1 does.

use std::sync::Arc;

use cache_enterprise_core::secs;
use cache_enterprise_engine::{Cache, CacheManager, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::ModelBackend;

use super::{Fleet, SPEC, builder};

impl Fleet {
    /// A process with a tier of its own above the shared one.
    async fn process_with_a_disk(
        &self,
        has_bus: bool,
    ) -> (CacheManager<MessagePack>, Cache<u64, u64>, ModelBackend) {
        let disk = ModelBackend::new(self.clock.clone());
        let tier = Tier::new(Arc::new(disk.reopened())).bare();
        let builder = builder(self.clock.clone());
        let builder = builder.l2(tier).l3(self.shared_tier(&self.epochs.another()));
        let bus = self.bus.another();
        let built = match has_bus {
            true => builder.bus(bus.clone()).codec(MessagePack).build().await,
            false => builder.codec(MessagePack).build().await,
        };
        let manager = built.unwrap();
        let cache = manager.open(&SPEC).unwrap();
        (manager, cache, disk)
    }
}

async fn read(cache: &Cache<u64, u64>) -> Option<u64> {
    cache.drop_level1();
    cache.get(&1).await.unwrap().map(|value| *value)
}

#[tokio::test(start_paused = true)]
async fn without_a_bus_it_holds_copies_for_a_minute() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    let (manager, cache, disk) = fleet.process_with_a_disk(false).await;
    one.set(1, 10).await;
    assert_eq!((read(&cache).await, disk.len()), (Some(10), 1));
    one.cache.remove(&1).await;
    fleet.clock.advance(secs(61));
    manager.tick();
    assert_eq!(read(&cache).await, None);
}

#[tokio::test(start_paused = true)]
async fn with_a_bus_it_lets_go_of_what_it_hears() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    let (manager, cache, disk) = fleet.process_with_a_disk(true).await;
    one.heard("it listens", || fleet.bus.listeners("fleet") > 1).await;
    one.set(1, 10).await;
    assert_eq!((read(&cache).await, disk.len()), (Some(10), 1));
    fleet.clock.advance(secs(120));
    manager.tick();
    assert_eq!(disk.len(), 1, "it lives as long as its entry");
    one.cache.remove(&1).await;
    one.heard("the removal is heard", || disk.is_empty()).await;
    assert_eq!(read(&cache).await, None);
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_it_answers_nothing_that_others_may_have_ended() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    let (first, cache, disk) = fleet.process_with_a_disk(true).await;
    one.heard("it listens", || fleet.bus.listeners("fleet") > 1).await;
    one.set(1, 10).await;
    assert_eq!((read(&cache).await, disk.len()), (Some(10), 1));
    drop((first, cache));
    one.cache.remove(&1).await;
    let tier = Tier::new(Arc::new(disk.reopened())).bare();
    let builder = builder(fleet.clock.clone());
    let again = builder.l2(tier).l3(fleet.shared_tier(&fleet.epochs.another()));
    let again = again.bus(fleet.bus.another()).codec(MessagePack).build().await.unwrap();
    let cache = again.open(&SPEC).unwrap();
    one.heard("it listens", || fleet.bus.listeners("fleet") > 1).await;
    assert_eq!(read(&cache).await, None);
}
