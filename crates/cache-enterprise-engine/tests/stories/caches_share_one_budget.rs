//! All caches of a manager divide one number of bytes: never more than it at any moment, and most
//! of it where it is used.
//!
//! Giving every store the whole capacity, by a `resize` in the budget's `Member` of a store that
//! does nothing, turns the first two red.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicBool, Ordering};

use cache_enterprise_core::{Capacity, Clock, KIB, MIB, mins, ms, secs};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Memory, block_on};

const BYTES: u64 = 4 * MIB;

type Bytes = Cache<u64, Vec<u8>>;

static SPECS: [CacheSpec<u64, Vec<u8>>; 8] = [
    CacheSpec::new("one").ttl(mins(5)),
    CacheSpec::new("two").ttl(mins(5)),
    CacheSpec::new("three").ttl(mins(5)),
    CacheSpec::new("four").ttl(mins(5)),
    CacheSpec::new("five").ttl(mins(5)),
    CacheSpec::new("six").ttl(mins(5)),
    CacheSpec::new("seven").ttl(mins(5)),
    CacheSpec::new("eight").ttl(mins(5)),
];

fn manager() -> (CacheManager, Clock) {
    let clock = Clock::manual();
    let builder = CacheManager::builder("budget").l1(Memory::bytes(BYTES)).clock(clock.clone());
    (builder.build_in_memory().unwrap(), clock)
}

fn put(cache: &Bytes, key: u64, bytes: u64) {
    block_on(cache.set(&key, vec![7; bytes as usize]).into_future());
}

/// What all caches hold now, absent keys included.
fn held(manager: &CacheManager) -> u64 {
    let stats = manager.stats();
    stats.iter().map(|(_, cache)| cache.store.weight + cache.absences.weight).sum()
}

fn given(manager: &CacheManager) -> u64 {
    let stats = manager.stats();
    stats.iter().map(|(_, cache)| cache.store.capacity + cache.absences.capacity).sum()
}

fn capacity(cache: &Bytes) -> u64 {
    cache.stats().store.capacity
}

/// Lets the ledger move capacity.
fn turn(manager: &CacheManager, clock: &Clock) {
    clock.advance(ms(100));
    manager.tick();
}

#[test]
fn eight_caches_filled_at_once_stay_within_it_at_every_step() {
    let (manager, clock) = manager();
    let caches = SPECS.each_ref().map(|spec| manager.open(spec).unwrap());
    for step in 0..1_500 {
        for (number, cache) in (1..).zip(&caches) {
            put(cache, step, 100 + step * 37 % (400 * number));
            assert!(held(&manager) <= BYTES, "{} of {BYTES} at {step}", held(&manager));
        }
        if step % 20 == 19 {
            turn(&manager, &clock);
            assert!(held(&manager) <= BYTES && given(&manager) <= BYTES);
        }
    }
    assert!(held(&manager) >= BYTES * 85 / 100, "{} of {BYTES} are used", held(&manager));
    assert!(caches.iter().all(|cache| capacity(cache) >= BYTES / 100));
}

#[test]
fn eight_caches_filled_by_eight_threads_stay_within_it_while_capacity_moves() {
    let (manager, clock) = manager();
    let caches = SPECS.each_ref().map(|spec| manager.open(spec).unwrap());
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers = caches.each_ref().map(|cache| {
            scope.spawn(move || (0..5_000).for_each(|key| put(cache, key, 100 + key % 900)))
        });
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                turn(&manager, &clock);
                let held = held(&manager);
                assert!(held <= BYTES * 101 / 100, "{held} of {BYTES}");
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(held(&manager) <= BYTES);
}

#[test]
fn room_of_an_idle_cache_flows_to_the_busy_one_and_back() {
    let (manager, clock) = manager();
    let [left, right] = [0, 1].map(|index| manager.open(&SPECS[index]).unwrap());
    let press = |cache: &Bytes, keys: std::ops::Range<u64>| {
        for key in keys {
            put(cache, key, KIB);
            if key % 100 == 99 {
                turn(&manager, &clock);
            }
        }
    };
    assert!(capacity(&left).abs_diff(capacity(&right)) <= BYTES / 64);
    press(&left, 0..10_000);
    assert!(capacity(&left) > BYTES * 3 / 4, "an empty cache keeps {}", capacity(&right));
    press(&right, 0..40_000);
    assert!(capacity(&right) > BYTES * 3 / 4, "an idle cache keeps {}", capacity(&left));
    assert!(capacity(&left) > BYTES / 100, "it could take nothing when it is used again");
}

#[test]
fn a_cache_with_bytes_of_its_own_has_exactly_those_out_of_the_budget() {
    static FIXED: CacheSpec<u64, Vec<u8>> =
        CacheSpec::new("fixed").ttl(mins(5)).capacity(Capacity::bytes(MIB));
    static TOO_MUCH: CacheSpec<u64, Vec<u8>> =
        CacheSpec::new("too much").ttl(mins(5)).capacity(Capacity::bytes(BYTES));
    let (manager, clock) = manager();
    let other = manager.open(&SPECS[0]).unwrap();
    let fixed = manager.open(&FIXED).unwrap();
    for key in 0..20_000 {
        put(&other, key, KIB);
        if key % 100 == 0 {
            turn(&manager, &clock);
        }
    }
    assert_eq!((capacity(&fixed), capacity(&other)), (MIB, BYTES - MIB));
    let error = manager.open(&TOO_MUCH).unwrap_err();
    assert!(error.to_string().contains("floors"), "{error}");
    // What failed to open took nothing.
    assert_eq!(given(&manager), BYTES);
}

#[test]
fn a_cache_that_counts_entries_is_outside_of_it() {
    static COUNTED: CacheSpec<u64, Vec<u8>> =
        CacheSpec::new("counted").ttl(mins(5)).capacity(Capacity::entries(100));
    let (manager, _clock) = manager();
    let counted = manager.open(&COUNTED).unwrap();
    let other = manager.open(&SPECS[0]).unwrap();
    (0..1_000).for_each(|key| put(&counted, key, KIB));
    let store = counted.stats().store;
    assert!(store.entries <= 100 && store.entries > 50, "{store:?}");
    assert_eq!((store.weight, capacity(&other)), (store.entries, BYTES));
}

#[test]
fn absent_keys_count_and_start_small() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPECS[0]).unwrap();
    (0..2_000).for_each(|key| put(&cache, key, KIB));
    let before = cache.stats().store;
    for key in 10_000..40_000 {
        assert!(block_on(cache.get_opt_with(&key, || async { None::<Vec<u8>> })).is_none());
        assert!(held(&manager) <= BYTES);
        if key == 10_000 {
            assert!(cache.stats().store.weight > before.weight * 95 / 100, "values made room");
        }
        if key % 500 == 0 {
            turn(&manager, &clock);
        }
    }
    let absences = cache.stats().absences;
    assert!(absences.capacity <= BYTES / 8 && absences.weight <= absences.capacity);
    assert!(absences.capacity > BYTES / 16, "{absences:?} grew under pressure");
    // What ended is swept, and its room can be used again.
    clock.advance(secs(31));
    (0..100).for_each(|_| turn(&manager, &clock));
    assert_eq!(cache.stats().absences.weight, 0);
}

#[test]
fn entries_weigh_what_they_hold() {
    static TEXTS: CacheSpec<String, String> = CacheSpec::new("texts").ttl(mins(5));
    static WEIGHED: CacheSpec<u64, Vec<u64>> =
        CacheSpec::new("weighed").ttl(mins(5)).weigh(|numbers| 8 * numbers.capacity());
    let (manager, _clock) = manager();
    let texts = manager.open(&TEXTS).unwrap();
    let text = |bytes: usize| "x".repeat(bytes);
    block_on(texts.set(&text(10), text(1_000)).into_future());
    let light = texts.stats().store.weight;
    block_on(texts.set(&text(510), text(3_000)).into_future());
    assert_eq!(texts.stats().store.weight, 2 * light + 500 + 2_000);
    block_on(texts.set(&text(510), text(3_000)).tags(["a", "b"]).into_future());
    assert!(texts.stats().store.weight > 2 * light + 500 + 2_000, "tags weigh");
    let set = manager.set("key", &text(5_000)).ttl(mins(5));
    block_on(set.into_future()).unwrap();
    let (_, facade) = manager.stats().into_iter().find(|(name, _)| name == "facade").unwrap();
    assert!((5_000..5_400).contains(&facade.store.weight), "{facade:?}");
    let weighed = manager.open(&WEIGHED).unwrap();
    block_on(weighed.set(&1, vec![0; 1_000]).into_future());
    assert!((8_000..8_300).contains(&weighed.stats().store.weight));
}

#[test]
fn a_level_that_counts_entries_bounds_each_cache_by_itself() {
    let builder = CacheManager::builder("entries").l1(Memory::entries(100));
    let manager = builder.clock(Clock::manual()).build_in_memory().unwrap();
    let caches = [0, 1].map(|index| manager.open(&SPECS[index]).unwrap());
    for cache in &caches {
        (0..1_000).for_each(|key| put(cache, key, 10));
        let entries = cache.stats().store.entries;
        assert!(entries <= 100 && entries > 50, "{entries}");
    }
}
