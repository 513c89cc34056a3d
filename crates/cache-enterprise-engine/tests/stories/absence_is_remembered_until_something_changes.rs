//! `get_opt_with` remembers that there is nothing, for a while and within bounds.

use std::cell::Cell;

use std::future::IntoFuture;

use cache_enterprise_core::{Capacity, mins, ms, secs};
use cache_enterprise_engine::{Cache, CacheSpec, block_on};

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
