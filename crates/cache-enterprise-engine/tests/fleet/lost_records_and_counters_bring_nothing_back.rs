//! What befalls the store of epochs: a record that somebody deletes, a counter that is lost or set
//! back. What was ended before stays ended; at most something more is loaded anew.

use std::future::IntoFuture;

use cache_enterprise_core::{Sequence, ms, tag};
use cache_enterprise_testkit::coherence::Link;

use super::{Fleet, Process};

impl Process {
    async fn set_tagged(&self, key: u64, value: u64) {
        self.cache.set(&key, value).tags([tag!("a")]).strict().into_future().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_deleted_by_hand_ends_everything_older() {
    let fleet = Fleet::new();
    let (one, deaf) = (fleet.process().await, fleet.process().await);
    one.set_tagged(1, 10).await;
    one.set(2, 20).await;
    deaf.bus.set(Link::Deaf);
    one.manager.invalidate(tag!("a")).await.strict().unwrap();
    fleet.epochs.lose("fleet", "");
    let late = fleet.process().await;
    for process in [&deaf, &late, &one] {
        process.cache.drop_level1();
        assert_eq!(process.get(1).await, None, "nobody knows of the tag any more");
        assert_eq!(process.get(2).await, None, "nor whether this was ended");
    }
    one.set_tagged(1, 11).await;
    for process in [&one, &deaf, &late] {
        assert_eq!(process.get(1).await, Some(11), "what is newer than the loss holds");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_in_level_1_ends_with_the_record_at_the_next_look_below() {
    let fleet = Fleet::new();
    let (one, deaf) = (fleet.process().await, fleet.process().await);
    one.set_tagged(1, 10).await;
    assert_eq!(deaf.get(1).await, Some(10));
    deaf.bus.set(Link::Deaf);
    one.manager.invalidate(tag!("a")).await.strict().unwrap();
    fleet.epochs.lose("fleet", "");
    one.set(2, 20).await;
    // Bytes from below are an answer only with the mark. Whoever asks for it makes the record anew,
    // and that ends what was set since the loss as well.
    assert!(deaf.get(2).await.is_none_or(|value| value == 20));
    assert_eq!((deaf.peek(1), deaf.get(1).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_counter_that_is_set_back_gives_no_number_below_what_it_must_end() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    for round in 1..=5 {
        one.set_tagged(1, round).await;
        one.set(2, round).await;
        assert_eq!((other.get(1).await, other.get(2).await), (Some(round), Some(round)));
        fleet.epochs.set_back("fleet", Sequence::ZERO);
        other.manager.invalidate(tag!("a")).await.strict().unwrap();
        other.cache.remove(&2).await;
        one.heard("both ends", || one.peek(1).is_none() && one.peek(2).is_none()).await;
        for process in [&one, &other] {
            assert_eq!((process.get(1).await, process.get(2).await), (None, None), "round {round}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_flushed_store_and_counter_keep_out_a_load_from_before() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    other.bus.set(Link::Deaf);
    let overtaken = async || {
        one.manager.invalidate(tag!("a")).await.strict().unwrap();
        fleet.epochs.lose_all("fleet");
        fleet.epochs.set_back("fleet", Sequence::ZERO);
        // A server that has forgotten its counter begins at its time, which goes on.
        fleet.clock.advance(ms(1));
        Ok::<_, ()>(10_u64)
    };
    let loaded = other.cache.fetch(&1).tags([tag!("a")]).with(overtaken).await.unwrap();
    assert_eq!(*loaded, 10, "its own caller has the value");
    let late = fleet.process().await;
    assert_eq!((one.get(1).await, late.get(1).await), (None, None));
    other.cache.drop_level1();
    assert_eq!(other.get(1).await, None);
}
