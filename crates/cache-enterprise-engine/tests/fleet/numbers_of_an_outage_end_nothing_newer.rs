//! A store of epochs that gives no numbers costs a process its tiers and no correctness.

use std::future::IntoFuture;
use std::sync::Arc;

use cache_enterprise_core::{CacheLevel, ErrorKind, SetOutcome, secs, tag};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::chaos::Mode;
use cache_enterprise_testkit::coherence::Link;
use cache_enterprise_testkit::{ModelBackend, wait};

use super::{Fleet, Process, SPEC, builder};

#[tokio::test(start_paused = true)]
async fn a_removal_without_a_number_holds_everywhere() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    assert_eq!(other.get(1).await, Some(10));
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    one.cache.remove(&1).await;
    assert_eq!(one.peek(1), None);
    other.heard("whatever it holds is ended", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_value_without_a_number_stays_above() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    other.set(1, 9).await;
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    assert!(one.cache.set(&1, 10_u64).strict().into_future().await.is_err());
    assert_eq!(one.peek(1), Some(10), "its own process has it");
    assert_eq!(*one.cache.get_with(&2, || async { 20_u64 }).await, 20);
    other.heard("the old value is gone", || other.peek(1).is_none()).await;
    assert_eq!((other.get(1).await, other.get(2).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn what_is_written_right_after_the_outage_stays() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    for key in 1..=3 {
        one.cache.remove(&key).await;
    }
    one.epochs.set(Mode::Healthy);
    fleet.clock.advance(secs(2));
    one.set(1, 10).await;
    assert_eq!(one.cache.set_many([(2_u64, 20_u64)]).await, [SetOutcome::Stored]);
    assert_eq!(one.manager.tier_stats()[0].debts, 1, "the third is owed still");
    tokio::time::sleep(secs(2)).await;
    let all_told = || one.manager.tier_stats()[0].debts == 0;
    one.heard("the removals are made again", all_told).await;
    assert_eq!((other.get(1).await, other.get(2).await), (Some(10), Some(20)));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_removal_ends_what_was_set_in_the_outage() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    for value in 0..50_u64 {
        one.cache.set(&1, value).await;
    }
    assert_eq!(one.peek(1), Some(49));
    other.cache.remove(&1).await;
    one.heard("the removal is heard", || one.peek(1).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_end_of_everything_ends_what_was_set_in_the_outage() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    assert_eq!(one.get(1).await, None, "its record is known");
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    other.bus.set(Link::Cut);
    for value in 0..50_u64 {
        one.cache.set(&1, value).await;
    }
    other.bus.set(Link::Whole);
    assert!(other.manager.clear_everything().await.strict().is_ok());
    one.heard("the end is heard", || one.peek(1).is_none()).await;
    one.epochs.set(Mode::Healthy);
    let loaded = one.cache.get_with(&2, || async { 7_u64 }).await;
    assert_eq!((*loaded, fleet.tier.len()), (7, 0), "no store gave the number that it began at");
}

#[tokio::test(start_paused = true)]
async fn a_group_ended_in_the_outage_ends_everywhere_after_it() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    other.cache.set(&1, 10_u64).tags([tag!("a")]).strict().into_future().await.unwrap();
    assert_eq!(one.get(1).await, Some(10));
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    assert!(one.manager.invalidate(tag!("a")).await.strict().is_err());
    assert_eq!(one.peek(1), None);
    assert_eq!(other.peek(1), Some(10));
    one.epochs.set(Mode::Healthy);
    tokio::time::sleep(secs(2)).await;
    other.heard("it is raised late", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_group_ended_without_a_number_hides_what_others_wrote_under_greater_ones() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.bus.set(Link::Cut);
    for value in 0..50 {
        other.set(1, value).await;
    }
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    assert!(one.manager.clear().await.strict().is_err());
    one.epochs.set(Mode::Healthy);
    assert_eq!(one.get(1).await, None, "the store answers, and has not been told yet");
    one.bus.set(Link::Whole);
    tokio::time::sleep(secs(2)).await;
    other.heard("it is raised late", || other.peek(1).is_none()).await;
    assert_eq!((one.get(1).await, other.get(1).await), (None, None));
    other.set(1, 60).await;
    assert_eq!(one.get(1).await, Some(60), "and what is written later is read");
}

#[tokio::test(start_paused = true)]
async fn everything_ended_without_a_number_is_hidden_from_every_tenant() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let of = |process: &Process, tenant: &str| {
        process.manager.tenant(tenant).unwrap().open(&SPEC).unwrap()
    };
    let acme = of(&one, "acme");
    assert!(acme.get(&1).await.unwrap().is_none(), "its record is known");
    one.bus.set(Link::Cut);
    for value in 0..50_u64 {
        for tenant in ["acme", "later"] {
            of(&other, tenant).set(&1, value).strict().into_future().await.unwrap();
        }
    }
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    assert!(one.manager.clear_everything().await.strict().is_err());
    one.epochs.set(Mode::Healthy);
    let later = of(&one, "later");
    for cache in [&acme, &later] {
        assert!(cache.get(&1).await.unwrap().is_none(), "the store has not been told yet");
    }
    one.bus.set(Link::Whole);
    tokio::time::sleep(secs(2)).await;
    let told = of(&other, "acme");
    other.heard("it is raised late", || told.peek(&1).is_none()).await;
    for cache in [&acme, &later, &told] {
        assert!(cache.get(&1).await.unwrap().is_none());
    }
    told.set(&1, 60_u64).strict().into_future().await.unwrap();
    assert_eq!(acme.get(&1).await.unwrap().map(|value| *value), Some(60));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_heard_of_before_its_first_call_is_not_cold() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let cache = one.manager.tenant("acme").unwrap().open(&SPEC).unwrap();
    let writer = other.manager.tenant("acme").unwrap().open(&SPEC).unwrap();
    writer.set(&1, 10_u64).strict().into_future().await.unwrap();
    one.heard("the value is told", || one.manager.bus_stats().unwrap().heard > 0).await;
    // It is counted before it is heeded.
    tokio::task::yield_now().await;
    assert_eq!(cache.get(&1).await.unwrap().map(|value| *value), Some(10));
    assert_eq!(writer.peek(&1).map(|value| *value), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_group_ended_without_a_number_ends_copies_of_what_others_wrote_under_greater_ones() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.bus.set(Link::Cut);
    for value in 0..50 {
        other.set(1, value).await;
    }
    assert_eq!(one.get(1).await, Some(49));
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    assert!(one.manager.clear().await.strict().is_err());
    assert_eq!(one.peek(1), None);
}

#[tokio::test(start_paused = true)]
async fn a_removal_without_a_number_ends_what_others_wrote_under_greater_ones() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.bus.set(Link::Cut);
    for value in 0..50 {
        other.set(1, value).await;
    }
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    one.cache.remove(&1).await;
    one.cache.remove_many(&[2_u64]).await;
    one.epochs.set(Mode::Healthy);
    assert_eq!(one.get(1).await, None, "it removed what stood there");
    one.bus.set(Link::Whole);
    other.heard("it is removed everywhere", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, None);
    fleet.clock.advance(secs(2));
    tokio::time::sleep(secs(3)).await;
    other.set(1, 60).await;
    assert_eq!(one.get(1).await, Some(60), "and what is written later is read");
}

#[tokio::test(start_paused = true)]
async fn a_removal_without_a_number_keeps_out_a_load_that_began_under_a_greater_one() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.bus.set(Link::Cut);
    for value in 0..50 {
        other.set(2, value).await;
    }
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    let overtaken = async || {
        one.cache.remove(&1).await;
        10_u64
    };
    assert_eq!(*other.cache.get_with(&1, overtaken).await, 10, "which the tier could not refuse");
    one.epochs.set(Mode::Healthy);
    assert_eq!(one.get(1).await, None, "the process that removed it does not believe it");
    one.bus.set(Link::Whole);
    fleet.clock.advance(secs(2));
    tokio::time::sleep(secs(3)).await;
    other.heard("it is removed under a number", || other.peek(1).is_none()).await;
    assert_eq!((other.get(1).await, one.get(1).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn what_ended_in_the_outage_is_ended_below_before_the_process_ends() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    one.set(1, 10).await;
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    one.cache.set(&1, 11_u64).await;
    one.epochs.set(Mode::Healthy);
    assert!(one.manager.shutdown(secs(5)).await.is_clean());
    let next = fleet.process().await;
    assert_eq!(next.get(1).await, None, "the older value does not come back");
}

#[tokio::test(start_paused = true)]
async fn what_ended_in_a_named_backend_is_ended_there() {
    let fleet = Fleet::new();
    let epochs = fleet.epochs.another();
    let built = builder(fleet.clock.clone())
        .l2(fleet.shared_tier(&epochs))
        .backend("attic", Arc::new(ModelBackend::new(fleet.clock.clone())))
        .codec(MessagePack);
    let manager = built.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    let attic = manager.backend("attic").unwrap().open(&SPEC).unwrap();
    attic.set(&2, 20_u64).strict().into_future().await.unwrap();
    assert_eq!(attic.get(&2).await.unwrap().map(|value| *value), Some(20));
    epochs.set(Mode::Fail(ErrorKind::Unavailable));
    cache.remove(&1).await;
    attic.remove(&2).await;
    epochs.set(Mode::Healthy);
    fleet.clock.advance(secs(2));
    wait::until_async("both are ended under numbers", async || {
        manager.tier_stats().iter().all(|tier| tier.debts == 0)
    })
    .await;
    attic.set(&2, 21_u64).strict().into_future().await.unwrap();
    assert_eq!(attic.get(&2).await.unwrap().map(|value| *value), Some(21));
}

#[tokio::test(start_paused = true)]
async fn keys_that_ended_without_a_number_are_reported() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    one.set(2, 20).await;
    assert_eq!(other.get(1).await, Some(10));
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    let mut ended = one.manager.invalidations();
    ended.key(&one.cache, &1);
    let receipt = ended.apply().await;
    assert_eq!(receipt.levels, [CacheLevel::L1], "what others wrote below may be newer");
    assert_eq!(receipt.strict().unwrap_err().kind(), ErrorKind::Unavailable);
    let report = one.cache.bulk_delete(&[2]).await;
    let failed: Vec<_> = report.failed().map(|(key, error)| (*key, error.kind())).collect();
    assert_eq!(failed, [(2, ErrorKind::Unavailable)]);
    assert_eq!((one.get(1).await, one.get(2).await), (None, None), "here both have ended");
    other.heard("and so have copies elsewhere", || other.peek(1).is_none()).await;
}
