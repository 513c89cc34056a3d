//! Room: what is evicted, what is refused, what a resize does.

use std::sync::Arc;

use cache_enterprise_core::{Capacity, Dates, Priority, SetOutcome};
use rand::RngExt;

use super::subject::{StoreExt, Subject, entry, plain};
use super::{Store, cases};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases![
    the_capacity_is_never_passed,
    what_was_just_stored_is_found_under_pressure,
    an_eviction_is_counted_and_released,
    a_capacity_of_entries_counts_entries,
    an_entry_of_a_quarter_of_the_capacity_is_taken,
    an_entry_over_the_capacity_is_refused,
    a_refused_entry_leaves_nothing_older,
    a_refusal_leaves_other_entries,
    replacing_under_pressure_keeps_the_sum_exact,
    pinned_entries_outlive_pressure,
    a_removed_pin_gives_its_room_back,
    a_smaller_capacity_evicts_down_to_it,
    a_larger_capacity_holds_more,
    under_pressure_a_read_is_never_older,
    heavy_and_light_entries_share_the_room,
];

const CAPACITY: u64 = 1 << 20;

fn fill<S: Store>(store: &S, count: u64, weight: usize) {
    for number in 0..count {
        store.set(&format!("key-{number}"), entry(number, weight));
    }
}

fn the_capacity_is_never_passed<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    for number in 0..10_000 {
        store.set(&format!("key-{number}"), entry(number, 1_000));
        if number % 50 == 0 {
            store.expect_exact()?;
        }
    }
    let used = store.stats().weight;
    ensure!(used > CAPACITY / 2, "only {used} bytes of {CAPACITY} are used after ten times that");
    store.expect_exact()
}

fn what_was_just_stored_is_found_under_pressure<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    for number in 0..5_000 {
        subject.set_under_pressure(&store, &format!("key-{number}"), entry(number, 1_000))?;
    }
    Ok(())
}

fn an_eviction_is_counted_and_released<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    let entries: Vec<_> = (0..5_000).map(|number| entry(number, 1_000)).collect();
    for (number, entry) in entries.iter().enumerate() {
        store.set(&format!("key-{number}"), Arc::clone(entry));
    }
    let stats = store.stats();
    let accounted = stats.evictions + stats.refusals + stats.entries;
    ensure_eq!(accounted, 5_000, "entries evicted, refused and held");
    ensure!(subject.is_selective || stats.refusals == 0, "{} refusals", stats.refusals);
    let held = entries.iter().filter(|entry| Arc::strong_count(entry) > 1).count();
    ensure_eq!(held as u64, stats.entries, "entries that somebody still holds");
    Ok(())
}

fn a_capacity_of_entries_counts_entries<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = (subject.open)(Capacity::entries(1_000));
    fill(&store, 20_000, 1);
    let stats = store.stats();
    ensure_eq!(stats.capacity, 1_000, "capacity");
    ensure!((500..=1_000).contains(&stats.entries), "{} entries of 1000", stats.entries);
    ensure_eq!(stats.weight, stats.entries, "weight in entries");
    Ok(())
}

fn an_entry_of_a_quarter_of_the_capacity_is_taken<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    fill(&store, 2_000, 1_000);
    for number in 0..40 {
        let big = entry(number, CAPACITY as usize / 4);
        subject.set_under_pressure(&store, &format!("big-{number}"), big)?;
        store.expect_exact()?;
    }
    Ok(())
}

fn an_entry_over_the_capacity_is_refused<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    for weight in [CAPACITY as usize + 1, 10 * CAPACITY as usize, u32::MAX as usize] {
        let outcome = store.set("big", entry(1, weight));
        ensure_eq!(outcome, SetOutcome::Refused, "insert of weight {weight}");
        ensure_eq!(store.find("big"), None, "the refused entry");
    }
    ensure_eq!(store.stats().refusals, 3, "refusals");
    store.expect_exact()
}

fn a_refused_entry_leaves_nothing_older<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    store.set_stored("ada", entry(1, 100))?;
    ensure_eq!(store.set("ada", entry(2, 2 * CAPACITY as usize)), SetOutcome::Refused, "insert");
    ensure_eq!(store.find("ada"), None, "the older entry");
    store.expect_exact()
}

fn a_refusal_leaves_other_entries<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    fill(&store, 100, 100);
    store.set("big", entry(1, 2 * CAPACITY as usize));
    ensure_eq!(store.stats().entries, 100, "entries after a refusal");
    Ok(())
}

fn replacing_under_pressure_keeps_the_sum_exact<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    let mut rng = subject.seed.rng();
    for step in 0..20_000 {
        let name = format!("key-{}", rng.random_range(0..400));
        let heaviest = if step % 37 == 0 { CAPACITY as usize / 4 } else { 8_000 };
        store.set(&name, entry(step, rng.random_range(1..=heaviest)));
        if step % 500 == 0 {
            store.expect_exact()?;
        }
    }
    store.clear();
    ensure_eq!((store.stats().entries, store.stats().weight), (0, 0), "after the clear");
    Ok(())
}

fn pinned_entries_outlive_pressure<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    for number in 0..100 {
        let pinned = plain(number, Dates::lasting(0, None)).with_weight(2_000);
        let pinned = Arc::new(pinned.with_priority(Priority::Pinned));
        store.set_stored(&format!("pinned-{number}"), pinned)?;
    }
    fill(&store, 10_000, 1_000);
    for number in 0..100 {
        let found = store.find(&format!("pinned-{number}"));
        ensure_eq!(found, Some(number), "a pinned entry after pressure");
    }
    store.expect_exact()
}

fn a_removed_pin_gives_its_room_back<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    for round in 0..20 {
        for number in 0..10 {
            let pinned = plain(number, Dates::lasting(0, None)).with_weight(50_000);
            let pinned = Arc::new(pinned.with_priority(Priority::Pinned));
            store.set_stored(&format!("pinned-{round}-{number}"), pinned)?;
        }
        for number in 0..10 {
            let removed = store.take(&format!("pinned-{round}-{number}"));
            ensure!(removed.is_some(), "a pinned entry went missing in round {round}");
        }
    }
    ensure_eq!((store.stats().entries, store.stats().weight), (0, 0), "after all removals");
    Ok(())
}

fn a_smaller_capacity_evicts_down_to_it<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    fill(&store, 900, 1_000);
    store.resize(CAPACITY / 8, &mut S::Leaving::default());
    ensure_eq!(store.stats().capacity, CAPACITY / 8, "capacity");
    store.expect_exact()?;
    fill(&store, 900, 1_000);
    store.expect_exact()
}

fn a_larger_capacity_holds_more<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY / 8);
    fill(&store, 900, 1_000);
    store.resize(CAPACITY, &mut S::Leaving::default());
    fill(&store, 900, 1_000);
    let used = store.stats().weight;
    ensure!(used > CAPACITY / 2, "only {used} bytes of {CAPACITY} are used");
    store.expect_exact()
}

fn under_pressure_a_read_is_never_older<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY / 16);
    let mut rng = subject.seed.rng();
    let mut newest = vec![None; 300];
    for step in 0..30_000_u64 {
        let at = rng.random_range(0..newest.len());
        let name = format!("key-{at}");
        match rng.random_range(0..10) {
            0..4 => {
                store.set(&name, entry(step, rng.random_range(1..3_000)));
                newest[at] = Some(step);
            }
            4 => {
                store.take(&name);
                newest[at] = None;
            }
            _ => {
                let found = store.find(&name);
                let is_right = found.is_none() || found == newest[at];
                ensure!(is_right, "{name} holds {found:?}, set last to {:?}", newest[at]);
            }
        }
    }
    store.expect_exact()
}

fn heavy_and_light_entries_share_the_room<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(CAPACITY);
    let mut rng = subject.seed.rng();
    for step in 0..4_000 {
        let weight = if step % 10 == 0 { CAPACITY as usize / 5 } else { rng.random_range(1..500) };
        subject.set_under_pressure(&store, &format!("key-{step}"), entry(step, weight))?;
        store.expect_exact()?;
    }
    Ok(())
}
