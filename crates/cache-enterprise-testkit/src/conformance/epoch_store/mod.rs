//! The contract of [`EpochStore`] as named cases.
//!
//! What counts is the *effective* epoch of a target: the highest of its own, the tenant's, the
//! one of everything, and the floor. A store may answer higher than needed, which costs loads; it
//! may never answer lower, which would serve what was invalidated.
//!
//! ```no_run
//! use std::sync::Arc;
//! use cache_enterprise_core::coherence::EpochStore;
//! use cache_enterprise_testkit::conformance::epoch_store::{self, Fixture};
//!
//! # async fn check<S: EpochStore>(open: fn(u32) -> S) {
//! // `open` opens the store of a directory; the same one again after a crash.
//! let directory = std::sync::atomic::AtomicU32::new(0);
//! let report = epoch_store::run(|| {
//!     let number = directory.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
//!     async move {
//!         Fixture::new(Arc::new(open(number)))
//!             .reopen(move || async move { Arc::new(open(number)) as _ })
//!     }
//! })
//! .await;
//! report.assert_passed();
//! # }
//! ```

mod crashes;
mod fixture;
mod numbers;
mod records;
mod targets;

use std::future::Future;
use std::pin::Pin;

use cache_enterprise_core::coherence::Sequence;

use super::case::{Verdict, run_task};
use super::{Outcome, Report};
use crate::Seed;

pub use fixture::Fixture;

#[cfg(doc)]
use cache_enterprise_core::coherence::EpochStore;

/// Seed of the suite when `CE_SEED` is not set.
const DEFAULT_SEED: u64 = 0xe70c;
/// Above every number of a counter that starts at today's wall time.
const FAR: Sequence = Sequence(1 << 60);

type CaseFuture = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// One case; `crashes` says whether it opens the store again.
struct Case {
    name: &'static str,
    crashes: bool,
    run: fn(Fixture) -> CaseFuture,
}

/// A table of cases from functions.
macro_rules! cases {
    (crashes $crashes:literal => [$($name:ident),* $(,)?]) => {
        pub(super) const CASES: &[super::Case] = &[$(
            super::Case {
                name: stringify!($name),
                crashes: $crashes,
                run: |fixture| Box::pin($name(fixture)),
            },
        )*];
    };
}
use cases;

const THEMES: &[&[Case]] = &[numbers::CASES, targets::CASES, crashes::CASES];

/// Runs every case against a store of its own, which `make` gives. Needs a tokio runtime with
/// time enabled.
pub async fn run<M, F>(make: M) -> Report
where
    M: Fn() -> F,
    F: Future<Output = Fixture>,
{
    let seed = Seed::from_env_or(DEFAULT_SEED);
    let mut report = Report::new("epoch store", String::from("store"), seed);
    for case in THEMES.iter().copied().flatten() {
        let fixture = make().await;
        if case.crashes && fixture.reopen.is_none() {
            report.add(case.name, Outcome::NotClaimed("reopen"));
            continue;
        }
        let checked = async move { (case.run)(fixture).await.map(|()| Outcome::Passed) };
        report.add(case.name, run_task(checked).await);
    }
    report
}
