//! A disk that one process alone writes knows no more of the others than its level 1 does.

use std::future::IntoFuture;
use std::sync::Arc;

use async_trait::async_trait;
use cache_enterprise_core::coherence::{EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{ErrorKind, OpenedBackend, Result, secs, tag};
use cache_enterprise_engine::{Cache, CacheManager, Source, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::ModelBackend;
use cache_enterprise_testkit::chaos::Mode;
use cache_enterprise_testkit::coherence::SharedEpochs;

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
async fn what_it_hears_of_a_tenant_that_is_not_open_refuses_nothing_later() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    let (manager, _, disk) = fleet.process_with_a_disk(true).await;
    one.heard("it listens", || fleet.bus.listeners("fleet") > 1).await;
    let told = one.manager.tenant("acme").unwrap().open(&SPEC).unwrap();
    told.set(&1, 10_u64).strict().into_future().await.unwrap();
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    told.remove(&1).await;
    let heard = || manager.bus_stats().unwrap().heard > 1;
    one.heard("a removal that has no number", heard).await;
    // It is counted before it is heeded.
    tokio::task::yield_now().await;
    let cache = manager.tenant("acme").unwrap().open(&SPEC).unwrap();
    cache.set(&1, 11_u64).strict().into_future().await.unwrap();
    assert_eq!(disk.len(), 1, "a value of later is stored");
    let is_believed = || {
        manager.tick();
        !manager.bus_stats().unwrap().is_in_doubt
    };
    one.heard("the bus is no longer silent", is_believed).await;
    cache.drop_level1();
    let found = cache.get_entry(&1).await.unwrap().unwrap();
    assert_eq!((*found.value, found.source), (11, Source::Tier(2)));
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

/// Keeps epochs for its own process, as a disk does.
#[derive(Debug)]
struct OwnEpochs(SharedEpochs);

#[async_trait]
impl EpochStore for OwnEpochs {
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        self.0.load(manager, tenant, newest).await
    }

    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        self.0.raise(manager, tenant, targets, above).await
    }

    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()> {
        self.0.reserve(manager, tenant, upto).await
    }
}

#[tokio::test(start_paused = true)]
async fn its_store_of_epochs_gives_way_to_the_one_that_all_share() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    let own = OwnEpochs(SharedEpochs::new(fleet.clock.clone()));
    let disk = OpenedBackend::new(Arc::new(ModelBackend::new(fleet.clock.clone())));
    let disk = Tier::new(disk.with_epochs(Arc::new(own))).bare();
    let builder = builder(fleet.clock.clone()).l2(disk);
    let builder = builder.l3(fleet.shared_tier(&fleet.epochs.another())).codec(MessagePack);
    let manager = builder.bus(fleet.bus.another()).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    one.cache.set(&1, 10_u64).tags([tag!("a")]).strict().into_future().await.unwrap();
    assert_eq!(*cache.get(&1).await.unwrap().unwrap(), 10);
    manager.invalidate(tag!("a")).strict().await.unwrap();
    assert_eq!(one.cache.get_strict(&1).await.unwrap().map(|value| *value), None);
    one.heard("the tag has ended", || one.peek(1).is_none()).await;
}
