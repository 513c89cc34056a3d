//! What a tier was not told, or gave before it was told, is not believed.
//!
//! Rules this finds broken: `Debts::admits` in `debts.rs` (answer `true`), and the fence compare
//! `pass.admits` in `Stack::admits` together with `detach` in `remove_level1`.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_enterprise_core::{Clock, OpenedBackend, SetOutcome, mins};
use cache_enterprise_engine::{CacheSpec, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_strategies::{CacheStrategy, StrategyContext};
use cache_enterprise_testkit::wait;

use crate::kept::Kept;
use crate::scripted::Mode;
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

#[tokio::test(start_paused = true)]
async fn the_old_bytes_of_a_tier_that_missed_a_write_stay_a_miss() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    set(&cache, 2, 2).await;
    disk.set(Mode::Fail);
    cache.remove(&1).await;
    set(&cache, 2, 22).await;
    assert_eq!(manager.tier_stats()[0].debts, 2);
    disk.set(Mode::Work);
    cache.drop_level1();
    assert_eq!(disk.len(), 2, "the tier still holds both");
    assert_eq!(get(&cache, 1).await, None);
    assert_eq!(get(&cache, 2).await, None);
    wait::until_async("the debts are settled", async || manager.tier_stats()[0].debts == 0).await;
    assert_eq!(disk.len(), 0);
    set(&cache, 1, 3).await;
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_strict_set_that_is_declined_says_that_a_tier_keeps_its_elder() {
    /// Nothing comes in that is odd.
    #[derive(Debug)]
    struct Even;

    impl CacheStrategy for Even {
        fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
            context.value_as::<u64>().is_some_and(|value| value % 2 == 0)
        }
    }

    static EVEN: CacheSpec<u64, u64> = CacheSpec::new("even").ttl(mins(5)).fill_strategy("even");
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    manager.register_strategy("even", Arc::new(Even)).unwrap();
    let cache = manager.open(&EVEN).unwrap();
    set(&cache, 1, 2).await;
    disk.set(Mode::Fail);
    assert!(cache.set(&1, 3_u64).strict().into_future().await.is_err());
    assert_eq!(cache.set(&1, 3_u64).await, SetOutcome::Declined);
    assert_eq!((get(&cache, 1).await, manager.tier_stats()[0].debts), (None, 1));
    disk.set(Mode::Work);
    let set = cache.set(&1, 3_u64).strict().into_future().await;
    assert_eq!((set.unwrap(), disk.len()), (SetOutcome::Declined, 0));
}

#[tokio::test(start_paused = true)]
async fn batches_that_a_tier_missed_are_remembered_as_single_calls_are() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    cache.set_many((0..4_u64).map(|key| (key, key))).await;
    disk.set(Mode::Fail);
    cache.remove_many(&[0, 1]).await;
    cache.set_many([(2_u64, 22_u64), (3, 33)]).await;
    disk.set(Mode::Work);
    cache.drop_level1();
    assert_eq!(disk.len(), 4, "the tier still holds all");
    for key in 0..4 {
        assert_eq!(get(&cache, key).await, None);
    }
    assert!(cache.get_many(&[0, 1, 2, 3]).await.unwrap().iter().all(Option::is_none));
}

#[tokio::test]
async fn bytes_read_while_a_remove_is_under_way_are_not_taken_up() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    disk.set(Mode::HoldRemoves);
    let remover = tokio::spawn({
        let cache = cache.clone();
        async move { cache.remove(&1).await }
    });
    wait::until_async("the removal is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    assert_eq!(disk.len(), 1, "the tier still holds it");
    assert_eq!(get(&cache, 1).await, None);
    assert_eq!(cache.get_many(&[1]).await.unwrap()[0].as_deref(), None);
    disk.pass.add_permits(1);
    remover.await.unwrap();
    assert!(!cache.contains(&1));
}

#[tokio::test]
async fn bytes_read_before_a_remove_are_not_taken_up_after_it() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    cache.drop_level1();
    disk.set(Mode::HoldGets);
    let reader = tokio::spawn({
        let cache = cache.clone();
        async move { get(&cache, 1).await }
    });
    wait::until_async("the read is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    cache.remove(&1).await;
    disk.set(Mode::Work);
    disk.pass.add_permits(1);
    reader.await.unwrap();
    assert!(!cache.contains(&1));
    assert_eq!(get(&cache, 1).await, None);
}

#[tokio::test(start_paused = true)]
async fn bytes_read_before_the_tier_was_told_are_no_answer_once_it_was() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    disk.set(Mode::Fail);
    cache.remove(&1).await;
    disk.set(Mode::HoldGets);
    let reader = tokio::spawn({
        let cache = cache.clone();
        async move { get(&cache, 1).await }
    });
    wait::until_async("the read is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    wait::until_async("the debt is settled", async || manager.tier_stats()[0].debts == 0).await;
    disk.pass.add_permits(1);
    assert_eq!(reader.await.unwrap(), None);
}

#[tokio::test]
async fn a_write_on_its_way_down_does_not_outlast_a_remove() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    disk.set(Mode::HoldPuts);
    let writer = tokio::spawn({
        let cache = cache.clone();
        async move { set(&cache, 1, 1).await }
    });
    wait::until_async("the write is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    let remover = tokio::spawn({
        let cache = cache.clone();
        async move { cache.remove(&1).await }
    });
    wait::until_async("level 1 let go", async || !cache.contains(&1)).await;
    disk.set(Mode::Work);
    disk.pass.add_permits(1);
    writer.await.unwrap();
    remover.await.unwrap();
    assert_eq!(disk.len(), 0);
    assert_eq!(get(&cache, 1).await, None);
}

#[tokio::test]
async fn a_debt_that_a_newer_value_settles_is_not_paid_with_that_value() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    disk.set(Mode::Fail);
    set(&cache, 1, 1).await;
    set(&cache, 2, 2).await;
    disk.set(Mode::HoldRemoves);
    let is_paying = async || {
        manager.tick();
        disk.held.load(Ordering::SeqCst) == 1
    };
    wait::until_async("one debt is being paid", is_paying).await;
    // One of them waits for the payment of its own debt, the other settles its debt by itself.
    disk.set(Mode::Work);
    let sets = [1, 2].map(|key| {
        let cache = cache.clone();
        tokio::spawn(async move { set(&cache, key, 10 * key).await })
    });
    wait::until_async("the other was written", async || disk.len() == 1).await;
    disk.pass.add_permits(1);
    for set in sets {
        set.await.unwrap();
    }
    let is_paid = async || manager.tier_stats()[0].debts == 0;
    wait::until_async("the debts are settled", is_paid).await;
    // The next round of payments has ended when a debt that came after it is settled.
    disk.set(Mode::Fail);
    cache.remove(&3).await;
    disk.set(Mode::Work);
    wait::until_async("so is a later one", is_paid).await;
    cache.drop_level1();
    assert_eq!((get(&cache, 1).await, get(&cache, 2).await), (Some(10), Some(20)));
}

#[tokio::test(start_paused = true)]
async fn a_removal_beside_ends_that_were_not_stored_is_over_when_its_tier_heard_it() {
    let (clock, disk, kept) = (Clock::manual(), tier("disk"), Arc::new(Kept::default()));
    let source = OpenedBackend::new(disk.clone()).with_epochs(kept.clone());
    let level = Tier::new(source).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    kept.raises_nothing.store(true, Ordering::SeqCst);
    assert!(manager.invalidate("one").await.strict().is_err());
    disk.set(Mode::HoldRemoves);
    let remover = tokio::spawn({
        let cache = cache.clone();
        async move { cache.remove(&1).await }
    });
    wait::until_async("the removal is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    assert!(manager.invalidate("two").await.strict().is_err());
    disk.set(Mode::Work);
    disk.pass.add_permits(1);
    remover.await.unwrap();
    kept.raises_nothing.store(false, Ordering::SeqCst);
    assert_eq!(manager.tier_stats()[0].debts, 0);
    set(&cache, 1, 2).await;
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, Some(2));
}
