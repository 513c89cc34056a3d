//! A process that does not hear the bus believes its level 1 for a second and no longer.

use cache_enterprise_core::{ms, secs};
use cache_enterprise_testkit::coherence::Link;

use super::{Fleet, Process};

impl Process {
    /// Lets both clocks go on, the fleet's and tokio's.
    pub(super) async fn pass(&self, fleet: &Fleet, time: std::time::Duration) {
        for _ in 0..time.as_millis() / 10 {
            fleet.clock.advance(ms(10));
            tokio::time::advance(ms(10)).await;
            tokio::task::yield_now().await;
            self.manager.tick();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deaf_process_looks_below_after_a_second() {
    let fleet = Fleet::new();
    let (one, deaf) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    deaf.pass(&fleet, secs(2)).await;
    assert_eq!(deaf.get(1).await, Some(10));
    deaf.bus.set(Link::Deaf);
    one.set(1, 11).await;
    assert_eq!(deaf.get(1).await, Some(10), "it cannot know");
    deaf.pass(&fleet, ms(1_500)).await;
    assert_eq!(deaf.peek(1), None);
    assert_eq!(deaf.get(1).await, Some(11));
    assert!(deaf.manager.bus_stats().unwrap().is_in_doubt);
}

#[tokio::test(start_paused = true)]
async fn a_copy_made_in_silence_lives_a_second_at_most() {
    let fleet = Fleet::new();
    let (one, deaf) = (fleet.process().await, fleet.process().await);
    deaf.bus.set(Link::Deaf);
    deaf.pass(&fleet, secs(2)).await;
    one.set(1, 10).await;
    assert_eq!(deaf.get(1).await, Some(10));
    assert_eq!(deaf.peek(1), Some(10));
    deaf.pass(&fleet, ms(1_100)).await;
    assert_eq!(deaf.peek(1), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_heard_on_return_and_the_rest_is_believed_again() {
    let fleet = Fleet::new();
    let (one, deaf) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    one.set(2, 20).await;
    deaf.pass(&fleet, secs(1)).await;
    assert_eq!((deaf.get(1).await, deaf.get(2).await), (Some(10), Some(20)));
    deaf.bus.set(Link::Deaf);
    one.cache.remove(&1).await;
    deaf.pass(&fleet, secs(5)).await;
    assert_eq!(deaf.peek(2), None, "in doubt");
    deaf.bus.set(Link::Whole);
    deaf.pass(&fleet, secs(1)).await;
    assert_eq!((deaf.peek(1), deaf.peek(2)), (None, Some(20)));
    assert_eq!(deaf.manager.bus_stats().unwrap().lost, 0);
}

#[tokio::test(start_paused = true)]
async fn a_trimmed_log_lets_everything_be_looked_up_again() {
    let fleet = Fleet::new();
    let (one, deaf) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    deaf.pass(&fleet, secs(1)).await;
    assert_eq!(deaf.get(1).await, Some(10));
    deaf.bus.set(Link::Deaf);
    one.set(1, 11).await;
    one.set(2, 20).await;
    fleet.bus.trim("fleet", 0);
    deaf.bus.set(Link::Whole);
    deaf.pass(&fleet, secs(1)).await;
    assert_eq!(deaf.manager.bus_stats().unwrap().lost, 1);
    assert_eq!(deaf.peek(1), None);
    assert_eq!(deaf.get(1).await, Some(11));
    assert_eq!(deaf.peek(1), Some(11), "what was looked up is believed");
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_did_not_take_is_told_when_it_does() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(1, 10).await;
    assert_eq!(other.get(1).await, Some(10));
    one.bus.set(Link::Mute);
    let set = one.cache.set(&1, 11_u64).strict();
    assert!(std::future::IntoFuture::into_future(set).await.is_err(), "the others do not know");
    assert_eq!(other.peek(1), Some(10));
    one.bus.set(Link::Whole);
    other.heard("it is told late", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, Some(11));
}
