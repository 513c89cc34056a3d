//! Two shards under one capacity, each evicting for its own newcomers and, where it has nothing
//! left, in the other: the sum is never above the capacity and exact at the end, no value is older
//! than the one that was stored last, and nobody waits for ever.
//!
//! Slips it finds: room is given back before the entry is out, or taken after the newcomer is in;
//! a shard evicts in the other while it holds its own lock.

use std::sync::Arc;

use cache_enterprise_core::{
    Capacity, Dates, Entry, LocalStore, RemovalCause, Scoped, ScopedRef, Sequence, SetOutcome,
};
use cache_enterprise_memory::{Leaving, PolicyStore, StoreConfig};
use cache_enterprise_strategies::eviction;
use shuttle::thread::scope;

use crate::explore;

const CAPACITY: u64 = 100;

type Store = PolicyStore<u64, u64>;

fn open(strategy: &str) -> Store {
    let mut config = StoreConfig::new(Capacity::bytes(CAPACITY));
    config.shards = Some(2);
    config.estimated_items = Some(64);
    let store = Store::new(config, &*eviction::resolve(strategy).unwrap());
    assert_eq!(store.shards(), 2);
    store
}

fn put(store: &Store, key: u64, value: u64) -> SetOutcome {
    let entry = Entry::new(value, Sequence(value), 0, Dates::lasting(0, None)).with_weight(25);
    let outcome = store.insert(Scoped { tenant: 0, key }, Arc::new(entry), &mut Leaving::default());
    assert!(store.stats().weight <= CAPACITY, "{} after an insert", store.stats().weight);
    outcome
}

fn play(strategy: &str) {
    let store = open(strategy);
    scope(|threads| {
        for first in [0, 4] {
            let store = &store;
            threads.spawn(move || {
                for value in 1..=2 {
                    (first..first + 4).for_each(|key| drop(put(store, key, value)));
                    store.get(&ScopedRef { tenant: 0, key: &first });
                }
            });
        }
        threads.spawn(|| {
            for key in [0, 5] {
                let at = ScopedRef { tenant: 0, key: &key };
                store.remove(&at, RemovalCause::Removed, &mut Leaving::default());
                store.turn(0, &mut Leaving::default());
            }
        });
    });
    let shown: Vec<_> = store.iter().collect();
    assert_eq!(store.stats().weight, shown.len() as u64 * 25);
    assert_eq!(store.stats().entries, shown.len() as u64);
    assert!(shown.iter().all(|(_, entry)| *entry.value() == 2), "an older value came back");
}

#[test]
fn under_a_policy_that_counts_hits() {
    explore(|| play("s3-fifo"));
}

#[test]
fn under_a_policy_that_lists_hits() {
    explore(|| play("lru"));
}
