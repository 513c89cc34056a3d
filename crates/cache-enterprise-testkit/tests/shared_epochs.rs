//! The shared store of epochs does what it is told.
#![allow(clippy::unwrap_used)]

use cache_enterprise_core::coherence::{EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{ErrorKind, secs};
use cache_enterprise_testkit::Clock;
use cache_enterprise_testkit::chaos::Mode;
use cache_enterprise_testkit::coherence::{EpochCalls, SharedEpochs};
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn one_client_fails_and_the_other_goes_on() {
    let epochs = SharedEpochs::new(Clock::manual());
    let other = epochs.another();
    epochs.set(Mode::Fail(ErrorKind::Unavailable));
    let error = epochs.next("shop", "acme", Sequence::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let first = other.next("shop", "acme", Sequence::ZERO).await.unwrap();
    epochs.set(Mode::Hang);
    assert!(timeout(secs(60), epochs.mark("shop", "acme")).await.is_err());
    epochs.set(Mode::Healthy);
    assert!(epochs.next("shop", "acme", Sequence::ZERO).await.unwrap() > first);
    assert_eq!(epochs.calls(), EpochCalls { next: 2, mark: 1, ..EpochCalls::default() });
    assert_eq!(other.calls(), EpochCalls { next: 1, ..EpochCalls::default() });
}

#[tokio::test]
async fn a_lost_record_comes_back_at_a_floor_above_everything() {
    let epochs = SharedEpochs::new(Clock::manual());
    let raised =
        epochs.raise("shop", "acme", &[EpochTarget::Tenant], Sequence::ZERO).await.unwrap();
    let before = epochs.load("shop", "acme", raised).await.unwrap();
    let other = epochs.load("shop", "other", raised).await.unwrap();
    epochs.lose("shop", "acme");
    let after = epochs.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert!(after.floor > before.sequence && after.mark != before.mark);
    assert_eq!(epochs.mark("shop", "other").await.unwrap(), other.mark);
    epochs.lose_all("shop");
    assert_ne!(epochs.mark("shop", "other").await.unwrap(), other.mark);
}

#[tokio::test]
async fn a_counter_that_was_set_back_gives_lower_numbers_until_they_were_seen() {
    let clock = Clock::manual();
    let epochs = SharedEpochs::new(clock.clone());
    let far = Sequence(1 << 60);
    let high = epochs.next("shop", "acme", far).await.unwrap();
    epochs.set_back("shop", Sequence(1));
    assert!(epochs.next("shop", "acme", Sequence::ZERO).await.unwrap() < high);
    assert!(epochs.next("shop", "acme", high).await.unwrap() > high);
    clock.advance(secs(1));
    let number = epochs.another().next("shop2", "", Sequence::ZERO).await.unwrap();
    assert!(number > Sequence::from_wall_ms(clock.wall_ms()));
}
