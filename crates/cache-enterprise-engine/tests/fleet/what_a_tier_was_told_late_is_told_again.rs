//! While a tier has not been told of a removal or a value, others take up again what it still
//! holds.

use std::future::IntoFuture;
use std::sync::Arc;

use cache_enterprise_core::{ErrorKind, OpenedBackend};
use cache_enterprise_engine::{Cache, CacheManager, Tier, WritePolicy};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode};

use super::{Fleet, Process, SPEC, builder};

/// A process whose way to the shared tier can be spoiled.
struct Cut {
    manager: CacheManager<MessagePack>,
    cache: Cache<u64, u64>,
    tier: Arc<ChaosBackend>,
}

impl Cut {
    async fn process(fleet: &Fleet) -> Self {
        Self::writing(fleet, WritePolicy::Through).await
    }

    async fn writing(fleet: &Fleet, policy: WritePolicy) -> Self {
        let tier = Arc::new(ChaosBackend::new(Arc::new(fleet.tier.reopened()), Seed(7)));
        let source = OpenedBackend::new(Arc::clone(&tier) as _);
        let source = source.with_epochs(Arc::new(fleet.epochs.another()));
        let builder = builder(fleet.clock.clone()).l2(Tier::new(source).bare().write(policy));
        let manager = builder.codec(MessagePack).bus(fleet.bus.another()).build().await.unwrap();
        let cache = manager.open(&SPEC).unwrap();
        Self { manager, cache, tier }
    }

    /// Removes what `other` has a copy of, where the tier does not hear it.
    async fn remove_unheard(&self, other: &Process) {
        other.set(1, 10).await;
        self.tier.set(Mode::Fail(ErrorKind::Unavailable));
        self.cache.remove(&1).await;
        assert_eq!(self.debts(), 1);
        other.heard("the removal is heard", || other.peek(1).is_none()).await;
        assert_eq!(other.get(1).await, Some(10), "the tier still holds it");
        self.tier.set(Mode::Healthy);
    }

    fn debts(&self) -> u64 {
        self.manager.tier_stats().iter().map(|tier| tier.debts).sum()
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_tier_is_told_at_last() {
    let fleet = Fleet::new();
    let (cut, other) = (Cut::process(&fleet).await, fleet.process().await);
    cut.remove_unheard(&other).await;
    other.heard("it is told again", || other.peek(1).is_none()).await;
    assert_eq!((other.get(1).await, cut.debts()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn when_a_load_has_replaced_it_before() {
    let fleet = Fleet::new();
    let (cut, other) = (Cut::process(&fleet).await, fleet.process().await);
    cut.remove_unheard(&other).await;
    assert_eq!(*cut.cache.get_with(&1, || async { 11_u64 }).await, 11);
    assert_eq!(cut.debts(), 0, "the value settled it");
    other.heard("it is told again", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn when_a_value_was_queued() {
    let fleet = Fleet::new();
    let behind = WritePolicy::Behind { queue_max: 10 };
    let (cut, other) = (Cut::writing(&fleet, behind).await, fleet.process().await);
    other.set(1, 10).await;
    cut.tier.set(Mode::Hang);
    cut.cache.set(&1, 11_u64).strict().into_future().await.unwrap();
    other.heard("the value is told", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, Some(10), "the tier still holds its elder");
    cut.tier.set(Mode::Healthy);
    other.heard("it is told again", || other.peek(1).is_none()).await;
    assert_eq!(other.get(1).await, Some(11));
}
