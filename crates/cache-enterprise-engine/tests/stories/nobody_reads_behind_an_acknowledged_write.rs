//! Threads set, remove, load and read a few keys of one cache. Values grow, so a reader can tell:
//! what it reads is never older than the last write acknowledged before it began to read.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use std::future::IntoFuture;

use cache_enterprise_core::{SetOutcome, mins};
use cache_enterprise_engine::{Cache, CacheSpec, block_on};
use cache_enterprise_testkit::Seed;
use rand::RngExt;

use crate::manager;

const KEYS: u64 = 4;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

#[test]
fn reads_after_an_acknowledged_write_are_never_older() {
    let seed = Seed::from_env_or(11);
    let _printed = seed.print_on_panic();
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    // What the origin holds, and the newest number whose write was acknowledged.
    let origin: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let acknowledged: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let writers: Vec<_> = (0..KEYS).map(|_| parking_lot::Mutex::new(())).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mut rng = seed.part(&format!("thread {thread}")).rng();
            let (cache, origin, acknowledged) = (cache.clone(), &origin, &acknowledged);
            let writers = &writers;
            scope.spawn(move || {
                for _ in 0..20_000 {
                    let key = rng.random_range(0..KEYS);
                    let at = usize::try_from(key).unwrap();
                    match rng.random_range(0..10) {
                        0 => {
                            let _one_writer = writers[at].lock();
                            let next = origin[at].fetch_add(1, Ordering::SeqCst) + 1;
                            if rng.random() {
                                block_on(cache.set(&key, next).into_future());
                            } else {
                                block_on(cache.remove(&key));
                            }
                            acknowledged[at].store(next, Ordering::SeqCst);
                        }
                        _ => {
                            let least = acknowledged[at].load(Ordering::SeqCst);
                            let load = || async { origin[at].load(Ordering::SeqCst) };
                            let seen = match rng.random_range(0..3) {
                                0 => cache.peek(&key).map(|value| *value),
                                1 => block_on(cache.get(&key)).unwrap().map(|value| *value),
                                _ => Some(*block_on(cache.get_with(&key, load))),
                            };
                            assert!(
                                seen.is_none_or(|seen| seen >= least),
                                "key {key}: read {seen:?} after {least} was acknowledged"
                            );
                        }
                    }
                }
            });
        }
    });
}

thread_local! {
    /// Whom the weigher below tells of a value on its way into level 1.
    static OVERTAKER: RefCell<Option<Cache<u64, u64>>> = const { RefCell::new(None) };
}

/// Weighing comes after a set took its number and before it takes the key's lock: the place where
/// another set overtakes it.
fn overtaken(_: &u64) -> usize {
    if let Some(cache) = OVERTAKER.take() {
        block_on(cache.set(&1, 2_u64).into_future());
    }
    8
}

#[test]
fn a_set_that_is_overtaken_by_a_later_one_does_not_win() {
    static WEIGHED: CacheSpec<u64, u64> = CacheSpec::new("weighed").ttl(mins(5)).weigh(overtaken);
    let (manager, _clock) = manager();
    let cache = manager.open(&WEIGHED).unwrap();
    OVERTAKER.set(Some(cache.clone()));
    assert_eq!(block_on(cache.set(&1, 1_u64).into_future()), SetOutcome::Fenced);
    assert_eq!(cache.peek(&1).map(|value| *value), Some(2));
}
