//! Weight limits: what is admitted, what is refused, and what a refusal leaves behind.
#![allow(clippy::unwrap_used)]

mod strategies;

use std::sync::Arc;

use cache_enterprise_core::{
    Capacity, Dates, Entry, LocalStore, MIB, Priority, RemovalCause, Scoped, ScopedRef, Sequence,
    SetOutcome,
};
use cache_enterprise_memory::{Leaving, Level1Store, QUICK, StoreConfig};

use strategies::{Strategy, named, one_of_each_kind};

type Store = Level1Store<u64, u8>;

const CAPACITY: u64 = 64 * MIB;

fn store(kind: &Strategy, shards: Option<usize>) -> Store {
    let mut config = StoreConfig::new(Capacity::bytes(CAPACITY));
    config.shards = shards;
    kind.open(config)
}

fn put(store: &Store, key: u64, weight: u64, priority: Priority) -> SetOutcome {
    let entry = Entry::new(0, Sequence(1), 0, Dates::lasting(0, None))
        .with_weight(weight as usize)
        .with_priority(priority);
    store.insert(Scoped { tenant: 0, key }, Arc::new(entry), &mut Leaving::default())
}

fn has(store: &Store, key: u64) -> bool {
    store.contains(&ScopedRef { tenant: 0, key: &key })
}

/// Each kind of store with each number of shards.
fn each_kind(shards: &[Option<usize>]) -> Vec<(Strategy, Option<usize>)> {
    let kinds = one_of_each_kind();
    let of_kind = |kind: &Strategy| shards.iter().map(|n| (kind.clone(), *n)).collect::<Vec<_>>();
    kinds.iter().flat_map(of_kind).collect()
}

/// Fills the store with values of a KiB.
fn fill(store: &Store) {
    for key in 0..2 * CAPACITY / 1_024 {
        put(store, 1_000_000 + key, 1_024, Priority::Normal);
    }
    assert!(store.stats().weight > CAPACITY * 9 / 10);
}

#[test]
fn an_item_of_a_quarter_is_admitted_into_a_full_store_whatever_the_shards() {
    for (kind, shards) in each_kind(&[None, Some(1), Some(2), Some(8), Some(64)]) {
        let store = store(&kind, shards);
        fill(&store);
        for big in 0..3 {
            assert_eq!(put(&store, big, CAPACITY / 4, Priority::Normal), SetOutcome::Stored);
            assert!(has(&store, big), "{shards:?}");
            assert!(store.stats().weight <= CAPACITY, "{shards:?}");
        }
    }
}

#[test]
fn an_item_of_a_quarter_takes_the_room_of_hundreds_of_thousands_of_small_ones() {
    const TOTAL: u64 = 1_200_000;
    for kind in named(&["fifo"]) {
        let mut config = StoreConfig::new(Capacity::bytes(TOTAL));
        (config.shards, config.estimated_items) = (Some(16), Some(400_000));
        let store: Store = kind.open(config);
        // The small ones are the oldest, so that they are what leaves.
        for key in 0..400_000 {
            put(&store, 1_000 + key, 1, Priority::Normal);
        }
        for key in 0..8_000 {
            put(&store, 1_000_000 + key, 100, Priority::Normal);
        }
        assert_eq!(store.stats().weight, TOTAL);
        assert_eq!(put(&store, 1, TOTAL / 4, Priority::Normal), SetOutcome::Stored);
        assert!(store.stats().evictions > 280_000, "{}", store.stats().evictions);
        assert!(store.stats().weight > TOTAL - 1_000, "{}", store.stats().weight);
    }
}

#[test]
fn free_room_is_not_made_again_in_other_shards() {
    for kind in named(&["fifo"]) {
        for key in 0..20 {
            let mut config = StoreConfig::new(Capacity::bytes(1_000));
            (config.shards, config.estimated_items) = (Some(16), Some(1_000));
            let store: Store = kind.open(config);
            for other in 0..960 {
                put(&store, 1_000 + other, 1, Priority::Normal);
            }
            assert_eq!(put(&store, key, 50, Priority::Normal), SetOutcome::Stored);
            assert_eq!(store.stats().evictions, 10);
        }
    }
}

#[test]
fn a_heavier_item_is_refused_and_nothing_older_stays() {
    for (kind, shards) in each_kind(&[None, Some(64)]) {
        let store = store(&kind, shards);
        assert_eq!(put(&store, 1, 1_024, Priority::Normal), SetOutcome::Stored);
        assert_eq!(put(&store, 1, CAPACITY / 4 + 1, Priority::Normal), SetOutcome::Refused);
        assert!(!has(&store, 1));
        assert_eq!(store.stats().refusals, 1);
        assert_eq!(store.stats().weight, 0);
    }
}

#[test]
fn room_of_heavy_items_comes_back_on_remove_replace_and_clear() {
    for kind in one_of_each_kind() {
        let store = store(&kind, Some(64));
        let key = ScopedRef { tenant: 0, key: &1 };
        for _ in 0..100 {
            put(&store, 1, CAPACITY / 5, Priority::Normal);
            store.remove(&key, RemovalCause::Removed, &mut Leaving::default());
            put(&store, 1, CAPACITY / 5, Priority::Normal);
            put(&store, 1, CAPACITY / 6, Priority::Normal);
            put(&store, 1, 10, Priority::Normal);
            put(&store, 2, CAPACITY / 4, Priority::Normal);
            store.retain(|_, _| false, RemovalCause::Removed, &mut Leaving::default());
            assert_eq!(store.stats().weight, 0);
        }
        store.turn(0, &mut Leaving::default());
        fill(&store);
        assert!(store.stats().weight > CAPACITY * 98 / 100, "reserve was not given back");
    }
}

#[test]
fn values_of_one_heavy_size_use_most_of_the_capacity() {
    for (kind, shards) in each_kind(&[Some(8), Some(64)]) {
        let store = store(&kind, shards);
        for key in 0..1_000 {
            assert_eq!(put(&store, key, CAPACITY / 32, Priority::Normal), SetOutcome::Stored);
        }
        let share = store.stats().weight * 100 / CAPACITY;
        assert!(share >= 70, "{share} % with {shards:?} shards");
    }
}

#[test]
fn pinned_items_stay_and_are_refused_before_they_crowd_others_out() {
    for kind in one_of_each_kind() {
        let store = store(&kind, Some(8));
        let pinned = (0..2_000).filter(|key| {
            put(&store, *key, CAPACITY / 1_000, Priority::Pinned) == SetOutcome::Stored
        });
        let pinned: Vec<u64> = pinned.collect();
        assert!((700..=760).contains(&pinned.len()), "{} pinned", pinned.len());
        for key in 0..200_000 {
            assert_eq!(put(&store, 10_000 + key, 1_024, Priority::Normal), SetOutcome::Stored);
        }
        assert!(store.stats().weight <= CAPACITY);
        assert!(pinned.iter().all(|key| has(&store, *key)), "a pinned item was evicted");
    }
}

#[test]
fn low_leaves_before_normal_and_high_after() {
    for kind in named(&[QUICK, "sieve", "clock"]) {
        let mut config = StoreConfig::new(Capacity::entries(1_000));
        config.shards = Some(1);
        let store: Store = kind.open(config);
        for key in 0..900 {
            let priority = match key % 3 {
                0 => Priority::Low,
                1 => Priority::Normal,
                _ => Priority::High,
            };
            put(&store, key, 1, priority);
        }
        // A stream in which every key comes twice pushes the others out. One use in advance is one
        // round: where nothing else speaks for an entry, a longer stream takes them all.
        let stream = if kind.name() == QUICK { 1_400 } else { 400 };
        for key in 0..stream {
            put(&store, 10_000 + key, 1, Priority::Normal);
            store.get(&ScopedRef { tenant: 0, key: &(10_000 + key) });
        }
        let left = |rest: u64| (0..900).filter(|key| key % 3 == rest && has(&store, *key)).count();
        assert!(left(2) > left(1), "high {} normal {}", left(2), left(1));
        assert!(left(1) >= left(0), "normal {} low {}", left(1), left(0));
    }
}

#[test]
fn a_low_entry_that_comes_back_is_not_taken_for_a_hot_one() {
    for kind in named(&[QUICK, "s3-fifo"]) {
        let survivors = |priority: Priority| {
            let mut config = StoreConfig::new(Capacity::entries(1_000));
            config.shards = Some(1);
            let store: Store = kind.open(config);
            for key in 0..1_250 {
                put(&store, key, 1, priority);
            }
            // Keys the policy has just seen leave come again.
            for key in 970..1_200 {
                put(&store, key, 1, priority);
            }
            for key in 0..200 {
                put(&store, 50_000 + key, 1, Priority::Normal);
            }
            (970..1_200).filter(|key| has(&store, *key)).count()
        };
        assert!(survivors(Priority::Low) < survivors(Priority::Normal));
    }
}

#[test]
fn a_smaller_capacity_evicts_down_to_itself() {
    for (kind, shards) in each_kind(&[Some(1), Some(64)]) {
        let store = store(&kind, shards);
        fill(&store);
        put(&store, 1, CAPACITY / 4, Priority::Normal);
        for capacity in [CAPACITY / 2, CAPACITY / 8, CAPACITY / 64, CAPACITY] {
            store.resize(capacity, &mut Leaving::default());
            let stats = store.stats();
            assert_eq!(stats.capacity, capacity);
            assert!(stats.weight <= capacity, "{} > {capacity}", stats.weight);
            assert_eq!(put(&store, 2, capacity / 4, Priority::Normal), SetOutcome::Stored);
            assert!(store.stats().weight <= capacity);
        }
        fill(&store);
    }
}
