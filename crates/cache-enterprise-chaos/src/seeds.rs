//! Seeds, one after the other or on several threads.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use cache_enterprise_testkit::simulation::{Plan, Report, play};

use crate::Engine;

/// What many seeds came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Seeds that were played.
    pub schedules: u64,
    /// Seeds whose run broke a promise.
    pub violations: u64,
    /// Calls to processes.
    pub operations: u64,
    /// Faults.
    pub faults: u64,
    /// Hard invalidations that met a load.
    pub raced: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.violations += other.violations;
        self.operations += other.operations;
        self.faults += other.faults;
        self.raced += other.raced;
    }

    /// Adds what one seed came to.
    pub fn note(&mut self, report: &Report) {
        self.add(Self {
            schedules: 1,
            violations: u64::from(!report.violations.is_empty()),
            operations: report.operations,
            faults: report.faults,
            raced: report.raced,
        });
    }
}

/// Plays the plan of one seed, and writes its story where one is wanted.
///
/// # Panics
/// When the operating system gives no runtime.
pub fn run(seed: u64, is_told: bool) -> Report {
    run_plan(&Plan::draw(seed), is_told)
}

/// Plays a plan; as [`run`].
///
/// # Panics
/// As [`run`].
pub fn run_plan(plan: &Plan, is_told: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of this thread alone needs nothing from outside");
    runtime.block_on(play(plan, Arc::new(Engine), is_told))
}

/// Plays the plans of `seeds` on `threads` threads; `tell` hears of each that broke a promise,
/// and says whether to go on.
pub fn run_all(
    seeds: Range<u64>,
    threads: usize,
    draw: impl Fn(u64) -> Plan + Sync,
    tell: impl Fn(u64, &Report) -> bool + Sync,
) -> Tally {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return tally;
            }
            let report = run_plan(&draw(seed), false);
            tally.note(&report);
            if !report.violations.is_empty() && !tell(seed, &report) {
                next.store(seeds.end, Ordering::Relaxed);
            }
        }
    };
    let mut all = Tally::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            all.add(thread.join().expect("a seed's panics are caught in its run"));
        }
    });
    all
}
