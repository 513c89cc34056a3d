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

#[test]
fn the_heaviest_of_those_not_hit_leaves() {
    let store = PolicyStore::<u64, ()>::new(StoreConfig::new(Capacity::bytes(100)), &BulkyFirst);
    let put = |key, weight| {
        let entry = Entry::new((), Sequence(1), 0, Dates::lasting(0, None)).with_weight(weight);
        store.insert(Scoped { tenant: 0, key }, Arc::new(entry), &mut Leaving::default())
    };
    let held = |key| store.contains(&ScopedRef { tenant: 0, key: &key });
    for (key, weight) in [(1, 25), (2, 10), (3, 20), (4, 25), (5, 20)] {
        assert_eq!(put(key, weight), SetOutcome::Stored);
    }
    store.get(&ScopedRef { tenant: 0, key: &4 }).unwrap();
    store.get(&ScopedRef { tenant: 0, key: &1 }).unwrap();
    assert_eq!(put(6, 10), SetOutcome::Stored);
    assert_eq!([1, 2, 3, 4, 5, 6].map(held), [true, true, true, true, false, true]);
}
