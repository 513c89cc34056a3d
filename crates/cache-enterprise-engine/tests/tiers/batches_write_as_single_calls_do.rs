//! What a batch leaves in every tier is what single calls leave there, whatever the policies.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_enterprise_core::{Clock, OpenedBackend, hours, mins, ms, secs};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Tier, WritePolicy};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::{Seed, wait};
use rand::RngExt;

use crate::kept::Kept;
use crate::scripted::{Mode, Scripted};
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

const KEYS: u64 = 12;

const POLICIES: [WritePolicy; 3] =
    [WritePolicy::Through, WritePolicy::Behind { queue_max: 100 }, WritePolicy::Around];

/// A cache above two tiers, all in one hand.
struct Stack {
    manager: CacheManager<MessagePack>,
    cache: Cache<u64, u64>,
    tiers: [Arc<Scripted>; 2],
}

impl Stack {
    async fn new(policies: [WritePolicy; 2]) -> Self {
        let tiers = [tier("upper"), tier("lower")];
        let [upper, lower] = [0, 1].map(|at| Tier::new(tiers[at].clone()).write(policies[at]));
        let builder = builder(&Clock::manual()).l2(upper).l3(lower).codec(MessagePack);
        let manager = builder.build().await.unwrap();
        let cache = manager.open(&SPEC).unwrap();
        Self { manager, cache, tiers }
    }

    async fn settled(&self) {
        let is_written = async || self.manager.tier_stats().iter().all(|t| t.behind_queued == 0);
        wait::until_async("nothing is queued", is_written).await;
    }

    /// The keys each level holds.
    async fn held(&self) -> [Vec<String>; 3] {
        self.settled().await;
        let mut memory: Vec<_> = self.cache.keys().iter().map(u64::to_string).collect();
        memory.sort();
        let [upper, lower] = [0, 1]
            .map(|at| self.tiers[at].values.lock().keys().map(|key| format!("{key:?}")).collect());
        [memory, upper, lower]
    }
}

#[tokio::test]
async fn random_batches_and_the_same_calls_one_by_one_agree() {
    let seed = Seed::from_env_or(21);
    let _printed = seed.print_on_panic();
    for upper in POLICIES {
        for lower in POLICIES {
            let mut rng = seed.part(&format!("{upper:?} {lower:?}")).rng();
            let (single, batch) =
                (Stack::new([upper, lower]).await, Stack::new([upper, lower]).await);
            for step in 0..60_u64 {
                let len = rng.random_range(1..6);
                let keys: Vec<u64> = (0..len).map(|_| rng.random_range(0..KEYS)).collect();
                match rng.random_range(0..5) {
                    0 | 1 => {
                        for key in &keys {
                            set(&single.cache, *key, step).await;
                        }
                        batch.cache.set_many(keys.iter().map(|key| (*key, step))).await;
                    }
                    2 => {
                        for key in &keys {
                            single.cache.remove(key).await;
                        }
                        batch.cache.remove_many(&keys).await;
                    }
                    3 => {
                        single.cache.drop_level1();
                        batch.cache.drop_level1();
                    }
                    _ => {
                        single.settled().await;
                        batch.settled().await;
                        let mut ones = Vec::new();
                        for key in &keys {
                            ones.push(get(&single.cache, *key).await);
                        }
                        let many = batch.cache.get_many(&keys).await.unwrap();
                        let many: Vec<_> = many.into_iter().map(|hit| hit.map(|v| *v)).collect();
                        assert_eq!(many, ones, "{keys:?} at step {step} of {upper:?} {lower:?}");
                    }
                }
                let (ones, many) = (single.held().await, batch.held().await);
                assert_eq!(many, ones, "after step {step} of {upper:?} over {lower:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_batch_whose_life_ended_on_the_way_leaves_no_older_value() {
    static SHORT: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(10));
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let (high, low) = (Tier::new(upper.clone()).bare(), Tier::new(lower.clone()).bare());
    let manager = builder(&clock).l2(high).l3(low).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SHORT).unwrap();
    cache.set(&1, 1_u64).ttl(hours(1)).into_future().await;
    lower.set(Mode::HoldPuts);
    let batch = tokio::spawn({
        let cache = cache.clone();
        async move { cache.set_many([(1_u64, 2_u64)]).await }
    });
    wait::until_async("the lower is being told", async || lower.held.load(Ordering::SeqCst) == 1)
        .await;
    clock.advance(secs(10));
    lower.set(Mode::Work);
    lower.pass.add_permits(1);
    batch.await.unwrap();
    assert_eq!(upper.len(), 0, "neither the new value, which has ended, nor the old");
    assert_eq!(get(&cache, 1).await, None);
}

#[tokio::test]
async fn a_batch_that_was_overtaken_takes_nothing_newer_along() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    disk.set(Mode::HoldPuts);
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { set(&cache, 1, 1).await }
    });
    wait::until_async("the first is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    // It waits for the turn of key 1.
    let batch = tokio::spawn({
        let cache = cache.clone();
        async move { cache.set_many([(1_u64, 10_u64), (2, 20)]).await }
    });
    wait::until_async("level 1 has the batch", async || cache.contains(&2)).await;
    disk.set(Mode::Work);
    set(&cache, 2, 21).await;
    assert_eq!(disk.len(), 1);
    disk.pass.add_permits(1);
    first.await.unwrap();
    batch.await.unwrap();
    cache.drop_level1();
    assert_eq!((get(&cache, 1).await, get(&cache, 2).await), (Some(10), Some(21)));
}

/// A cache whose next number waits for a store that hangs, above a tier that holds key 1.
async fn waiting() -> (CacheManager<MessagePack>, Cache<u64, u64>, Arc<Scripted>) {
    let (clock, disk, kept) = (Clock::manual(), tier("disk"), Arc::new(Kept::default()));
    let open = || {
        let source = OpenedBackend::new(disk.clone()).with_epochs(kept.clone());
        builder(&clock).l2(Tier::new(source).bare()).codec(MessagePack).build()
    };
    set(&open().await.unwrap().open(&SPEC).unwrap(), 1, 1).await;
    let manager = open().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    assert_eq!(get(&cache, 1).await, Some(1));
    kept.hangs.store(true, Ordering::SeqCst);
    (manager, cache, disk)
}

#[tokio::test(start_paused = true)]
async fn a_batch_outlives_a_caller_who_gives_it_up() {
    let (_manager, cache, disk) = waiting().await;
    assert!(tokio::time::timeout(ms(1), cache.remove_many(&[1])).await.is_err());
    assert!(!cache.contains(&1), "level 1 has changed");
    wait::until_async("the tier was told of the removal", async || disk.len() == 0).await;

    let (_manager, cache, disk) = waiting().await;
    assert!(tokio::time::timeout(ms(1), cache.set_many([(1_u64, 2_u64)])).await.is_err());
    assert_eq!(cache.peek(&1).as_deref(), Some(&2), "level 1 has changed");
    wait::until_async("the tier holds nothing older", async || disk.len() == 0).await;
}
