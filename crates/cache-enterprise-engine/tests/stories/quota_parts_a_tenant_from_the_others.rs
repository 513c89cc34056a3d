//! A tenant with a quota has stores of its own: others cannot take its floor, it cannot pass its
//! ceiling, and everything that is asked of the tenant is asked of those stores.
//!
//! Giving every tenant the shared holding, in `Holdings::of`, turns the first two red.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use cache_enterprise_core::{
    Cached, Capacity, Clock, ErrorKind, KIB, MIB, RemovalCause, mins, ms, secs, tag,
};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Memory, Quota, block_on};

const BYTES: u64 = 8 * MIB;

type Bytes = Cache<u64, Vec<u8>>;

static PAGES: CacheSpec<u64, Vec<u8>> = CacheSpec::new("pages").ttl(mins(5));
static USERS: CacheSpec<u64, Vec<u8>> = CacheSpec::new("users").ttl(mins(5));

fn manager() -> (CacheManager, Clock) {
    let clock = Clock::manual();
    let builder = CacheManager::builder("quota").l1(Memory::bytes(BYTES)).clock(clock.clone());
    (builder.build_in_memory().unwrap(), clock)
}

fn put(cache: &Bytes, key: u64) {
    block_on(cache.set(&key, vec![7; KIB as usize]).into_future());
}

/// Puts and reads so many entries, so that they count as used, with a turn of the ledger after
/// each hundred.
fn flood(manager: &CacheManager, clock: &Clock, caches: &[&Bytes], entries: u64) {
    for key in 0..entries {
        for cache in caches {
            put(cache, key);
            (0..3).for_each(|back| drop(block_on(cache.get(&key.saturating_sub(back * 100)))));
        }
        if key % 100 == 99 {
            clock.advance(ms(100));
            manager.tick();
        }
    }
}

fn present(cache: &Bytes, keys: std::ops::Range<u64>) -> usize {
    keys.filter(|key| cache.contains(key)).count()
}

#[test]
fn a_noisy_tenant_takes_nothing_from_anothers_floor() {
    let (manager, clock) = manager();
    let quiet = manager.tenant("quiet").unwrap().quota(Quota::floor(2 * MIB)).unwrap();
    let noisy = manager.tenant("noisy").unwrap().quota(Quota::floor(MIB)).unwrap();
    let (kept, loud) = (quiet.open(&PAGES).unwrap(), noisy.open(&PAGES).unwrap());
    let shared = manager.tenant("other").unwrap().open(&PAGES).unwrap();
    (0..1_000).for_each(|key| put(&kept, key));
    assert_eq!(present(&kept, 0..1_000), 1_000);
    flood(&manager, &clock, &[&loud, &shared], 30_000);
    assert_eq!(present(&kept, 0..1_000), 1_000, "below its floor nothing may leave");
    assert!(noisy.usage().bytes >= MIB && noisy.usage().bytes < BYTES - 2 * MIB);
    let all: u64 = manager.usage_by_tenant().iter().map(|(_, usage)| usage.bytes).sum();
    assert!(all <= BYTES, "{all}");
}

#[test]
fn a_tenant_never_passes_its_ceiling_whatever_it_opens() {
    let (manager, clock) = manager();
    let others = manager.open(&PAGES).unwrap();
    let quota = Quota::floor(MIB / 2).ceiling(MIB);
    let acme = manager.tenant("acme").unwrap().quota(quota).unwrap();
    let (pages, users) = (acme.open(&PAGES).unwrap(), acme.open(&USERS).unwrap());
    for key in 0..5_000 {
        [&pages, &users].into_iter().for_each(|cache| put(cache, key));
        // The absent keys of the tenant are the tenant's.
        block_on(users.get_opt_with(&(key + 100_000), || async { None::<Vec<u8>> }));
        assert!(key % 64 != 0 || acme.usage().bytes <= MIB, "{:?} at {key}", acme.usage());
        if key % 100 == 99 {
            clock.advance(ms(100));
            manager.tick();
        }
    }
    assert!(acme.usage().bytes > MIB / 2 && acme.usage().bytes <= MIB, "{:?}", acme.usage());
    flood(&manager, &clock, &[&others], 20_000);
    assert!(others.stats().store.weight > BYTES * 7 / 10, "the others have the rest");
}

#[test]
fn tenants_without_a_quota_share_one_store() {
    let (manager, _clock) = manager();
    let [one, two] = ["one", "two"].map(|name| manager.tenant(name).unwrap());
    let [first, second] = [&one, &two].map(|tenant| tenant.open(&PAGES).unwrap());
    (0..10).for_each(|key| put(&first, key));
    (0..30).for_each(|key| put(&second, key));
    assert_eq!((one.usage().entries, two.usage().entries), (10, 30));
    assert_eq!(one.usage().bytes * 3, two.usage().bytes);
    assert_eq!(first.stats().store.entries, 40, "statistics of a cache are those of all tenants");
    assert_eq!((one.usage().quota, manager.usage().entries), (None, 0));
}

#[test]
fn everything_of_the_tenant_sees_its_own_store() {
    let (manager, clock) = manager();
    let acme = manager.tenant("acme").unwrap().quota(Quota::floor(MIB)).unwrap();
    let (root, own) = (manager.open(&PAGES).unwrap(), acme.open(&PAGES).unwrap());
    let again = manager.tenant("acme").unwrap().open(&PAGES).unwrap();
    (0..10).for_each(|key| put(&own, key));
    put(&root, 1);
    // Handles of one tenant and cache agree.
    assert_eq!((again.len(), own.len(), root.len()), (10, 10, 1));
    assert!(block_on(again.remove(&0)));
    assert!(!own.contains(&0));
    block_on(own.set(&1, vec![1]).tags([tag!("one")]).into_future());
    block_on(acme.invalidate(tag!("one")));
    assert!(!again.contains(&1) && root.contains(&1));
    assert_eq!(own.keys().len(), 8);
    assert_eq!(root.stats().store.entries, own.stats().store.entries);
    own.drop_level1();
    assert_eq!((again.len(), root.len()), (0, 1));
    put(&own, 5);
    block_on(acme.clear());
    assert!(!again.contains(&5) && root.contains(&1));
    put(&own, 6);
    clock.advance(mins(6));
    (0..10).for_each(|_| manager.tick());
    assert_eq!((own.len(), root.len()), (0, 0), "the sweep reaches the tenant's store");
    // A load lands, and its absence is noted, in the tenant's store.
    let absent = |cache: &Bytes| {
        let mut is_asked = false;
        block_on(cache.get_opt_with(&9, || {
            is_asked = true;
            async { None::<Vec<u8>> }
        }));
        is_asked
    };
    assert!(absent(&own) && !absent(&again) && absent(&root));
    block_on(own.get_with(&9, || async { vec![9; 10] }));
    assert!(again.contains(&9) && !absent(&again));
    assert!(!root.contains(&9));
}

#[test]
fn a_listener_hears_of_every_tenant() {
    let (manager, _clock) = manager();
    let acme = manager.tenant("acme").unwrap().quota(Quota::floor(MIB)).unwrap();
    let (sender, told) = channel();
    let listener = move |key: &u64, _: &Cached<Vec<u8>>, cause| {
        let _ = sender.send((*key, cause));
    };
    let root = manager.open_listening(&PAGES, Arc::new(listener)).unwrap();
    for (key, cache) in [(1, &root), (2, &acme.open(&PAGES).unwrap())] {
        put(cache, key);
        assert!(block_on(cache.remove(&key)));
        let heard = told.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(heard, (key, RemovalCause::Removed));
    }
}

#[test]
fn a_first_quota_comes_before_the_first_cache() {
    let (manager, _clock) = manager();
    let late = manager.tenant("late").unwrap();
    let cache = late.open(&PAGES).unwrap();
    let error = late.clone().quota(Quota::floor(MIB)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    put(&cache, 1);
    assert!(late.open(&PAGES).unwrap().contains(&1), "what was open still agrees");
    // The facade opens a cache too.
    let set = manager.set("key", &7_u64).tenant("facade").ttl(secs(5));
    block_on(set.into_future()).unwrap();
    assert!(manager.tenant("facade").unwrap().quota(Quota::floor(MIB)).is_err());
}

#[test]
fn another_quota_takes_effect_at_once() {
    let (manager, clock) = manager();
    let acme = manager.tenant("acme").unwrap().quota(Quota::floor(MIB).ceiling(4 * MIB)).unwrap();
    let cache = acme.open(&PAGES).unwrap();
    (0..3_000).for_each(|key| put(&cache, key));
    assert!(acme.usage().bytes > 2 * MIB);
    let small = Quota::floor(MIB / 2).ceiling(MIB);
    let acme = acme.quota(small).unwrap().quota(small).unwrap();
    assert!(acme.usage().bytes <= MIB, "{:?}", acme.usage());
    assert_eq!(acme.usage().quota, Some(small));
    // A quota that does not fit changes nothing.
    assert!(acme.clone().quota(Quota::floor(2 * BYTES)).is_err());
    assert_eq!(acme.usage().quota, Some(small));
    let wide = Quota::floor(MIB).ceiling(6 * MIB);
    let acme = acme.quota(wide).unwrap();
    flood(&manager, &clock, &[&cache], 20_000);
    assert!(acme.usage().bytes > 5 * MIB, "{:?}", acme.usage());
}

#[test]
fn quotas_that_cannot_hold_are_errors() {
    let (manager, _clock) = manager();
    let quota = |name: &str, quota| manager.tenant(name).unwrap().quota(quota).map(drop);
    assert!(manager.clone().quota(Quota::floor(1)).is_err(), "the root tenant takes none");
    assert!(quota("a", Quota::floor(2).ceiling(1)).is_err());
    assert!(quota("a", Quota::floor(0).ceiling(0)).is_err());
    assert!(quota("a", Quota::floor(BYTES / 2)).is_ok());
    assert!(quota("b", Quota::floor(BYTES / 2 + 1)).is_err(), "the floors are over the budget");
    assert!(quota("b", Quota::floor(BYTES / 2)).is_ok());
    let entries = CacheManager::in_memory(Capacity::entries(1_000)).unwrap();
    let error = entries.tenant("a").unwrap().quota(Quota::floor(1)).unwrap_err();
    assert!(error.to_string().contains("counts entries"), "{error}");
}

#[test]
fn a_tenant_sees_no_usage_but_its_own() {
    let (manager, _clock) = manager();
    let acme = manager.tenant("acme").unwrap();
    put(&acme.open(&PAGES).unwrap(), 1);
    put(&manager.tenant("umbrella").unwrap().open(&PAGES).unwrap(), 1);
    let names = |manager: &CacheManager| {
        manager.usage_by_tenant().into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names(&acme), ["acme"]);
    assert_eq!(names(&manager), ["", "acme", "umbrella"]);
}
