//! The wheel gives the memory of ended entries back, in bounded turns.
#![allow(clippy::unwrap_used)]

mod strategies;

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{
    Capacity, Dates, Detail, Entry, LocalStore, Scoped, ScopedRef, Sequence, days, hours, mins, ms,
    secs,
};
use cache_enterprise_memory::{Leaving, Level1Store, StoreConfig};

use strategies::{Strategy, one_of_each_kind};

type Store = Level1Store<u64, u8>;

fn store(kind: &Strategy) -> Store {
    kind.open(StoreConfig::new(Capacity::entries(1_000_000)))
}

fn put(store: &Store, key: u64, now: u64, ttl: Option<Duration>) -> Arc<Entry<u8>> {
    let entry = Arc::new(Entry::new(0, Sequence(1), 0, Dates::lasting(now, ttl)));
    store.insert(Scoped { tenant: 0, key }, Arc::clone(&entry), &mut Leaving::default());
    entry
}

fn has(store: &Store, key: u64) -> bool {
    store.contains(&ScopedRef { tenant: 0, key: &key })
}

/// Turns until nothing changes; returns the number of turns.
fn turn_all(store: &Store, now: u64) -> usize {
    (1..)
        .find(|_| {
            let before = store.len();
            store.turn(now, &mut Leaving::default());
            store.len() == before
        })
        .unwrap()
}

#[test]
fn few_entries_leave_at_their_exact_millisecond() {
    for kind in one_of_each_kind() {
        let uneven = days(700) + ms(7);
        for ttl in [ms(1), ms(64), secs(5), hours(3), days(40), days(700), uneven] {
            let (store, end) = (store(&kind), ttl.as_millis() as u64 + 12_345);
            put(&store, 1, 12_345, Some(ttl));
            put(&store, 2, 12_345, None);
            turn_all(&store, end - 1);
            assert!(has(&store, 1), "{ttl:?} is not over");
            // Long lives are counted in coarser units; their date is what the entry says.
            let end =
                store.peek(&ScopedRef { tenant: 0, key: &1 }).unwrap().dates().expires.max(end);
            turn_all(&store, end);
            assert!(!has(&store, 1) && has(&store, 2), "{ttl:?}");
            assert_eq!(store.stats().expirations, 1);
        }
    }
}

#[test]
fn a_later_value_outlives_the_date_of_an_earlier_one() {
    for kind in one_of_each_kind() {
        let store = store(&kind);
        put(&store, 1, 0, Some(secs(10)));
        put(&store, 1, 5_000, Some(secs(10)));
        turn_all(&store, 14_999);
        assert!(has(&store, 1));
        turn_all(&store, 15_000);
        assert!(!has(&store, 1));
    }
}

#[test]
fn an_idle_entry_leaves_and_a_read_one_stays() {
    for kind in one_of_each_kind() {
        let store = store(&kind);
        let idle = |key| put_idle(&store, key, secs(60), None);
        let (read, _) = (idle(1), idle(2));
        for now in (0..600_000).step_by(1_000) {
            read.touch(now);
            turn_all(&store, now);
        }
        assert!(has(&store, 1) && !has(&store, 2));
        turn_all(&store, 600_000 + 60_000);
        assert!(!has(&store, 1));
    }
}

/// An entry that leaves when it was not read for so long, whatever is left of its life.
fn put_idle(store: &Store, key: u64, idle: Duration, ttl: Option<Duration>) -> Arc<Entry<u8>> {
    let idle_ms = Some(idle.as_millis() as u64);
    let detail = Detail { idle_ms, ..Detail::default() };
    let entry = Entry::new(0, Sequence(1), 0, Dates::lasting(0, ttl)).with_detail(detail);
    let entry = Arc::new(entry);
    store.insert(Scoped { tenant: 0, key }, Arc::clone(&entry), &mut Leaving::default());
    entry
}

#[test]
fn an_idle_entry_that_is_read_to_the_end_of_its_life_leaves_then() {
    for kind in one_of_each_kind() {
        let store = store(&kind);
        put_idle(&store, 1, secs(60), Some(secs(100))).touch(50_000);
        turn_all(&store, 57_300);
        turn_all(&store, 99_999);
        assert!(has(&store, 1));
        turn_all(&store, 100_000);
        assert!(!has(&store, 1));
        assert_eq!(store.stats().expirations, 1);
    }
}

#[test]
fn sifting_leaves_what_a_read_moved() {
    for kind in one_of_each_kind() {
        let mut config = StoreConfig::new(Capacity::entries(1_000_000));
        config.shards = Some(1);
        let store: Store = kind.open(config);
        for key in 0..100 {
            put_idle(&store, key, mins(10), None).touch(300_000);
        }
        for _ in 0..1_000 {
            put(&store, 1_000, 300_000, Some(hours(1)));
        }
        turn_all(&store, 300_001);
        turn_all(&store, 899_999);
        assert_eq!(store.len(), 101);
        turn_all(&store, 900_064);
        assert_eq!(store.len(), 1);
    }
}

#[test]
fn one_turn_is_bounded_and_what_is_left_follows() {
    for kind in one_of_each_kind() {
        let store = store(&kind);
        for key in 0..50_000 {
            put(&store, key, 0, Some(secs(1)));
        }
        store.turn(2_000, &mut Leaving::default());
        let after_one = store.len();
        assert!(after_one >= 50_000 - 5_000, "{} left in one turn", 50_000 - after_one);
        let turns = turn_all(&store, 2_000);
        assert!(store.is_empty());
        assert!(turns <= 20, "{turns} turns");
        assert_eq!(store.stats().expirations, 50_000);
    }
}

#[test]
fn a_value_that_left_is_not_kept_alive_by_its_date() {
    for kind in one_of_each_kind() {
        let store = kind.open::<u64, Arc<()>>(StoreConfig::new(Capacity::entries(100)));
        let value = Arc::new(());
        let dates = Dates::lasting(0, Some(hours(1)));
        for key in 0..10_000 {
            let entry = Arc::new(Entry::new(Arc::clone(&value), Sequence(1), 0, dates));
            store.insert(Scoped { tenant: 0, key }, entry, &mut Leaving::default());
        }
        assert_eq!(Arc::strong_count(&value), 1 + store.len());
    }
}
