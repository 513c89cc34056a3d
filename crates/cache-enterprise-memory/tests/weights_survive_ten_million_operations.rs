//! The sum of weights is exact after any history, and nothing is left after a clear.
#![allow(clippy::unwrap_used)]

mod strategies;

use std::collections::HashMap;
use std::sync::Arc;

use cache_enterprise_core::{
    Capacity, Dates, Entry, LocalStore, Priority, RemovalCause, Scoped, ScopedRef, Sequence,
    SetOutcome, ms,
};
use cache_enterprise_memory::{Leaving, Level1Store, StoreConfig};

use strategies::{Strategy, one_of_each_kind, shown};

const OPERATIONS: u64 = 10_000_000;
const THREADS: u64 = 4;
const KEYS: u64 = 2_000;
const CAPACITY: u64 = 1 << 20;

/// xorshift: a generator must not be the larger part of the test.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

fn entry(random: &mut Random, now: u64) -> Arc<Entry<u32>> {
    let weight = match random.below(200) {
        // Heavier than a quarter, up to a quarter, over the clamp, and small.
        0 => CAPACITY / 4 + 1 + random.below(1_000),
        1 => CAPACITY / 4 - random.below(1_000),
        2 | 3 => 16_000 + random.below(60_000),
        _ => random.below(2_000),
    };
    let priority = match random.below(400) {
        0 => Priority::Pinned,
        1..20 => Priority::Low,
        20..40 => Priority::High,
        _ => Priority::Normal,
    };
    let ttl = (random.below(3) == 0).then(|| ms(1 + random.below(5_000)));
    let entry = Entry::new(1, Sequence(1), 0, Dates::lasting(now, ttl));
    Arc::new(entry.with_weight(weight as usize).with_priority(priority))
}

fn step(store: &Level1Store<u64, u32>, random: &mut Random, time: u64) {
    let mut leaving = Leaving::default();
    let now = time / 20;
    let key = random.below(KEYS);
    match random.below(1_000_000) {
        0..20 => store.resize(CAPACITY / 4 + random.below(CAPACITY), &mut leaving),
        20..40 => {
            let limit = random.below(2_000) as u32;
            store.retain(|_, e| e.weight() > limit, RemovalCause::Invalidated, &mut leaving);
        }
        40..5_000 => store.turn(now, &mut leaving),
        5_000..400_000 => {
            store.insert(Scoped { tenant: 0, key }, entry(random, now), &mut leaving);
        }
        400_000..500_000 => {
            store.remove(&ScopedRef { tenant: 0, key: &key }, RemovalCause::Removed, &mut leaving);
        }
        _ => {
            store.get(&ScopedRef { tenant: 0, key: &key });
        }
    }
}

/// Each kind of store with each number of shards.
fn each_kind(shards: [usize; 3]) -> impl Iterator<Item = (Strategy, usize)> {
    let of_shards = move |shards| one_of_each_kind().into_iter().map(move |kind| (kind, shards));
    shards.into_iter().flat_map(of_shards)
}

/// The true sum, entry by entry.
fn sum_of_weights(store: &Level1Store<u64, u32>) -> u64 {
    shown(store).iter().map(|(_, entry)| u64::from(entry.weight()).max(1)).sum()
}

#[test]
fn weights_survive_ten_million_operations_and_end_at_zero() {
    let each = OPERATIONS.div_ceil(THREADS * each_kind([1, 8, 64]).count() as u64);
    for (strategy, shards) in each_kind([1, 8, 64]) {
        let mut config = StoreConfig::new(Capacity::bytes(CAPACITY));
        config.shards = Some(shards);
        config.estimated_items = Some(4_096);
        let store = strategy.open::<u64, u32>(config);
        assert_eq!(store.shards(), shards);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let store = &store;
                scope.spawn(move || {
                    let mut random = Random(0x9e37_79b9 + thread);
                    (0..each).for_each(|time| step(store, &mut random, time));
                });
            }
        });
        assert_eq!(
            store.stats().weight,
            sum_of_weights(&store),
            "{shards} shards of {}",
            strategy.name()
        );
        assert!(store.stats().evictions > 0 && store.stats().refusals > 0);
        assert!(store.stats().expirations > 0);
        store.retain(|_, _| false, RemovalCause::Removed, &mut Leaving::default());
        assert_eq!(
            (store.stats().weight, store.len()),
            (0, 0),
            "{shards} shards of {}",
            strategy.name()
        );
        assert_eq!(store.pinned_weight(), 0, "{shards} shards of {}", strategy.name());
    }
}

#[test]
fn the_sum_never_passes_the_capacity_and_every_outcome_is_true() {
    let mut random = Random(77);
    for (strategy, shards) in each_kind([1, 4, 64]) {
        let mut config = StoreConfig::new(Capacity::bytes(CAPACITY));
        config.shards = Some(shards);
        config.estimated_items = Some(4_096);
        let store = strategy.open::<u64, u32>(config);
        let mut newest = HashMap::new();
        for time in 0..60_000_u64 {
            let key = random.below(KEYS);
            let entry = entry(&mut random, time / 20);
            let is_pinned = entry.priority() == Priority::Pinned;
            if is_pinned && time % 5 != 0 {
                continue;
            }
            let mut leaving = Leaving::default();
            let scoped = Scoped { tenant: 0, key };
            let outcome = store.insert(scoped, Arc::clone(&entry), &mut leaving);
            let found = store.peek(&ScopedRef { tenant: 0, key: &key });
            match outcome {
                SetOutcome::Stored => assert!(Arc::ptr_eq(&found.unwrap(), &entry)),
                _ => assert!(found.is_none(), "an older value under a refused one"),
            }
            assert!(store.stats().weight <= CAPACITY, "over at {time} with {shards} shards");
            newest.insert(key, entry);
        }
        for (key, held) in shown(&store) {
            assert!(Arc::ptr_eq(&newest[&key.key], &held), "an older value came back");
        }
    }
}
