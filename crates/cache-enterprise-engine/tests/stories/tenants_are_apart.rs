//! Two tenants open one spec: neither key, tag nor clear of one reaches the other.
//!
//! Breaking the compare of `entry.checked()` in `hit` (`read.rs`), so that every entry counts as
//! current, turns `a_tag_ends_what_carries_it_and_nothing_else` red.

use std::future::IntoFuture;

use cache_enterprise_core::{mins, tag};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, block_on};

use crate::manager;

static SPEC: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(5));
static OTHER: CacheSpec<u64, String> = CacheSpec::new("others").ttl(mins(5));

fn fill(cache: &Cache<u64, String>, value: &str) {
    block_on(cache.set(&1, value).tags([tag!("org:7")]).into_future());
    block_on(cache.set(&2, value).tags([tag!("org:8")]).into_future());
}

/// What a cache answers for its two keys.
fn held(cache: &Cache<u64, String>) -> [bool; 2] {
    [1, 2].map(|key| block_on(cache.get(&key)).unwrap().is_some())
}

fn two() -> (CacheManager, [CacheManager; 2], [Cache<u64, String>; 2]) {
    let (manager, _clock) = manager();
    let tenants = [manager.tenant("acme").unwrap(), manager.tenant("umbrella").unwrap()];
    let caches = [tenants[0].open(&SPEC).unwrap(), tenants[1].open(&SPEC).unwrap()];
    fill(&caches[0], "a");
    fill(&caches[1], "u");
    (manager, tenants, caches)
}

#[test]
fn a_key_of_one_is_not_a_key_of_the_other() {
    let (manager, _tenants, caches) = two();
    assert_eq!(*block_on(caches[0].get(&1)).unwrap().unwrap(), "a");
    assert_eq!(*block_on(caches[1].get(&1)).unwrap().unwrap(), "u");
    let root = manager.open(&SPEC).unwrap();
    assert_eq!(held(&root), [false, false]);
    assert!(block_on(caches[0].remove(&1)));
    assert_eq!(held(&caches[1]), [true, true]);
}

#[test]
fn a_tag_ends_what_carries_it_and_nothing_else() {
    let (_manager, tenants, caches) = two();
    block_on(tenants[0].invalidate(tag!("org:7")));
    assert_eq!(held(&caches[0]), [false, true]);
    assert_eq!(held(&caches[1]), [true, true]);
}

#[test]
fn clearing_a_cache_leaves_the_others() {
    let (_manager, tenants, caches) = two();
    let other = tenants[0].open(&OTHER).unwrap();
    fill(&other, "o");
    block_on(caches[0].clear());
    assert_eq!(held(&caches[0]), [false, false]);
    assert_eq!(held(&other), [true, true]);
    assert_eq!(held(&caches[1]), [true, true]);
}

#[test]
fn only_the_root_tenant_can_end_everything() {
    let (manager, tenants, caches) = two();
    block_on(tenants[0].clear_everything());
    assert_eq!(held(&caches[0]), [false, false]);
    assert_eq!(held(&caches[1]), [true, true]);
    let root = manager.open(&SPEC).unwrap();
    fill(&root, "r");
    fill(&caches[0], "a");
    block_on(manager.clear_everything());
    for cache in [&root, &caches[0], &caches[1]] {
        assert_eq!(held(cache), [false, false]);
        fill(cache, "new");
        assert_eq!(held(cache), [true, true]);
    }
}

#[test]
fn clearing_a_tenant_leaves_the_other_tenant() {
    let (_manager, tenants, caches) = two();
    let other = tenants[0].open(&OTHER).unwrap();
    fill(&other, "o");
    block_on(tenants[0].clear());
    assert_eq!(held(&caches[0]), [false, false]);
    assert_eq!(held(&other), [false, false]);
    assert_eq!(held(&caches[1]), [true, true]);
}
