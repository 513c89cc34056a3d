//! Graceful degradation, failing fast and queued writes.

use std::future::IntoFuture;
use std::sync::Arc;

use cache_enterprise_core::{Clock, ErrorKind, SetOutcome, mins, secs};
use cache_enterprise_engine::{
    Cache, CacheManager, CacheSpec, Failover, LoadError, Source, Tier, WritePolicy,
};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::chaos::{self, ChaosBackend, Operation};
use cache_enterprise_testkit::{ModelBackend, Seed};

use crate::scripted::{Mode, Scripted};
use crate::{builder, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

type Numbers = Cache<u64, u64>;

/// A cache over two tiers, the upper of which fails; the lower holds 1 under 1.
async fn failing(failover: Failover) -> (CacheManager<MessagePack>, Numbers) {
    let (upper, lower) = (tier("upper"), tier("lower"));
    let manager = builder(&Clock::manual())
        .l2(Tier::new(upper.clone()).bare())
        .l3(Tier::new(lower).bare())
        .failover(failover)
        .codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    cache.drop_level1();
    upper.set(Mode::Fail);
    (manager, cache)
}

#[tokio::test]
async fn by_default_the_next_level_answers() {
    let (manager, cache) = failing(Failover::default()).await;
    let hit = cache.get_entry(&1).await.unwrap().unwrap();
    assert_eq!((*hit.value, hit.source), (1, Source::Tier(3)));
    assert_eq!(cache.get(&2).await.unwrap(), None);
    let row = manager.describe().row("failover.strategy").unwrap().clone();
    assert_eq!(row.value, "graceful_degradation");
}

#[tokio::test]
async fn failing_fast_is_an_error_to_every_call_that_can_fail() {
    let (_, cache) = failing(Failover::FailFast).await;
    let error = cache.get(&1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("tier: upper"), "{error}");
    assert!(cache.get_entry(&1).await.is_err());
    assert!(cache.get_many(&[1_u64, 2]).await.is_err());
    let loaded = cache.try_get_with(&1, || async { Ok::<u64, std::fmt::Error>(2) }).await;
    assert!(matches!(loaded, Err(LoadError::Cache(_))), "{loaded:?}");
    let fetched = cache.fetch(&1).with(|| async { Ok::<u64, std::fmt::Error>(2) }).await;
    assert_eq!(fetched.err().map(|error| error.to_string()), Some(error.to_string()));
}

#[tokio::test]
async fn failing_fast_leaves_calls_that_cannot_fail_to_their_loader() {
    let (_, cache) = failing(Failover::FailFast).await;
    assert_eq!(*cache.get_with(&2, || async { 2_u64 }).await, 2);
    assert_eq!(cache.get_opt_with(&3, || async { Some(3_u64) }).await.as_deref(), Some(&3));
    assert_eq!(cache.get(&2).await.unwrap().as_deref(), Some(&2), "level 1 answers for itself");
    assert_eq!(set(&cache, 4, 4).await, SetOutcome::StoredAbove);
    assert!(cache.set(&5, 5_u64).strict().await.is_err());
}

#[tokio::test]
async fn followers_of_a_broken_read_are_told_or_go_on_alone() {
    let clock = Clock::manual();
    let model = Arc::new(ModelBackend::new(clock.clone()));
    let upper = Arc::new(ChaosBackend::new(model, Seed(7)));
    let manager = builder(&clock)
        .l2(Tier::new(Arc::clone(&upper)).bare())
        .failover(Failover::FailFast)
        .codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    upper.set(chaos::Mode::Hang);
    let leader = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&1).await }
    });
    while upper.calls(Operation::Get) == 0 {
        tokio::task::yield_now().await;
    }
    let told = cache.get(&1);
    let alone = cache.get_with(&1, || async { 7_u64 });
    let ended = async { upper.set(chaos::Mode::Fail(ErrorKind::Unavailable)) };
    // Both wait for the leader when its read ends.
    let (told, alone, ()) = tokio::join!(biased; told, alone, ended);
    assert!(leader.await.unwrap().is_err() && told.is_err());
    assert_eq!(*alone, 7);
}

#[tokio::test]
async fn queued_writes_wait_for_no_level_that_says_nothing_else() {
    let (queued, told) = (tier("queued"), tier("told"));
    let manager = builder(&Clock::manual())
        .l2(Tier::new(queued.clone()).bare())
        .l3(Tier::new(told.clone()).bare().write(WritePolicy::Through))
        .failover(Failover::QueueWrites { queue_max: 8 })
        .codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    queued.set(Mode::HoldPuts);
    let outcome = cache.set(&1, 7_u64).strict().into_future().await.unwrap();
    assert_eq!((outcome, told.len(), queued.len()), (SetOutcome::Stored, 1, 0));
    queued.set(Mode::Work);
    queued.pass.add_permits(1);
    assert_eq!(manager.shutdown(secs(60)).await.writes_flushed, 1);
    assert_eq!(Scripted::len(&queued), 1);
}
