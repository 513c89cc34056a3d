//! `set_if_version` over a tier that several processes write.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, Capabilities, Error, ErrorKind, OpContext, OpenedBackend, Put, PutOutcome, Result,
    Sequence, StoredKey, Swapped, secs,
};
use cache_enterprise_engine::{IfVersion, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode, Operation};
use cache_enterprise_testkit::{ModelBackend, Seed, wait};

use crate::{Fleet, Process, SPEC, builder};

/// Exchanges a value as it is asked to, and its reply is lost.
#[derive(Debug)]
struct LostReplies(ModelBackend);

#[async_trait]
impl Backend for LostReplies {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        self.0.get(key, ctx).await
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        self.0.put(key, value, how, ctx).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.0.remove(key, at, ctx).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        self.0.swap(key, value, how, expected, ctx).await?;
        Err(Error::new(ErrorKind::Timeout, "the reply is lost"))
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

async fn version(process: &Process) -> (Option<u64>, Sequence) {
    match process.cache.get_entry(&1).await.unwrap() {
        Some(hit) => (Some(*hit.value), hit.version),
        None => (None, Sequence::ZERO),
    }
}

#[tokio::test]
async fn the_one_who_read_the_newest_value_wins() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.process().await, fleet.process().await);
    assert!(a.cache.set_if_version(&1, 1_u64, Sequence::ZERO).await.unwrap().is_stored());
    let (seen_by_b, at_b) = version(&b).await;
    assert_eq!(seen_by_b, Some(1));
    let (_, at_a) = version(&a).await;
    assert_eq!(at_a, at_b);
    assert!(b.cache.set_if_version(&1, 2_u64, at_b).await.unwrap().is_stored());
    let late = a.cache.set_if_version(&1, 9_u64, at_a).await.unwrap();
    assert!(matches!(late, IfVersion::Changed(now) if now > at_a));
    assert_eq!(a.get(1).await, Some(2), "what it held of the older version is gone");
}

#[tokio::test]
async fn counts_of_several_processes_add_up() {
    const EACH: u64 = 100;
    let fleet = Fleet::new();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let process = fleet.process().await;
        tasks.push(tokio::spawn(async move {
            let mut stored = 0;
            while stored < EACH {
                let (old, seen) = version(&process).await;
                let next = old.unwrap_or(0) + 1;
                let done = process.cache.set_if_version(&1, next, seen).await.unwrap();
                stored += u64::from(done.is_stored());
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let judge = fleet.process().await;
    assert_eq!(judge.get(1).await, Some(4 * EACH));
}

#[tokio::test]
async fn a_set_a_removal_and_a_clear_elsewhere_are_seen() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.process().await, fleet.process().await);
    a.set(1, 1).await;
    let (_, seen) = version(&b).await;
    a.set(1, 2).await;
    let late = b.cache.set_if_version(&1, 9_u64, seen).await.unwrap();
    assert!(matches!(late, IfVersion::Changed(now) if now > seen));
    let (value, seen) = version(&b).await;
    assert_eq!(value, Some(2));
    a.cache.remove(&1).await;
    let late = b.cache.set_if_version(&1, 9_u64, seen).await.unwrap();
    assert!(matches!(late, IfVersion::Changed(Sequence::ZERO)));
    a.set(1, 3).await;
    a.cache.clear().await;
    // The bytes of 3 still lie in the tier, and are no value any more.
    assert_eq!(version(&b).await, (None, Sequence::ZERO));
    assert!(b.cache.set_if_version(&1, 4_u64, Sequence::ZERO).await.unwrap().is_stored());
    assert_eq!(a.get(1).await, Some(4));
}

#[tokio::test]
async fn where_nobody_can_decide_for_all_it_is_refused() {
    let mut fleet = Fleet::new();
    let capabilities = cache_enterprise_core::Backend::capabilities(&fleet.tier);
    fleet.tier =
        fleet.tier.claiming(cache_enterprise_core::Capabilities { swap: false, ..capabilities });
    let process = fleet.process().await;
    let refused = process.cache.set_if_version(&1, 1_u64, Sequence::ZERO).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(process.get(1).await, None);
}

#[tokio::test]
async fn one_whose_reply_was_lost_leaves_no_older_value_in_the_other_levels() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    one.set(1, 1).await;
    let source = OpenedBackend::new(Arc::new(LostReplies(fleet.tier.reopened())));
    let decides = Tier::new(source.with_epochs(Arc::new(fleet.epochs.another()))).bare();
    let disk = ModelBackend::new(fleet.clock.clone());
    let own = Tier::new(Arc::new(disk.reopened())).bare();
    let builder = builder(fleet.clock.clone()).l2(own).l3(decides).codec(MessagePack);
    let manager = builder.bus(fleet.bus.another()).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    let seen = cache.get_entry(&1).await.unwrap().unwrap();
    assert_eq!((*seen.value, disk.len()), (1, 1));
    let lost = cache.set_if_version(&1, 2_u64, seen.version).await;
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(disk.len(), 0, "nobody knows whether it is still the newest");
    assert_eq!(cache.get(&1).await.unwrap().map(|value| *value), Some(2));
}

#[tokio::test(start_paused = true)]
async fn one_that_a_removal_overtook_leaves_no_copy_in_level_1() {
    let fleet = Fleet::new();
    let tier = Arc::new(ChaosBackend::new(Arc::new(fleet.tier.reopened()), Seed(7)));
    let source = OpenedBackend::new(Arc::clone(&tier) as _);
    let epochs = fleet.epochs.another();
    let source = source.with_epochs(Arc::new(epochs.clone()));
    let builder = builder(fleet.clock.clone()).l2(Tier::new(source).bare()).codec(MessagePack);
    let manager = builder.bus(fleet.bus.another()).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    assert!(cache.get(&1).await.unwrap().is_none(), "its record is known");
    tier.set(Mode::Hang);
    let (swap, removal) = (cache.clone(), cache.clone());
    let swap = tokio::spawn(async move { swap.set_if_version(&1, 1_u64, Sequence::ZERO).await });
    wait::until_async("it is under way", async || tier.calls(Operation::Swap) > 0).await;
    let removal = tokio::spawn(async move { removal.remove(&1).await });
    wait::until_async("so is the removal", async || epochs.calls().next > 1).await;
    tier.set(Mode::Healthy);
    assert!(swap.await.unwrap().unwrap().is_stored(), "for as long as it took");
    removal.await.unwrap();
    assert_eq!((cache.peek(&1).map(|value| *value), fleet.tier.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn what_one_process_does_not_believe_is_still_there_for_the_others() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.process().await, fleet.process().await);
    a.set(1, 1).await;
    a.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    a.cache.remove(&1).await;
    assert!(b.cache.set_if_version(&1, 2_u64, Sequence::ZERO).await.unwrap().is_stored());
    a.epochs.set(Mode::Healthy);
    fleet.clock.advance(secs(2));
    let late = a.cache.set_if_version(&1, 9_u64, Sequence::ZERO).await.unwrap();
    assert!(matches!(late, IfVersion::Changed(now) if now > Sequence::ZERO), "{late:?}");
}
