//! 50 batches of 100 random keys at once, on several threads: each key is loaded once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_enterprise_core::mins;
use cache_enterprise_engine::{Cache, CacheSpec, Missing, block_on};
use cache_enterprise_testkit::Seed;
use rand::RngExt;

use crate::manager;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

const BATCHES: u64 = 50;
const KEYS_EACH: usize = 100;
const KEYS: u64 = 500;

/// How often each key was loaded.
struct Origin {
    loads: Vec<AtomicU32>,
}

impl Origin {
    fn new() -> Self {
        Self { loads: (0..KEYS).map(|_| AtomicU32::new(0)).collect() }
    }

    async fn load(&self, missing: Missing<u64>) -> Vec<(u64, u64)> {
        for key in &missing {
            self.loads[*key as usize].fetch_add(1, Ordering::Relaxed);
        }
        // Others come in between, whatever the number of cores.
        std::thread::yield_now();
        missing.into_iter().map(|key| (key, key * 10)).collect()
    }
}

fn batch(cache: &Cache<u64, u64>, origin: &Origin, keys: &[u64]) {
    let load = |missing| origin.load(missing);
    let loaded = block_on(cache.get_many_with(keys.iter().copied(), load));
    let values = loaded.into_values().unwrap();
    for (key, value) in keys.iter().zip(values) {
        assert_eq!(value.map(|value| *value), Some(key * 10));
    }
}

#[test]
fn in_one_process() {
    let seed = Seed::from_env_or(50);
    let _printed = seed.print_on_panic();
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (origin, start) = (Origin::new(), Barrier::new(BATCHES as usize));
    std::thread::scope(|scope| {
        for number in 0..BATCHES {
            let mut rng = seed.part(&number.to_string()).rng();
            let keys: Vec<u64> = (0..KEYS_EACH).map(|_| rng.random_range(0..KEYS)).collect();
            let (cache, origin, start) = (cache.clone(), &origin, &start);
            scope.spawn(move || {
                start.wait();
                batch(&cache, origin, &keys);
            });
        }
    });
    let loads: Vec<_> = origin.loads.iter().map(|loads| loads.load(Ordering::Relaxed)).collect();
    assert!(loads.iter().all(|loads| *loads <= 1), "a key was loaded twice: {loads:?}");
    assert!(loads.iter().sum::<u32>() > 400, "nearly all of 500 keys are drawn");
}
