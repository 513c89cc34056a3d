//! A batch over a shared store has one number, and of a key that stands in it twice the later value
//! stays: at every level, and for every process.

use cache_enterprise_core::SetOutcome;
use cache_enterprise_engine::{Cache, WritePolicy};
use cache_enterprise_serializers::MessagePack;

use super::{Fleet, SPEC, builder};

/// What the levels below level 1 hold of the key.
async fn below(cache: &Cache<u64, u64>) -> Option<u64> {
    cache.drop_level1();
    cache.get(&1).await.unwrap().map(|value| *value)
}

#[tokio::test(start_paused = true)]
async fn in_a_tier_that_takes_batches() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let outcomes = one.cache.set_many([(1_u64, 10_u64), (2, 20), (1, 11)]).await;
    assert_eq!(outcomes, [SetOutcome::Stored; 3]);
    assert_eq!((one.peek(1), other.get(1).await), (Some(11), Some(11)));
    assert_eq!((below(&one.cache).await, other.get(2).await), (Some(11), Some(20)));
}

#[tokio::test(start_paused = true)]
async fn in_a_tier_that_is_written_behind() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    let tier = fleet.shared_tier(&fleet.epochs.another());
    let behind = tier.write(WritePolicy::Behind { queue_max: 100 });
    let builder = builder(fleet.clock.clone()).l2(behind).codec(MessagePack);
    let manager = builder.bus(fleet.bus.another()).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    cache.set_many([(1_u64, 10_u64), (1, 11)]).await;
    other.heard("it is written", || fleet.tier.len() == 1).await;
    assert_eq!((below(&cache).await, one.get(1).await), (Some(11), Some(11)));
}
