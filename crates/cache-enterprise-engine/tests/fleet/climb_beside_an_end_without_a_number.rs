//! What a tier gives may be older than an end that has no number of the store's, whatever its own
//! number is.

use std::future::IntoFuture;
use std::sync::Arc;

use cache_enterprise_core::{ErrorKind, OpenedBackend, secs, tag};
use cache_enterprise_engine::Tier;
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode, Operation};
use cache_enterprise_testkit::coherence::Link;
use cache_enterprise_testkit::{ModelBackend, Seed, wait};
use tokio::time::timeout;

use super::{Fleet, Process, SPEC, builder};

/// Many writes of another process that this one, which is deaf, knows nothing of: the number that
/// it may take by itself is below theirs.
async fn unheard_writes(deaf: &Process, other: &Process) {
    deaf.bus.set(Link::Cut);
    for number in 0..50 {
        other.set(2, number).await;
    }
    let set = other.cache.set(&1, 10_u64).tags([tag!("a")]);
    set.strict().into_future().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_climbs_past_a_removal_that_is_under_way() {
    let fleet = Fleet::new();
    let other = fleet.process().await;
    let deep =
        Arc::new(ChaosBackend::new(Arc::new(ModelBackend::new(fleet.clock.clone())), Seed(7)));
    let (epochs, bus) = (fleet.epochs.another(), fleet.bus.another());
    let built = builder(fleet.clock.clone())
        .l2(fleet.shared_tier(&epochs))
        .l3(Tier::new(OpenedBackend::new(Arc::clone(&deep) as _)).bare())
        .codec(MessagePack)
        .bus(bus.clone());
    let manager = built.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    let one = Process { manager, cache, epochs, bus };
    unheard_writes(&one, &other).await;
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    deep.set(Mode::Hang);
    let cache = one.cache.clone();
    let removal = tokio::spawn(async move { cache.remove(&1).await });
    let asked = || deep.calls(Operation::Remove) > 0;
    wait::until_async("the deepest level is told first", async || asked()).await;
    one.epochs.set(Mode::Healthy);
    // What the level above gives is not believed, and so the deepest is asked, which hangs.
    assert!(timeout(secs(1), one.get(1)).await.is_err());
    deep.set(Mode::Healthy);
    removal.await.unwrap();
    assert_eq!((one.peek(1), one.get(1).await), (None, None));
}

/// A process, and its way to the tier that all share.
async fn process_over_a_tier(fleet: &Fleet) -> (Process, Arc<ChaosBackend>) {
    let tier = Arc::new(ChaosBackend::new(Arc::new(fleet.tier.reopened()), Seed(7)));
    let (epochs, bus) = (fleet.epochs.another(), fleet.bus.another());
    let source = OpenedBackend::new(Arc::clone(&tier) as _).with_epochs(Arc::new(epochs.clone()));
    let built = builder(fleet.clock.clone()).l2(Tier::new(source).bare()).codec(MessagePack);
    let manager = built.bus(bus.clone()).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    (Process { manager, cache, epochs, bus }, tier)
}

#[tokio::test(start_paused = true)]
async fn a_shared_tier_is_not_asked_while_nothing_it_gives_can_be_believed() {
    let fleet = Fleet::new();
    let (one, tier) = process_over_a_tier(&fleet).await;
    one.set(1, 10).await;
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    assert!(one.manager.invalidate(tag!("a")).await.strict().is_err());
    one.epochs.set(Mode::Healthy);
    one.cache.drop_level1();
    assert_eq!(one.get(1).await, None);
    assert_eq!(one.cache.get_many(&[1]).await.unwrap().len(), 1);
    assert_eq!((tier.calls(Operation::Get), tier.calls(Operation::GetMany)), (0, 0));
    wait::until_async("the group has its number", async || one.get(1).await == Some(10)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_climbs_past_the_end_of_its_group() {
    let fleet = Fleet::new();
    let other = fleet.process().await;
    let (one, tier) = process_over_a_tier(&fleet).await;
    assert_eq!(one.get(3).await, None, "its record is known");
    unheard_writes(&one, &other).await;
    tier.set(Mode::Hang);
    let reader = one.cache.clone();
    let read = tokio::spawn(async move { reader.get(&1).await.unwrap().map(|value| *value) });
    let asked = || tier.calls(Operation::Get) > 1;
    wait::until_async("the tier is asked, and the mark beside it", async || asked()).await;
    one.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    assert!(one.manager.invalidate(tag!("a")).await.strict().is_err());
    tier.set(Mode::Healthy);
    assert_eq!(read.await.unwrap(), None);
    assert_eq!(one.peek(1), None);
    one.epochs.set(Mode::Healthy);
    fleet.clock.advance(secs(2));
    assert_eq!(one.get(1).await, None);
}
