//! A process whose store of epochs gives no number takes one by itself, which may be lower than
//! those that others had before it: what they pushed under these is older all the same.

use std::sync::Arc;

use cache_enterprise_core::coherence::Frame;
use cache_enterprise_core::{ErrorKind, OpenedBackend, secs};
use cache_enterprise_engine::Tier;
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode};
use cache_enterprise_testkit::{Seed, wait};

use super::relay::Relay;
use super::{Fleet, builder};

/// A hearer with a copy of the first value, and a push of the second that it has not heard, under
/// a number above all that it may take by itself.
async fn late_push(relay: &mut Relay) -> Frame {
    relay.set(1, 10).await;
    assert_eq!(relay.hearer.get(1).await, Some(10));
    for number in 0..50 {
        relay.set(2, number).await;
    }
    relay.set(1, 11).await
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away() {
    let mut relay = Relay::new().await;
    let late = late_push(&mut relay).await;
    relay.hearer.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    relay.hearer.cache.set(&1, 12_u64).await;
    assert_eq!(relay.hearer.peek(1), Some(12));
    relay.hand_on(&late).await;
    assert_eq!((relay.hearer.peek(1), relay.adopted()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn after_the_store_has_come_back() {
    let mut relay = Relay::new().await;
    let late = late_push(&mut relay).await;
    relay.hearer.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    relay.hearer.cache.set(&1, 12_u64).await;
    relay.hearer.epochs.set(Mode::Healthy);
    relay.fleet.clock.advance(secs(2));
    let owed = || relay.hearer.manager.tier_stats()[0].debts;
    assert_eq!(owed(), 1);
    relay.hearer.heard("the key is ended again, under a number", || owed() == 0).await;
    relay.hearer.heard("its own process still has it", || relay.hearer.peek(1) == Some(12)).await;
    relay.hand_on(&late).await;
    assert_eq!((relay.hearer.peek(1), relay.adopted()), (None, 0));
    relay.teller.set(1, 13).await;
    assert_eq!(relay.hearer.get(1).await, Some(13));
    relay.next().await;
    let newer = relay.set(1, 14).await;
    relay.hand_on(&newer).await;
    assert_eq!((relay.hearer.peek(1), relay.adopted()), (Some(14), 1), "what is newer is taken");
}

#[tokio::test(start_paused = true)]
async fn while_a_tier_is_not_done_with_the_write() {
    let fleet = Fleet::new();
    let tier = Arc::new(ChaosBackend::new(Arc::new(fleet.tier.reopened()), Seed(7)));
    let epochs = fleet.epochs.another();
    let source = OpenedBackend::new(Arc::clone(&tier) as _).with_epochs(Arc::new(epochs.clone()));
    let begun = builder(fleet.clock.clone());
    let hearer = fleet.pushing_over(begun, Tier::new(source).bare(), epochs, &fleet.bus).await;
    let mut relay = Relay::to(fleet, hearer).await;
    let late = late_push(&mut relay).await;
    relay.hearer.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    tier.set(Mode::Hang);
    let cache = relay.hearer.cache.clone();
    let set = tokio::spawn(async move { cache.set(&1, 12_u64).await });
    wait::until_async("it is in level 1", async || relay.hearer.peek(1) == Some(12)).await;
    relay.hand_on(&late).await;
    assert_eq!((relay.hearer.peek(1), relay.adopted()), (None, 0));
    tier.set(Mode::Healthy);
    set.await.unwrap();
}
