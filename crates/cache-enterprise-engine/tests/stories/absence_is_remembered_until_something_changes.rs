//! `get_opt_with` remembers that there is nothing, for a while and within bounds.

use std::cell::Cell;

use std::future::IntoFuture;

use cache_enterprise_core::{Capacity, Clock, MIB, mins, ms, secs};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Quota, block_on};

use crate::manager;

static SPEC: CacheSpec<u64, u64> =
    CacheSpec::new("users").ttl(mins(5)).negative_ttl(secs(30)).capacity(Capacity::entries(800));

/// Asks for a key that the origin does not have, and says whether the origin was asked.
fn asks_origin(cache: &Cache<u64, u64>, key: u64) -> bool {
    let was_asked = Cell::new(false);
    let found = block_on(cache.get_opt_with(&key, || async {
        was_asked.set(true);
        None::<u64>
    }));
    assert!(found.is_none());
    was_asked.get()
}

#[test]
fn it_lasts_for_its_own_life() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    assert!(asks_origin(&cache, 1));
    clock.advance(secs(30) - ms(1));
    assert!(!asks_origin(&cache, 1));
    clock.advance(ms(1));
    assert!(asks_origin(&cache, 1));
}

#[test]
fn a_set_a_remove_and_a_clear_end_it() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    assert!(asks_origin(&cache, 1));
    block_on(cache.remove(&1));
    assert!(asks_origin(&cache, 1));
    block_on(cache.clear());
    assert!(asks_origin(&cache, 1));
    block_on(cache.set(&1, 9_u64).into_future());
    let found = block_on(cache.get_opt_with(&1, || async { None::<u64> }));
    assert_eq!(found.map(|value| *value), Some(9));
}

#[test]
fn what_is_remembered_is_bounded() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    for key in 0..10_000 {
        asks_origin(&cache, key);
    }
    let remembered = (0..10_000).filter(|key| !asks_origin(&cache, *key)).count();
    assert!(remembered <= 400, "{remembered} absent keys of at most 100 are remembered");
}

#[test]
fn a_life_of_zero_remembers_nothing() {
    static OFF: CacheSpec<u64, u64> =
        CacheSpec::new("off").ttl(mins(5)).negative_ttl(std::time::Duration::ZERO);
    let (manager, _clock) = manager();
    let cache = manager.open(&OFF).unwrap();
    assert!(asks_origin(&cache, 1) && asks_origin(&cache, 1));
    assert_eq!(cache.stats().absences.entries, 0);
}

#[test]
fn a_tenant_that_asks_for_absent_keys_without_end_costs_another_nothing() {
    static SHARED: CacheSpec<u64, u64> = CacheSpec::new("shared").ttl(mins(5));
    let clock = Clock::manual();
    let builder = CacheManager::builder("stories").l1(Capacity::bytes(8 * MIB));
    let manager = builder.clock(clock.clone()).build_in_memory().unwrap();
    let quota = |name, quota| manager.tenant(name).unwrap().quota(quota).unwrap();
    let victim = quota("victim", Quota::floor(4 * MIB)).open(&SHARED).unwrap();
    let noisy = quota("noisy", Quota::floor(MIB).ceiling(2 * MIB)).open(&SHARED).unwrap();
    for key in 0..1_000 {
        block_on(victim.set(&key, key).into_future());
    }
    for key in 0..100_000 {
        asks_origin(&noisy, key);
        if key % 10_000 == 0 {
            clock.advance(secs(1));
            manager.tick();
        }
    }
    assert!(noisy.stats().absences.weight <= 2 * MIB, "its own part bounds it");
    assert!((0..1_000).all(|key| victim.contains(&key)));
}

#[test]
fn a_life_of_zero_leaves_no_older_value_to_answer() {
    static OFF: CacheSpec<u64, u64> = CacheSpec::new("off_with_grace")
        .ttl(secs(10))
        .stale_for(mins(60))
        .negative_ttl(std::time::Duration::ZERO);
    let (manager, clock) = manager();
    let cache = manager.open(&OFF).unwrap();
    block_on(cache.set(&1, 9_u64).into_future());
    clock.advance(secs(11));
    assert!(asks_origin(&cache, 1));
    let fails = cache.fetch(&1).detached(|_| async { Err::<u64, _>("down") });
    assert_eq!(block_on(fails).unwrap_err().loader(), Some(&"down"));
    assert!(cache.is_empty());
}
