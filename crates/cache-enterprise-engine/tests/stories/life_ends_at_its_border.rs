//! An entry is fresh up to, and not including, the end of its life.

use std::time::Duration;

use std::future::IntoFuture;

use cache_enterprise_core::{Capacity, Clock, ms, secs};
use cache_enterprise_engine::{CacheManager, CacheSpec, Life, Options, block_on};

use crate::manager;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("short").ttl(secs(10));
static IDLE: CacheSpec<u64, u64> = CacheSpec::new("idle").ttl(secs(100)).idle(secs(5));

#[test]
fn the_last_millisecond_is_fresh_and_the_next_is_not() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    clock.advance(secs(10) - ms(1));
    assert!(cache.contains(&1));
    clock.advance(ms(1));
    assert!(!cache.contains(&1));
    assert!(block_on(cache.get(&1)).unwrap().is_none());
}

#[test]
fn a_life_of_a_call_overrides_the_specs() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(cache.set(&1, 1_u64).ttl(secs(1)).into_future());
    block_on(cache.set(&2, 1_u64).forever().into_future());
    block_on(cache.set(&3, 1_u64).ttl(Duration::MAX).into_future());
    clock.advance(secs(1));
    assert!(!cache.contains(&1));
    clock.advance(secs(1_000_000));
    assert!(cache.contains(&2));
    assert!(cache.contains(&3));
}

#[test]
fn jitter_only_adds_and_at_most_its_share() {
    let clock = Clock::manual();
    let options = Options { ttl: Some(Life::Forever), jitter: Some(0.1), ..Options::NONE };
    let builder = CacheManager::builder("jitter").l1(Capacity::entries(1_000)).seed(7);
    let manager = builder.options(options).clock(clock.clone()).build_in_memory().unwrap();
    let cache = manager.open(&SPEC).unwrap();
    for key in 0..200_u64 {
        block_on(cache.set(&key, key).into_future());
    }
    let alive = |cache: &cache_enterprise_engine::Cache<u64, u64>| {
        (0..200).filter(|key| cache.contains(key)).count()
    };
    clock.advance(secs(10) - ms(1));
    assert_eq!(alive(&cache), 200, "none ends before its life");
    clock.advance(ms(501));
    let halfway = alive(&cache);
    assert!((50..150).contains(&halfway), "spread over the share: {halfway} alive halfway");
    clock.advance(ms(501));
    assert_eq!(alive(&cache), 0, "none outlives the share");
}

#[test]
fn an_entry_nobody_reads_expires_and_a_read_one_does_not() {
    let (manager, clock) = manager();
    let cache = manager.open(&IDLE).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    block_on(cache.set(&2, 2_u64).into_future());
    clock.advance(secs(4));
    assert!(block_on(cache.get(&1)).unwrap().is_some());
    clock.advance(secs(4));
    assert!(block_on(cache.get(&1)).unwrap().is_some());
    assert!(block_on(cache.get(&2)).unwrap().is_none());
}
