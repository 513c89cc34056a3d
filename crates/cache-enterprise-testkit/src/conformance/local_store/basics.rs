//! Insert, get, peek, remove, retain, for_each.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cache_enterprise_core::{Dates, RemovalCause, Scoped, ScopedRef, SetOutcome, StoreStats};
use rand::RngExt;

use super::subject::{StoreExt, Subject, dated, entry, key, number_of};
use super::{Store, cases};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases![
    a_missing_key_is_none,
    an_inserted_entry_is_found_by_get_and_peek,
    a_hit_shares_the_entry,
    an_insert_replaces,
    a_remove_hands_the_entry_out,
    a_second_remove_finds_nothing,
    tenants_do_not_share_keys,
    owned_and_borrowed_keys_find_the_same,
    get_does_not_judge_freshness,
    weights_are_counted_exactly,
    a_shared_entry_weighs_the_same_in_each_store,
    a_clear_leaves_nothing,
    retain_keeps_what_it_is_asked_to,
    for_each_visits_every_entry_once,
    what_left_is_released,
    a_new_store_is_empty,
    a_seeded_walk_answers_like_a_map,
];

fn a_missing_key_is_none<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    let at = ScopedRef { tenant: 0, key: "nobody" };
    ensure!(store.get(&at).is_none() && store.peek(&at).is_none(), "found under a missing key");
    ensure!(store.take("nobody").is_none(), "a missing key was removed");
    Ok(())
}

fn an_inserted_entry_is_found_by_get_and_peek<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    store.set_stored("ada", entry(1, 100))?;
    let peeked = store.peek(&ScopedRef { tenant: 0, key: "ada" });
    ensure_eq!(peeked.as_ref().and_then(number_of), Some(1), "peeked value");
    Ok(())
}

fn a_hit_shares_the_entry<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    let held = entry(1, 100);
    store.set("ada", Arc::clone(&held));
    let found = store.get(&ScopedRef { tenant: 0, key: "ada" });
    ensure!(found.is_some_and(|found| Arc::ptr_eq(&found, &held)), "a hit gives another entry");
    Ok(())
}

fn an_insert_replaces<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for (number, weight) in [(1, 100), (2, 5_000), (3, 10), (4, 10)] {
        store.set_stored("ada", entry(number, weight))?;
        ensure_eq!(store.counted(), (1, weight as u64), "what is left after a replacement");
        store.expect_exact()?;
    }
    Ok(())
}

fn a_remove_hands_the_entry_out<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    store.set_stored("ada", entry(1, 100))?;
    store.set_stored("grace", entry(2, 100))?;
    ensure_eq!(store.take("ada").as_ref().and_then(number_of), Some(1), "removed value");
    ensure_eq!((store.find("ada"), store.find("grace")), (None, Some(2)), "what is left");
    store.expect_exact()
}

fn a_second_remove_finds_nothing<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    store.set_stored("ada", entry(1, 100))?;
    ensure!(store.take("ada").is_some(), "the entry was there");
    ensure!(store.take("ada").is_none(), "the entry was removed twice");
    Ok(())
}

fn tenants_do_not_share_keys<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for tenant in [0, 1, 2, u32::MAX] {
        let number = u64::from(tenant);
        store.insert(key(tenant, "ada"), entry(number, 100), &mut S::Leaving::default());
    }
    for tenant in [0, 1, 2, u32::MAX] {
        ensure_eq!(store.find_of(tenant, "ada"), Some(tenant.into()), "entry of tenant {tenant}");
    }
    let at = ScopedRef { tenant: 1, key: "ada" };
    store.remove(&at, RemovalCause::Removed, &mut S::Leaving::default());
    let left = [0, 1, 2].map(|tenant| store.find_of(tenant, "ada"));
    ensure_eq!(left, [Some(0), None, Some(2)], "entries after one tenant's removal");
    Ok(())
}

fn owned_and_borrowed_keys_find_the_same<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for name in ["", "a", "ada lovelace of the analytical engine", "日本語"] {
        store.set_stored(name, entry(7, 100))?;
        ensure!(store.get(&key(0, name)).is_some(), "the owned key {name:?} finds nothing");
        ensure!(store.get(&key(1, name)).is_none(), "another tenant's key finds {name:?}");
    }
    Ok(())
}

fn get_does_not_judge_freshness<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    let long_ago = Dates { created: 0, fresh_until: 1, expires: 2 };
    store.set_stored("ada", dated(1, long_ago))
}

fn weights_are_counted_exactly<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    let mut rng = subject.seed.rng();
    for step in 0..2_000_u64 {
        let name = format!("key-{}", rng.random_range(0..200));
        if rng.random_bool(0.3) {
            store.take(&name);
        } else {
            store.set(&name, entry(step, rng.random_range(1..20_000)));
        }
        if step % 100 == 0 {
            store.expect_exact()?;
        }
    }
    store.expect_exact()?;
    store.clear();
    ensure_eq!((store.stats().entries, store.stats().weight), (0, 0), "after the clear");
    Ok(())
}

/// The weight is read from the entry: two stores that share an entry count the same.
fn a_shared_entry_weighs_the_same_in_each_store<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let (one, two) = (subject.roomy(), subject.roomy());
    let shared = entry(1, 12_345);
    one.set("ada", Arc::clone(&shared));
    two.set("ada", shared);
    ensure_eq!((one.stats().weight, two.stats().weight), (12_345, 12_345), "weights");
    one.take("ada");
    ensure_eq!((one.stats().weight, two.stats().weight), (0, 12_345), "after one removal");
    Ok(())
}

fn a_clear_leaves_nothing<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for number in 0..500 {
        store.set(&format!("key-{number}"), entry(number, 1 + number as usize));
    }
    store.clear();
    ensure_eq!(store.counted(), (0, 0), "entries left");
    ensure_eq!(store.find("key-7"), None, "an entry that was cleared");
    store.expect_exact()?;
    store.set_stored("key-7", entry(1, 100))
}

fn retain_keeps_what_it_is_asked_to<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for tenant in 0..4 {
        for number in 0..100 {
            let at = key(tenant, &format!("key-{number}"));
            store.insert(at, entry(number, 10), &mut S::Leaving::default());
        }
    }
    let keep = |key: &Scoped<String>, entry: &_| {
        key.tenant != 2 && number_of(entry).is_some_and(|number| number % 2 == 0)
    };
    store.retain(keep, RemovalCause::Invalidated, &mut S::Leaving::default());
    for tenant in 0..4 {
        for number in 0..100 {
            let is_kept = store.find_of(tenant, &format!("key-{number}")).is_some();
            ensure_eq!(is_kept, tenant != 2 && number % 2 == 0, "{tenant}/key-{number} kept");
        }
    }
    store.expect_exact()
}

fn for_each_visits_every_entry_once<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    let mut expected = BTreeSet::new();
    for number in 0..1_000 {
        let name = format!("key-{number}");
        store.set(&name, entry(number, 10));
        expected.insert((name, number));
    }
    let (mut visited, mut visits) = (BTreeSet::new(), 0);
    store.for_each(|key, entry| {
        visits += 1;
        visited.insert((key.key.clone(), number_of(entry).unwrap_or(u64::MAX)));
    });
    ensure_eq!(visits, 1_000, "visits");
    ensure!(visited == expected, "other entries were visited than were inserted");
    Ok(())
}

/// A store that forgets an entry's bytes in a queue of its own holds more than it says.
fn what_left_is_released<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    let removed = entry(1, 100);
    store.set("removed", Arc::clone(&removed));
    drop(store.take("removed"));
    let replaced = entry(2, 100);
    store.set("replaced", Arc::clone(&replaced));
    store.set("replaced", entry(3, 100));
    let cleared = entry(4, 100);
    store.set("cleared", Arc::clone(&cleared));
    store.clear();
    for (what, entry) in [("removed", removed), ("replaced", replaced), ("cleared", cleared)] {
        ensure_eq!(Arc::strong_count(&entry), 1, "holders of the entry that was {what}");
    }
    Ok(())
}

fn a_new_store_is_empty<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let stats = subject.bytes(1 << 20).stats();
    let expected = StoreStats { capacity: 1 << 20, ..StoreStats::default() };
    ensure_eq!(stats, expected, "numbers of a new store");
    Ok(())
}

fn a_seeded_walk_answers_like_a_map<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    let mut rng = subject.seed.rng();
    let mut map = HashMap::new();
    for step in 0..20_000_u64 {
        let name = format!("key-{}", rng.random_range(0..300));
        match rng.random_range(0..10) {
            0..3 => {
                let outcome = store.set(&name, entry(step, rng.random_range(1..1_000)));
                ensure_eq!(outcome, SetOutcome::Stored, "insert at step {step}");
                map.insert(name, step);
            }
            3 => {
                let removed = store.take(&name).as_ref().and_then(number_of);
                ensure_eq!(removed, map.remove(&name), "removal at step {step}");
            }
            _ => ensure_eq!(store.find(&name), map.get(&name).copied(), "read at step {step}"),
        }
    }
    ensure_eq!(store.stats().entries, map.len() as u64, "entries at the end");
    store.expect_exact()
}
