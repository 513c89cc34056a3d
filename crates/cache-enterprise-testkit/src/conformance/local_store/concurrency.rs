//! Many threads at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cache_enterprise_core::{Dates, RemovalCause, Scoped, SetOutcome, ms};
use rand::RngExt;

use super::subject::{StoreExt, Subject, dated, entry};
use super::{Store, cases};
use crate::Seed;
use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

cases![
    threads_leave_exact_sums,
    a_reader_never_sees_less_than_was_stored,
    of_many_removers_one_gets_the_entry,
    visits_and_turns_run_beside_writers,
    a_resize_beside_writers_ends_within_the_capacity,
];

/// Runs `work` on `count` threads; the first failure or panic ends the case.
fn at_once(count: u64, work: impl Fn(u64) -> Verdict + Sync) -> Verdict {
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..count).map(|worker| scope.spawn(move || work(worker))).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(verdict) => verdict,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// Tells those who go on until then that its holder is over, were it by a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Random inserts, removals and reads that keep each key's numbers multiples of its own.
fn churn<S: Store>(store: &S, seed: Seed, worker: u64, steps: u64) -> Verdict {
    let mut rng = seed.part(&worker.to_string()).rng();
    for step in 0..steps {
        let at = rng.random_range(1..200_u64);
        let name = format!("key-{at}");
        match rng.random_range(0..10) {
            0..4 => drop(store.set(&name, entry(at * step, rng.random_range(1..5_000)))),
            4 => drop(store.take(&name)),
            _ => {
                let found = store.find(&name);
                let is_own = found.is_none_or(|number| number % at == 0);
                ensure!(is_own, "{name} holds {found:?}, a value of another key");
            }
        }
    }
    Ok(())
}

fn threads_leave_exact_sums<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    for capacity in [64 << 20, 128 << 10] {
        let store = subject.bytes(capacity);
        let seed = subject.seed;
        at_once(4, |worker| churn(&store, seed, worker, 10_000))?;
        store.expect_exact()?;
        store.clear();
        let stats = store.stats();
        ensure_eq!((stats.entries, stats.weight), (0, 0), "after the clear");
    }
    Ok(())
}

fn a_reader_never_sees_less_than_was_stored<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    const LAST: u64 = 20_000;
    let store = subject.roomy();
    let (stored, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    store.set_stored("rising", entry(0, 100))?;
    at_once(4, |worker| {
        if worker == 0 {
            let _over = Over(&is_over);
            for number in 1..=LAST {
                let outcome = store.set("rising", entry(number, 100));
                stored.store(number, Ordering::Release);
                ensure_eq!(outcome, SetOutcome::Stored, "insert of {number}");
            }
            return Ok(());
        }
        loop {
            let is_last = is_over.load(Ordering::Acquire);
            let before = stored.load(Ordering::Acquire);
            let found = store.find("rising");
            ensure!(found.is_some_and(|number| number >= before), "{found:?} after {before}");
            if is_last {
                return Ok(());
            }
        }
    })
}

fn of_many_removers_one_gets_the_entry<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.roomy();
    for number in 0..2_000 {
        store.set(&format!("key-{number}"), entry(number, 10));
    }
    let removed = AtomicU64::new(0);
    at_once(4, |_| {
        for number in 0..2_000 {
            let found = store.take(&format!("key-{number}")).is_some();
            removed.fetch_add(u64::from(found), Ordering::Relaxed);
        }
        Ok(())
    })?;
    ensure_eq!(removed.load(Ordering::Relaxed), 2_000, "entries handed out");
    store.expect_exact()
}

fn visits_and_turns_run_beside_writers<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(1 << 20);
    let is_done = AtomicBool::new(false);
    let seed = subject.seed;
    at_once(4, |worker| match worker {
        0 | 1 => {
            let _over = Over(&is_done);
            churn(&store, seed, worker, 20_000)
        }
        2 => {
            for now in 0.. {
                let dates = Dates::lasting(now, Some(ms(5)));
                store.set(&format!("short-{}", now % 64), dated(now, dates));
                store.turn(now, &mut S::Leaving::default());
                if is_done.load(Ordering::Acquire) {
                    return Ok(());
                }
            }
            Err(Failure(String::from("the writers did not end")))
        }
        _ => {
            while !is_done.load(Ordering::Acquire) {
                store.counted();
                let keep = |key: &Scoped<String>, _: &_| key.key != "key-7";
                store.retain(keep, RemovalCause::Invalidated, &mut S::Leaving::default());
            }
            Ok(())
        }
    })?;
    store.expect_exact()
}

fn a_resize_beside_writers_ends_within_the_capacity<S: Store>(subject: &Subject<'_, S>) -> Verdict {
    let store = subject.bytes(1 << 20);
    let seed = subject.seed;
    at_once(4, |worker| {
        if worker == 3 {
            for round in 0..200 {
                let capacity = [1 << 20, 1 << 16, 1 << 18][round % 3];
                store.resize(capacity, &mut S::Leaving::default());
            }
            return Ok(());
        }
        churn(&store, seed, worker, 10_000)
    })?;
    store.resize(1 << 17, &mut S::Leaving::default());
    ensure_eq!(store.stats().capacity, 1 << 17, "capacity");
    store.expect_exact()
}
