//! A soft invalidation ends fresh lives and keeps values for the day a load fails; a hard one keeps
//! nothing.
//!
//! Breaking the rule "a soft end is seen in level 1" turns all but the last two tests red.

use std::convert::Infallible;

use cache_enterprise_core::{Capacity, ErrorKind, Tag, mins, secs, tag};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Reach, block_on};

use crate::{manager, ready};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).stale_if_error(mins(60));

fn open() -> (CacheManager, Cache<u64, u64>) {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(cache.set(&1, 1_u64).tags([tag!("a")]));
    block_on(cache.set(&2, 2_u64).tags([tag!("b")]));
    (manager, cache)
}

fn failed_load(cache: &Cache<u64, u64>, key: u64) -> Option<u64> {
    let load = || async { Err::<u64, _>("the origin is down") };
    block_on(cache.try_get_with(&key, load)).ok().map(|value| *value)
}

#[test]
fn a_soft_end_of_a_tag_a_cache_and_a_tenant_keeps_the_fallback() {
    for ended in ["tag", "cache", "tenant"] {
        let (manager, cache) = open();
        match ended {
            "tag" => block_on(manager.invalidate(["a", "b"]).soft()),
            "cache" => block_on(cache.clear().soft()),
            _ => block_on(manager.clear().soft()),
        };
        assert!(!cache.contains(&1), "{ended}");
        assert_eq!(block_on(cache.get(&1)).unwrap(), None, "{ended}");
        assert_eq!(failed_load(&cache, 1), Some(1), "{ended}");
        assert_eq!(*block_on(cache.get_with(&2, || async { 3_u64 })), 3, "{ended}");
        assert!(cache.contains(&2), "what was loaded since is fresh: {ended}");
    }
}

#[test]
fn the_grace_counts_from_the_soft_end() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(cache.set(&1, 1_u64));
    clock.advance(mins(4));
    block_on(cache.clear().soft());
    assert!(!cache.contains(&1));
    clock.advance(mins(60) - secs(1));
    assert_eq!(failed_load(&cache, 1), Some(1));
    clock.advance(secs(1));
    assert_eq!(failed_load(&cache, 1), None);
}

#[test]
fn known_absence_ends_softly_too() {
    let (_manager, cache) = open();
    assert!(block_on(cache.get_opt_with(&3, || async { None::<u64> })).is_none());
    block_on(cache.clear().soft());
    let found = block_on(cache.get_opt_with(&3, || async { Some(3_u64) }));
    assert_eq!(found.map(|value| *value), Some(3));
}

#[test]
fn whoever_comes_after_a_soft_end_does_not_share_an_older_load() {
    let (manager, cache) = open();
    let first = cache.fetch(&3).tags([tag!("c")]).with(|| async {
        // The invalidation and the second caller come while the first load runs.
        block_on(manager.invalidate("c").soft());
        Ok::<_, Infallible>(30_u64)
    });
    assert_eq!(*block_on(first).unwrap(), 30, "its own caller has asked before");
    assert!(!cache.contains(&3));
    let second = cache.fetch(&3).with(|| async { Ok::<_, Infallible>(31_u64) });
    assert_eq!(*ready(&mut Box::pin(second)).unwrap(), 31);
}

#[test]
fn a_hard_end_leaves_no_fallback_whatever_came_softly() {
    let (manager, cache) = open();
    block_on(manager.invalidate("a").soft());
    block_on(manager.invalidate("a"));
    assert_eq!(failed_load(&cache, 1), None);
    assert_eq!(failed_load(&cache, 2), Some(2));
}

#[test]
fn a_receipt_tells_number_targets_levels_and_reach() {
    let manager = CacheManager::in_memory(Capacity::entries(10)).unwrap();
    let receipt = block_on(manager.invalidate([tag!("a"), tag!("b"), tag!("a")]));
    assert_eq!((receipt.targets, receipt.reach), (2, Reach::Process));
    assert_eq!(receipt.levels.len(), 1);
    let next = block_on(manager.clear().strict()).unwrap();
    assert!(next.sequence > receipt.sequence, "a number each");
    let error = block_on(manager.invalidate(Tag::from("")).strict()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
