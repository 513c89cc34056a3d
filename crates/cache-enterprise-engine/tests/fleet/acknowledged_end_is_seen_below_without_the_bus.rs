//! A read that reaches a shared tier never sees what was ended before it began, heard or not.

use std::future::IntoFuture;

use cache_enterprise_core::{ErrorKind, ms, tag};
use cache_enterprise_testkit::chaos::Mode;
use cache_enterprise_testkit::coherence::Link;

use super::Fleet;

#[tokio::test(start_paused = true)]
async fn a_deaf_process_reads_no_ended_group_from_the_tier() {
    let fleet = Fleet::new();
    let (one, deaf) = (fleet.process().await, fleet.process().await);
    one.cache.set(&1, 10_u64).tags([tag!("a")]).strict().into_future().await.unwrap();
    assert_eq!(deaf.get(1).await, Some(10));
    deaf.bus.set(Link::Deaf);
    deaf.cache.drop_level1();
    one.manager.invalidate(tag!("a")).await.strict().unwrap();
    assert_eq!(deaf.get(1).await, None);
    assert_eq!(deaf.cache.get_many(&[1, 2]).await.unwrap(), [None, None]);
    assert!(deaf.cache.get_strict(&1).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_tier_whose_epochs_cannot_be_asked_answers_nothing() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    other.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    assert_eq!(other.get(1).await, None, "it may have been ended");
    assert_eq!(*other.cache.get_with(&1, || async { 11_u64 }).await, 11);
    other.epochs.set(Mode::Healthy);
    other.cache.drop_level1();
    assert!(other.get(1).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn readers_that_come_together_share_one_look() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let keys: Vec<u64> = (0..64).collect();
    one.cache.set_many(keys.iter().map(|key| (*key, *key))).await;
    other.epochs.set(Mode::Slow(ms(1)));
    let before = other.epochs.calls().mark;
    let reads = keys.iter().map(|key| other.get(*key));
    let read = futures_util::future::join_all(reads).await;
    assert!(read.iter().all(Option::is_some));
    let looks = other.epochs.calls().mark - before;
    assert!(looks <= 3, "{looks} looks for 64 reads at once");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_no_reader_longer_than_a_tier_may() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let keys: Vec<u64> = (0..64).collect();
    one.cache.set_many(keys.iter().map(|key| (*key, *key))).await;
    other.epochs.set(Mode::Hang);
    let begun = tokio::time::Instant::now();
    let reads = keys.iter().map(|key| other.get(*key));
    let read = futures_util::future::join_all(reads).await;
    assert!(read.iter().all(Option::is_none), "none can be believed");
    assert!(begun.elapsed() < ms(600), "{:?}", begun.elapsed());
    assert_eq!(other.get(1_000).await, None, "what is not there needs no look");
}
