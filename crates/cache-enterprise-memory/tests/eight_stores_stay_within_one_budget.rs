//! Stores filled at once stay within one budget, and capacity goes where it is wanted.
#![allow(clippy::unwrap_used)]

mod strategies;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cache_enterprise_core::{
    Dates, Entry, KIB, LocalStore, MIB, Priority, RemovalCause, Scoped, ScopedRef, Sequence,
    SetOutcome,
};
use cache_enterprise_memory::{Budget, Leaving, Level1Store, Share, StoreConfig};

use strategies::one_of_each_kind;

type Store = Level1Store<u64, ()>;

const BYTES: u64 = 64 * MIB;

fn store(budget: &Budget) -> Arc<Store> {
    Arc::new(Store::new(StoreConfig::new(budget.capacity()), None))
}

fn put(store: &Store, key: u64, weight: u64) -> SetOutcome {
    let entry = Entry::new((), Sequence(1), 0, Dates::lasting(0, None));
    let entry = Arc::new(entry.with_weight(weight as usize));
    store.insert(Scoped { tenant: 0, key }, entry, &mut Leaving::default())
}

/// Puts so many new entries of 1 KiB, taken or refused.
fn press(store: &Store, round: u64, entries: u64) {
    for key in 0..entries {
        put(store, round << 32 | key, KIB);
    }
}

fn capacities(stores: &[Arc<Store>]) -> u64 {
    stores.iter().map(|store| store.stats().capacity).sum()
}

fn weights(stores: &[Arc<Store>]) -> u64 {
    stores.iter().map(|store| store.stats().weight).sum()
}

#[test]
fn eight_stores_filled_at_once_stay_within_the_budget() {
    for kind in one_of_each_kind() {
        let budget = Budget::new(BYTES);
        let open = || Arc::new(kind.open(StoreConfig::new(budget.capacity())));
        let stores: Vec<Arc<Store>> = (0..8).map(|_| open()).collect();
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
    let mut press = |busy: usize, turns: u64| {
        for _ in 0..turns {
            (0..2_000).for_each(|_| {
                next += 1;
                put(&stores[busy], next, KIB);
            });
            budget.turn();
        }
    };
    press(0, 60);
    assert!(stores[0].stats().capacity > BYTES * 9 / 10, "{budget:?}");
    // The first holds its entries still; what it evicts because it shrinks does not press.
    press(1, 120);
    assert!(stores[1].stats().capacity > BYTES * 3 / 4, "{budget:?}");
    assert!(stores[0].stats().capacity > BYTES / 20, "{budget:?}");
    assert!(capacities(&stores) <= BYTES);
}

#[test]
fn what_a_store_uses_is_taken_no_faster_than_another_evicts() {
    let budget = Budget::new(BYTES);
    let stores = [store(&budget), store(&budget)];
    let _memberships =
        stores.each_ref().map(|store| budget.join(Share::new("pair"), store).unwrap());
    for round in 0..2 {
        press(&stores[0], round, 70_000);
        budget.turn();
    }
    assert!(stores[0].stats().weight > BYTES * 4 / 5, "{budget:?}");
    let before = stores[0].stats().capacity;
    let mut evicted = 0;
    for turn in 0..50 {
        let so_far = stores[1].stats().evictions;
        (0..200)
            .for_each(|key| assert_eq!(put(&stores[1], turn << 32 | key, KIB), SetOutcome::Stored));
        evicted += stores[1].stats().evictions - so_far;
        budget.turn();
    }
    let taken = before - stores[0].stats().capacity;
    assert!(taken > 0, "{budget:?}");
    assert!(taken <= evicted * KIB, "{taken} taken, {evicted} evicted");
}

#[test]
fn a_store_that_starts_small_takes_little_and_grows() {
    let budget = Budget::new(BYTES);
    let (first, small) = (store(&budget), store(&budget));
    let _first = budget.join(Share::new("first"), &first).unwrap();
    press(&first, 0, 70_000);
    let before = first.stats().weight;
    let share = Share::new("small").start(BYTES / 64).ceiling(BYTES / 4);
    let _small = budget.join(share, &small).unwrap();
    assert!(small.stats().capacity <= BYTES / 64 && small.stats().capacity > 0, "{budget:?}");
    assert!(first.stats().weight >= before - before / 32, "{budget:?}");
    for turn in 0..100 {
        press(&small, turn, 1_000);
        budget.turn();
    }
    let grown = small.stats().capacity;
    assert!((BYTES / 5..=BYTES / 4).contains(&grown), "{budget:?}");
}

#[test]
fn a_store_whose_entries_are_refused_grows_until_they_are_not() {
    let budget = Budget::new(BYTES);
    let (busy, shrunk) = (store(&budget), store(&budget));
    let _memberships = [&busy, &shrunk].map(|s| budget.join(Share::new("pair"), s).unwrap());
    for turn in 0..100 {
        press(&busy, turn, 2_000);
        budget.turn();
    }
    let heavy = BYTES / 16;
    assert_eq!(put(&shrunk, 1, heavy), SetOutcome::Refused, "{budget:?}");
    let turns = (0..200).take_while(|turn| {
        budget.turn();
        put(&shrunk, 1 + turn, heavy) == SetOutcome::Refused
    });
    assert!(turns.count() < 200, "{budget:?}");
    assert!(capacities(&[busy, shrunk]) <= BYTES);
}

#[test]
fn pinned_entries_keep_their_room() {
    let budget = Budget::new(BYTES);
    let (pinned, busy) = (store(&budget), store(&budget));
    let _memberships = [&pinned, &busy].map(|s| budget.join(Share::new("pair"), s).unwrap());
    for key in 0..16 * KIB {
        let entry = Entry::new((), Sequence(1), 0, Dates::lasting(0, None));
        let entry = entry.with_weight(KIB as usize).with_priority(Priority::Pinned);
        let scoped = Scoped { tenant: 0, key };
        let outcome = pinned.insert(scoped, Arc::new(entry), &mut Leaving::default());
        assert_eq!(outcome, SetOutcome::Stored);
    }
    assert_eq!(pinned.pinned_weight(), 16 * MIB);
    for turn in 0..200 {
        press(&busy, turn, 2_000);
        budget.turn();
        let held = pinned.stats().weight + busy.stats().weight;
        assert!(held <= BYTES, "{held} after {turn}, {budget:?}");
    }
    let late = store(&budget);
    let _late = budget.join(Share::new("late"), &late).unwrap();
    assert!(pinned.stats().capacity >= 16 * MIB && pinned.len() == 16 * 1024, "{budget:?}");
    pinned.retain(|_, _| false, RemovalCause::Removed, &mut Leaving::default());
    assert_eq!(pinned.pinned_weight(), 0);
    for turn in 0..200 {
        press(&busy, 1_000 + turn, 2_000);
        budget.turn();
    }
    assert!(pinned.stats().capacity < 8 * MIB, "{budget:?}");
}

#[test]
fn a_group_takes_new_limits_at_once() {
    let budget = Budget::new(BYTES);
    let shared = store(&budget);
    let _shared = budget.join(Share::new("shared").floor(BYTES / 4), &shared).unwrap();
    let acme = budget.group(Share::new("acme").floor(MIB)).unwrap();
    let users = store(&budget);
    let _users = acme.join(Share::new("users").floor(MIB), &users).unwrap();
    acme.limit(Share::new("acme").ceiling(2 * MIB)).unwrap();
    assert!(users.stats().capacity <= 2 * MIB, "{budget:?}");
    // Limits that do not fit beside other floors, or under those within, change nothing.
    assert!(acme.limit(Share::new("acme").floor(BYTES / 4 * 3 + 1)).is_err());
    assert!(acme.limit(Share::new("acme").ceiling(MIB - 1)).is_err());
    assert!(users.stats().capacity <= 2 * MIB, "{budget:?}");
    acme.limit(Share::new("acme").floor(BYTES / 2)).unwrap();
    assert!(users.stats().capacity >= BYTES / 2, "{budget:?}");
    assert!(capacities(&[shared, users]) <= BYTES);
}

#[test]
fn a_store_that_floors_leave_nothing_has_nothing() {
    let budget = Budget::new(BYTES);
    let (all, none) = (store(&budget), store(&budget));
    let _all = budget.join(Share::new("all").floor(BYTES), &all).unwrap();
    let _none = budget.join(Share::new("none"), &none).unwrap();
    assert_eq!((all.stats().capacity, none.stats().capacity), (BYTES, 0));
    assert_eq!(put(&none, 1, KIB), SetOutcome::Refused);
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
