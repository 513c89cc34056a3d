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
//!
//! A store that [is shared](EpochStore::is_shared) is asked by two clients, and about losses, where
//! its fixture says how.

mod crashes;
mod fixture;
mod losses;
mod marks;
mod numbers;
mod records;
mod shared;
mod targets;

use std::future::Future;

use cache_enterprise_core::coherence::Sequence;

use super::case::{self, Failure, cases, run_task};
use super::{Outcome, Report};
use crate::Seed;

pub use fixture::Fixture;

#[cfg(doc)]
use cache_enterprise_core::coherence::EpochStore;

/// Seed of the suite when `CE_SEED` is not set.
const DEFAULT_SEED: u64 = 0xe70c;
/// Above every number of a counter that starts at today's wall time.
const FAR: Sequence = Sequence(1 << 60);

/// What a case needs beyond a store.
#[derive(Clone, Copy, Debug)]
enum Need {
    /// Reservations, which nobody asks of a shared store.
    Private,
    Shared,
    Reopen,
    Another,
    Lose,
    Restart,
    SetBack,
}

impl Need {
    /// What becomes of the case where the fixture does not have it.
    fn missing(self, fixture: &Fixture) -> Option<Outcome> {
        let (has, outcome) = match self {
            Self::Private => (!fixture.store.is_shared(), Outcome::NotClaimed("private")),
            Self::Shared => (fixture.store.is_shared(), Outcome::NotClaimed("shared")),
            Self::Reopen => (fixture.reopen.is_some(), Outcome::NotTried("reopen")),
            Self::Another => (fixture.another.is_some(), Outcome::NotTried("another")),
            Self::Lose => (fixture.lose.is_some(), Outcome::NotTried("lose")),
            Self::Restart => (fixture.restart.is_some(), Outcome::NotTried("restart")),
            Self::SetBack => (fixture.set_back.is_some(), Outcome::NotTried("set_back")),
        };
        (!has).then_some(outcome)
    }
}

/// One case of this suite.
type Case = case::Case<Fixture, Need>;

const THEMES: &[&[Case]] =
    &[numbers::CASES, targets::CASES, crashes::CASES, shared::CASES, marks::CASES, losses::CASES];

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
        report.add(case.name, run_task(check(case, fixture)).await);
    }
    report
}

/// Runs the case; where it does not apply, what a store says that is not shared.
async fn check(case: &'static Case, fixture: Fixture) -> Result<Outcome, Failure> {
    if let Some(missing) = case.needs.iter().find_map(|need| need.missing(&fixture)) {
        if !fixture.store.is_shared() {
            shared::check_refusal(&*fixture.store).await?;
        }
        return Ok(missing);
    }
    (case.run)(fixture).await?;
    Ok(Outcome::Passed)
}
