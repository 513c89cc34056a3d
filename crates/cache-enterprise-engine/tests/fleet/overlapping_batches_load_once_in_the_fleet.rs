//! 50 overlapping batches of 100 keys over five processes that ask for leases: each key is loaded
//! once in the whole fleet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_enterprise_core::{OpenedBackend, mins, ms};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Leases, Missing, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::coherence::SharedLeases;
use rand::RngExt;

use crate::{Fleet, builder};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("leased").ttl(mins(60)).leases(Leases::Loads);

const PROCESSES: u64 = 5;
const BATCHES_EACH: u64 = 10;
const KEYS: u64 = 500;

type Loads = Arc<Vec<AtomicU32>>;

async fn process(fleet: &Fleet, leases: &SharedLeases) -> CacheManager<MessagePack> {
    let (epochs, bus) = (fleet.epochs.another(), fleet.bus.another());
    let source = OpenedBackend::new(Arc::new(fleet.tier.reopened()));
    let source = source.with_epochs(Arc::new(epochs)).with_lease(Arc::new(leases.clone()));
    let builder = builder(fleet.clock.clone()).l2(Tier::new(source).bare());
    builder.codec(MessagePack).bus(bus).build().await.unwrap()
}

async fn batch(cache: Cache<u64, u64>, keys: Vec<u64>, loads: Loads) {
    let load = |missing: Missing<u64>| {
        for key in &missing {
            loads[*key as usize].fetch_add(1, Ordering::Relaxed);
        }
        async move {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            missing.into_iter().map(|key| (key, key * 10)).collect::<Vec<_>>()
        }
    };
    let values = cache.get_many_with(keys.iter().copied(), load).await.into_values().unwrap();
    for (key, value) in keys.iter().zip(values) {
        assert_eq!(value.map(|value| *value), Some(key * 10));
    }
}

#[tokio::test]
async fn and_everybody_has_every_value() {
    let seed = Seed::from_env_or(5);
    let _printed = seed.print_on_panic();
    let fleet = Fleet::new();
    let leases = SharedLeases::new(Arc::new(fleet.tier.reopened()), fleet.clock.clone());
    let loads: Loads = Arc::new((0..KEYS).map(|_| AtomicU32::new(0)).collect());
    let (mut managers, mut tasks) = (Vec::new(), Vec::new());
    for number in 0..PROCESSES {
        let manager = process(&fleet, &leases).await;
        let cache = manager.open(&SPEC).unwrap();
        for batch_number in 0..BATCHES_EACH {
            let mut rng = seed.part(&format!("{number} {batch_number}")).rng();
            let keys: Vec<u64> = (0..100).map(|_| rng.random_range(0..KEYS)).collect();
            tasks.push(tokio::spawn(batch(cache.clone(), keys, Arc::clone(&loads))));
        }
        managers.push(manager);
    }
    // Who waits for another process waits by the clock of the fleet.
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        fleet.clock.advance(ms(1));
        managers.iter().for_each(CacheManager::tick);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let loads: Vec<_> = loads.iter().map(|loads| loads.load(Ordering::Relaxed)).collect();
    let most = loads.iter().copied().max();
    assert_eq!(most, Some(1), "{} loads of {KEYS} keys", loads.iter().sum::<u32>());
}
