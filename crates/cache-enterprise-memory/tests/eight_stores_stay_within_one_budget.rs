//! Stores filled at once stay within one budget, and capacity goes where it is wanted.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cache_enterprise_core::{
    Dates, Entry, KIB, LocalStore, MIB, Scoped, ScopedRef, Sequence, SetOutcome,
};
use cache_enterprise_memory::{Budget, Leaving, MemoryStore, Share, StoreConfig};

type Store = MemoryStore<u64, ()>;

const BYTES: u64 = 64 * MIB;

fn store(budget: &Budget) -> Arc<Store> {
    Arc::new(Store::new(StoreConfig::new(budget.capacity())))
}

fn put(store: &Store, key: u64, weight: u64) -> SetOutcome {
    let entry = Entry::new((), Sequence(1), 0, Dates::lasting(0, None));
    let entry = Arc::new(entry.with_weight(weight as usize));
    store.insert(Scoped { tenant: 0, key }, entry, &mut Leaving::default())
}

fn capacities(stores: &[Arc<Store>]) -> u64 {
    stores.iter().map(|store| store.stats().capacity).sum()
}

fn weights(stores: &[Arc<Store>]) -> u64 {
    stores.iter().map(|store| store.stats().weight).sum()
}

#[test]
fn eight_stores_filled_at_once_stay_within_the_budget() {
    let budget = Budget::new(BYTES);
    let stores: Vec<_> = (0..8).map(|_| store(&budget)).collect();
    let _memberships: Vec<_> = stores
        .iter()
        .map(|store| budget.join(Share::new("one of eight").floor(MIB), store).unwrap())
        .collect();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = stores
            .iter()
            .enumerate()
            .map(|(number, store)| {
                scope.spawn(move || {
                    for key in 0..60_000 {
                        let weight = 200 + key * 37 % (2_000 * (number as u64 + 1));
                        put(store, key, weight);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                budget.turn();
                assert!(weights(&stores) <= BYTES * 101 / 100);
                std::thread::yield_now();
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(capacities(&stores) <= BYTES);
    assert!(weights(&stores) <= BYTES);
    assert!(weights(&stores) >= BYTES * 9 / 10, "{} of {BYTES}", weights(&stores));
    assert!(stores.iter().all(|store| store.stats().capacity >= MIB), "a floor was broken");
}

#[test]
fn room_goes_from_the_idle_to_the_busy_and_back() {
    let budget = Budget::new(BYTES);
    let stores = [store(&budget), store(&budget)];
    let _memberships =
        stores.each_ref().map(|store| budget.join(Share::new("pair"), store).unwrap());
    let difference = stores[0].stats().capacity.abs_diff(stores[1].stats().capacity);
    assert!(difference <= 8, "{budget:?}");
    let mut next = 0;
    let mut press = |busy: usize| {
        for _ in 0..60 {
            (0..2_000).for_each(|_| {
                next += 1;
                put(&stores[busy], next, KIB);
            });
            budget.turn();
        }
    };
    press(0);
    assert!(stores[0].stats().capacity > BYTES * 9 / 10, "{budget:?}");
    press(1);
    // The first holds its entries still: what is used and not asked for is not taken whole.
    assert!(stores[1].stats().capacity > BYTES / 4, "{budget:?}");
    assert!(capacities(&stores) <= BYTES);
}

#[test]
fn a_quiet_budget_moves_nothing() {
    let budget = Budget::new(BYTES);
    let stores = [store(&budget), store(&budget), store(&budget)];
    let _memberships =
        stores.each_ref().map(|store| budget.join(Share::new("quiet"), store).unwrap());
    (0..1_000).for_each(|key| assert_eq!(put(&stores[0], key, KIB), SetOutcome::Stored));
    let before = stores.each_ref().map(|store| store.stats());
    (0..100).for_each(|_| budget.turn());
    assert_eq!(stores.each_ref().map(|store| store.stats()), before);
}

#[test]
fn a_tenant_keeps_its_floor_and_never_passes_its_ceiling() {
    let budget = Budget::new(BYTES);
    let shared = store(&budget);
    let _shared = budget.join(Share::new("shared"), &shared).unwrap();
    let acme = budget.group(Share::new("acme").floor(8 * MIB).ceiling(16 * MIB)).unwrap();
    let (users, pages) = (store(&budget), store(&budget));
    let _users = acme.join(Share::new("users"), &users).unwrap();
    let _pages = acme.join(Share::new("pages"), &pages).unwrap();
    let of_acme = || users.stats().capacity + pages.stats().capacity;
    assert!((8 * MIB..=16 * MIB).contains(&of_acme()), "{budget:?}");
    let mut next = 0;
    let mut flood = |stores: &[&Arc<Store>]| {
        for _ in 0..60 {
            for store in stores {
                (0..1_000).for_each(|_| {
                    next += 1;
                    put(store, next, KIB);
                });
            }
            budget.turn();
        }
    };
    flood(&[&shared]);
    assert!(of_acme() >= 8 * MIB, "{budget:?}");
    flood(&[&users, &pages]);
    assert!(of_acme() <= 16 * MIB, "{budget:?}");
    assert!(users.stats().weight + pages.stats().weight <= 16 * MIB);
    // A flood of the tenant took nothing from the others but what its ceiling allows.
    assert!(shared.stats().capacity >= 48 * MIB, "{budget:?}");
    drop(acme);
    assert!(of_acme() > 0, "the group lives while its stores do");
}

#[test]
fn a_store_that_leaves_gives_its_room_back() {
    let budget = Budget::new(BYTES);
    let (stays, leaves) = (store(&budget), store(&budget));
    let _stays = budget.join(Share::new("stays"), &stays).unwrap();
    let membership = budget.join(Share::new("leaves"), &leaves).unwrap();
    for key in 0..10_000 {
        put(&leaves, key, KIB);
    }
    drop(membership);
    assert_eq!((leaves.len(), leaves.stats().weight), (0, 0));
    assert_eq!(put(&leaves, 1, KIB), SetOutcome::Refused);
    assert_eq!(stays.stats().capacity, BYTES);
    assert!(stays.get(&ScopedRef { tenant: 0, key: &1 }).is_none());
}

#[test]
fn floors_that_do_not_fit_are_an_error() {
    let budget = Budget::new(BYTES);
    let (one, other) = (store(&budget), store(&budget));
    let _one = budget.join(Share::new("one").floor(BYTES / 2), &one).unwrap();
    assert!(budget.join(Share::new("other").floor(BYTES / 2 + 1), &other).is_err());
    assert!(budget.join(Share::new("other").floor(2).ceiling(1), &other).is_err());
    let group = budget.group(Share::new("acme").floor(BYTES / 4).ceiling(BYTES / 4)).unwrap();
    assert!(group.join(Share::new("other").floor(BYTES / 4 + 1), &other).is_err());
    assert!(group.join(Share::new("other").floor(BYTES / 4), &other).is_ok());
}
