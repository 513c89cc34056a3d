//! A listener hears why a value left level 1, in a place where it may call the cache again.

use std::future::IntoFuture;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cache_enterprise_core::{Capacity, Clock, RemovalCause, mins, secs};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Options, block_on};
use parking_lot::Mutex;

static SPEC: CacheSpec<u64, u64> =
    CacheSpec::new("numbers").ttl(mins(5)).capacity(Capacity::entries(64));

const PATIENCE: Duration = Duration::from_secs(30);

/// What a listener tells: the key, the value, the cause, and whether level 1 still answers.
type Told = (u64, u64, RemovalCause, bool);

/// A cache whose listener reads it, writes to it and removes from it at each departure.
fn listened() -> (CacheManager, Cache<u64, u64>, Clock, Receiver<Told>) {
    let clock = Clock::manual();
    let options = Options { jitter: Some(0.0), ..Options::NONE };
    let builder = CacheManager::builder("stories").options(options).clock(clock.clone());
    let manager = builder.build_in_memory().unwrap();
    let (sender, told) = channel();
    let (sender, this) = (Mutex::new(sender), Arc::new(OnceLock::<Cache<u64, u64>>::new()));
    let own = Arc::clone(&this);
    let listener = move |key: &u64, value: &cache_enterprise_core::Cached<u64>, cause| {
        let cache = own.get().expect("nothing leaves before the cache is known");
        let is_held = cache.contains(key);
        if *key < 1_000 {
            block_on(cache.set(&(key + 1_000), 0_u64).into_future());
            block_on(cache.remove(&(key + 1_000)));
            let _ = sender.lock().send((*key, **value, cause, is_held));
        }
    };
    let cache = manager.open_listening(&SPEC, Arc::new(listener)).unwrap();
    this.set(cache.clone()).unwrap();
    (manager, cache, clock, told)
}

fn set(cache: &Cache<u64, u64>, key: u64, value: u64) {
    block_on(cache.set(&key, value).into_future());
}

#[test]
fn replaced_removed_expired_and_invalidated() {
    let (manager, cache, clock, told) = listened();
    let hears = || told.recv_timeout(PATIENCE).unwrap();
    set(&cache, 1, 1);
    set(&cache, 1, 2);
    assert_eq!(hears(), (1, 1, RemovalCause::Replaced, true));
    block_on(cache.remove(&1));
    assert_eq!(hears(), (1, 2, RemovalCause::Removed, false));

    block_on(cache.set(&2, 2_u64).ttl(secs(1)).into_future());
    clock.advance(secs(2));
    manager.tick();
    assert_eq!(hears(), (2, 2, RemovalCause::Expired, false));

    set(&cache, 3, 3);
    block_on(cache.clear());
    assert!(block_on(cache.get(&3)).unwrap().is_none());
    assert_eq!(hears(), (3, 3, RemovalCause::Invalidated, false));
    block_on(cache.set(&4, 4_u64).tags(["tag"]).into_future());
    block_on(manager.invalidate("tag"));
    assert_eq!(*block_on(cache.get_with(&4, || async { 44_u64 })), 44);
    let (key, value, cause, _) = hears();
    assert_eq!((key, value, cause), (4, 4, RemovalCause::Invalidated));
    assert!(told.try_recv().is_err(), "each departure is told once");
}

#[test]
fn what_makes_room_is_told_as_evicted() {
    let (_manager, cache, _clock, told) = listened();
    for key in 0..500 {
        set(&cache, key, key);
    }
    block_on(cache.remove(&499));
    let mut evicted = 0;
    loop {
        let (key, value, cause, is_held) = told.recv_timeout(PATIENCE).unwrap();
        if key == 499 {
            break;
        }
        assert_eq!((value, cause, is_held), (key, RemovalCause::Evicted, false));
        evicted += 1;
    }
    assert!(evicted >= 500 - 64 - 1, "{evicted} of 500 were told to have left a cache of 64");
}
