//! What a turn of time drops, and what it leaves.

use std::sync::Arc;

use cache_enterprise_core::{Dates, Detail, days, ms, secs};

use super::subject::{StoreExt, Subject, dated, entry, key, plain};
use super::{Store, cases};
use crate::conformance::case::{Verdict, ensure, ensure_eq};

cases![
    a_turn_leaves_what_lives,
    a_turn_drops_what_has_expired,
    a_turn_gives_weight_back_and_counts,
    a_turn_over_many_days_works,
    a_turn_in_small_steps_drops_each_in_time,
    an_endless_entry_survives_every_turn,
    a_stale_entry_stays_until_it_expires,
    a_replacement_with_a_longer_life_survives_the_older_date,
    a_replacement_with_a_shorter_life_ends_sooner,
    a_removed_entry_is_not_expired_later,
    an_entry_put_again_after_a_turn_lives,
    an_idle_entry_is_dropped_and_a_read_one_stays,
    a_turn_releases_what_it_drops,
];

/// A turn may drop an entry this many milliseconds late: reads check the date anyway.
const LATE: u64 = 5_000;

fn lasting(created: u64, ttl_ms: u64) -> Dates {
    Dates::lasting(created, Some(ms(ttl_ms)))
}

fn a_turn_leaves_what_lives<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for ttl in [2, 64, 1_000, 60_000, 86_400_000, 40 * 86_400_000] {
        let name = format!("life-{ttl}");
        store.set(&name, dated(ttl, lasting(0, ttl)));
        store.turn_to(ttl - 1);
        ensure_eq!(store.find(&name), Some(ttl), "{name} a millisecond before its end");
    }
    Ok(())
}

fn a_turn_drops_what_has_expired<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for ttl in [1, 2, 63, 64, 65, 1_000, 4_095, 4_096, 60_000, 86_400_000] {
        store.set(&format!("life-{ttl}"), dated(ttl, lasting(0, ttl)));
    }
    store.turn_to(86_400_000 + LATE);
    ensure_eq!(store.counted(), (0, 0), "entries left after the longest life");
    store.expect_exact()
}

fn a_turn_gives_weight_back_and_counts<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for number in 0..500 {
        store.set(&format!("short-{number}"), dated(number, lasting(0, 1_000)));
        store.set(&format!("long-{number}"), dated(number, lasting(0, 3_600_000)));
    }
    store.turn_to(1_000 + LATE);
    let stats = store.stats();
    ensure_eq!((stats.entries, stats.weight), (500, 50_000), "entries and weight left");
    ensure_eq!((stats.expirations, stats.evictions), (500, 0), "expirations and evictions");
    Ok(())
}

fn a_turn_over_many_days_works<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    let day = 86_400_000;
    for age in [1, 29, 31, 364, 366] {
        store.set(&format!("days-{age}"), dated(age, Dates::lasting(0, Some(days(age)))));
    }
    for now in [30, 365] {
        store.turn_to(now * day);
        for age in [1, 29, 31, 364, 366] {
            let is_left = store.find(&format!("days-{age}")).is_some();
            ensure_eq!(is_left, age > now, "an entry of {age} days after {now} is left");
        }
    }
    Ok(())
}

fn a_turn_in_small_steps_drops_each_in_time<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for ttl in 1..=300 {
        store.set(&format!("life-{ttl}"), dated(ttl, lasting(0, ttl * 100)));
    }
    for now in (0..=30_000 + LATE).step_by(50) {
        store.turn(now, &mut S::Leaving::default());
        let (left, _) = store.counted();
        let alive = 300 - (now / 100).min(300);
        let late = 300 - (now.saturating_sub(LATE) / 100).min(300);
        ensure!((alive..=late).contains(&left), "{left} entries at {now}, {alive} alive");
    }
    ensure_eq!(store.counted(), (0, 0), "entries left");
    Ok(())
}

fn an_endless_entry_survives_every_turn<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    store.set("endless", entry(1, 100));
    for now in [1, 1_000, 86_400_000, 365 * 86_400_000, 1 << 50] {
        store.turn_to(now);
        ensure_eq!(store.find("endless"), Some(1), "an endless entry at {now}");
    }
    Ok(())
}

fn a_stale_entry_stays_until_it_expires<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    store.set("stale", dated(1, Dates { created: 0, fresh_until: 1_000, expires: 600_000 }));
    store.turn_to(599_999);
    ensure_eq!(store.find("stale"), Some(1), "a stale entry");
    store.turn_to(600_000 + LATE);
    ensure_eq!(store.find("stale"), None, "an expired entry");
    Ok(())
}

fn a_replacement_with_a_longer_life_survives_the_older_date<S: Store>(
    subject: &Subject<'_, S>,
) -> Verdict {
    let store = subject.roomy();
    store.set("ada", dated(1, lasting(0, 1_000)));
    store.set("ada", dated(2, lasting(0, 3_600_000)));
    store.set("grace", dated(3, lasting(0, 1_000)));
    store.set("grace", entry(4, 100));
    store.turn_to(1_000 + LATE);
    ensure_eq!((store.find("ada"), store.find("grace")), (Some(2), Some(4)), "replacements");
    store.expect_exact()
}

fn a_replacement_with_a_shorter_life_ends_sooner<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    store.set("ada", dated(1, lasting(0, 3_600_000)));
    store.set("ada", dated(2, lasting(0, 1_000)));
    store.turn_to(1_000 + LATE);
    ensure_eq!(store.find("ada"), None, "the shorter life");
    Ok(())
}

fn a_removed_entry_is_not_expired_later<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    store.set("ada", dated(1, lasting(0, 1_000)));
    store.take("ada");
    store.turn_to(1_000 + LATE);
    ensure_eq!(store.stats().expirations, 0, "expirations");
    store.expect_exact()
}

fn an_entry_put_again_after_a_turn_lives<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    let mut now = 0;
    for round in 0..20 {
        store.set_stored("ada", dated(round, lasting(now, 1_000)))?;
        store.turn_to(now + 999);
        ensure_eq!(store.find("ada"), Some(round), "a life that goes on in round {round}");
        now += 1_000 + LATE;
        store.turn_to(now);
        ensure_eq!(store.find("ada"), None, "a life that ended in round {round}");
    }
    Ok(())
}

fn an_idle_entry_is_dropped_and_a_read_one_stays<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for name in ["read", "unread"] {
        let detail = Detail { idle_ms: Some(10_000), ..Detail::default() };
        let dates = Dates::lasting(0, Some(secs(3_600)));
        let idle = plain(1, dates).with_weight(100).with_detail(detail);
        store.set(name, Arc::new(idle));
    }
    for now in (1_000..=40_000).step_by(1_000) {
        if let Some(read) = store.get(&key(0, "read")) {
            read.touch(now);
        }
        store.turn_to(now);
    }
    ensure_eq!(store.find("read"), Some(1), "an entry that is read each second");
    ensure_eq!(store.find("unread"), None, "an entry that nobody read");
    Ok(())
}

fn a_turn_releases_what_it_drops<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    let held = dated(1, lasting(0, 1_000));
    store.set("ada", Arc::clone(&held));
    store.turn_to(1_000 + LATE);
    ensure_eq!(Arc::strong_count(&held), 1, "holders of the expired entry");
    ensure!(store.find("ada").is_none(), "the expired entry is found");
    Ok(())
}
