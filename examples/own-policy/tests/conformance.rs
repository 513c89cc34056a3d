//! The whole store suite under the policy, and what the policy is for.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::{
    Capacity, Dates, Entry, LocalStore, Scoped, ScopedRef, Sequence, SetOutcome,
};
use cache_enterprise_memory::{Leaving, PolicyStore, StoreConfig};
use cache_enterprise_testkit::conformance::local_store;
use own_policy::BulkyFirst;

#[test]
fn the_store_passes_its_suite_under_the_policy() {
    let open = |capacity| PolicyStore::new(StoreConfig::new(capacity), &BulkyFirst);
    let report = local_store::run("bulky-first", open);
    report.assert_passed();
    assert!(report.ran() >= 50, "{report}");
}

fn store() -> PolicyStore<u64, ()> {
    PolicyStore::new(StoreConfig::new(Capacity::bytes(100)), &BulkyFirst)
}

fn put(store: &PolicyStore<u64, ()>, key: u64, weight: usize) {
    let entry = Entry::new((), Sequence(1), 0, Dates::lasting(0, None)).with_weight(weight);
    let scoped = Scoped { tenant: 0, key };
    let outcome = store.insert(scoped, Arc::new(entry), &mut Leaving::default());
    assert_eq!(outcome, SetOutcome::Stored);
}

fn held(store: &PolicyStore<u64, ()>, key: u64) -> bool {
    store.contains(&ScopedRef { tenant: 0, key: &key })
}

#[test]
fn the_heaviest_of_those_not_hit_leaves() {
    let store = store();
    for (key, weight) in [(1, 25), (2, 10), (3, 15), (4, 25), (5, 25)] {
        put(&store, key, weight);
    }
    store.get(&ScopedRef { tenant: 0, key: &4 }).unwrap();
    store.get(&ScopedRef { tenant: 0, key: &1 }).unwrap();
    put(&store, 6, 10);
    let left = [1, 2, 3, 4, 5, 6].map(|key| held(&store, key));
    assert_eq!(left, [true, true, true, true, false, true]);
}

#[test]
fn of_those_equally_heavy_the_one_longest_there_leaves() {
    let store = store();
    for key in 0..20 {
        put(&store, key, 10);
        let oldest = key.saturating_sub(9);
        let left: Vec<u64> = (0..=key).filter(|key| held(&store, *key)).collect();
        assert_eq!(left, (oldest..=key).collect::<Vec<_>>());
    }
}
