//! 50 overlapping batches of 100 keys over five processes: within a process each key is loaded
//! once, and what one process has written to the tier no other loads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_enterprise_engine::{Cache, Missing};
use cache_enterprise_testkit::Seed;
use rand::RngExt;

use crate::Fleet;

const PROCESSES: u64 = 5;
const BATCHES_EACH: u64 = 10;
const KEYS: u64 = 500;

type Loads = Arc<Vec<AtomicU32>>;

async fn batch(cache: Cache<u64, u64>, keys: Vec<u64>, loads: Loads) {
    let load = |missing: Missing<u64>| {
        for key in &missing {
            loads[*key as usize].fetch_add(1, Ordering::Relaxed);
        }
        async move {
            tokio::task::yield_now().await;
            missing.into_iter().map(|key| (key, key * 10)).collect::<Vec<_>>()
        }
    };
    let values = cache.get_many_with(keys.iter().copied(), load).await.into_values().unwrap();
    for (key, value) in keys.iter().zip(values) {
        assert_eq!(value.map(|value| *value), Some(key * 10));
    }
}

fn loads() -> Loads {
    Arc::new((0..KEYS).map(|_| AtomicU32::new(0)).collect())
}

fn most(loads: &Loads) -> u32 {
    loads.iter().map(|loads| loads.load(Ordering::Relaxed)).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_once_a_key_is_loaded_once_a_process_and_later_not_at_all() {
    let seed = Seed::from_env_or(5);
    let _printed = seed.print_on_panic();
    let fleet = Fleet::new();
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(fleet.process().await);
    }
    let (mut tasks, mut of_processes) = (Vec::new(), Vec::new());
    for (number, process) in processes.iter().enumerate() {
        let own = loads();
        for batch_number in 0..BATCHES_EACH {
            let mut rng = seed.part(&format!("{number} {batch_number}")).rng();
            let keys: Vec<u64> = (0..100).map(|_| rng.random_range(0..KEYS)).collect();
            tasks.push(tokio::spawn(batch(process.cache.clone(), keys, Arc::clone(&own))));
        }
        of_processes.push(own);
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(of_processes.iter().all(|loads| most(loads) == 1));
    let late = fleet.process().await;
    let again = loads();
    let known: Vec<u64> = (0..KEYS)
        .filter(|key| {
            of_processes.iter().any(|loads| loads[*key as usize].load(Ordering::Relaxed) > 0)
        })
        .collect();
    batch(late.cache.clone(), known, Arc::clone(&again)).await;
    assert_eq!(most(&again), 0, "the tier holds what the others loaded");
}
