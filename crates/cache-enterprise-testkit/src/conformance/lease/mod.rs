//! The contract of [`Lease`] as named cases.
//!
//! Each case has a backend of its own with the leases of two processes on it.
//!
//! ```
//! use std::sync::Arc;
//! use cache_enterprise_testkit::coherence::SharedLeases;
//! use cache_enterprise_testkit::conformance::lease::{self, Fixture};
//! use cache_enterprise_testkit::{Clock, ModelBackend};
//!
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let report = lease::run(|| async {
//!     let clock = Clock::manual();
//!     let tier = Arc::new(ModelBackend::new(clock.clone()));
//!     let leases = SharedLeases::new(tier.clone(), clock.clone());
//!     Fixture::new(tier, Arc::new(leases.clone()), Arc::new(leases)).clock(clock)
//! })
//! .await;
//! report.assert_passed();
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

mod batches;
mod fixture;
mod holders;
mod puts;
mod refusals;

use std::future::Future;

use super::case::{self, Failure, cases, run_task};
use super::{Outcome, Report};
use crate::Seed;

pub use fixture::Fixture;

#[cfg(doc)]
use cache_enterprise_core::coherence::Lease;

/// Seed of the suite when `CE_SEED` is not set.
const DEFAULT_SEED: u64 = 0x1ea5e;

/// What a case needs of its fixture.
#[derive(Clone, Copy, Debug)]
enum Need {
    /// A backend that compares versions.
    Fence,
    /// A backend whose values have a limit.
    ValueLimit,
    /// A clock that is moved by hand.
    ManualTime,
}

impl Need {
    /// The word for it where the fixture does not have it.
    fn missing(self, fixture: &Fixture) -> Option<&'static str> {
        let capabilities = fixture.backend.capabilities();
        let (has, name) = match self {
            Self::Fence => (capabilities.fence, "fence"),
            Self::ValueLimit => (capabilities.value_bytes_max.is_some(), "value_bytes_max"),
            Self::ManualTime => (fixture.has_manual_time(), "clock"),
        };
        (!has).then_some(name)
    }
}

/// One case of this suite.
type Case = case::Case<Fixture, Need>;

const THEMES: &[&[Case]] = &[holders::CASES, puts::CASES, batches::CASES, refusals::CASES];

/// Runs every case against leases of its own, which `make` gives. Needs a tokio runtime with time
/// enabled.
pub async fn run<M, F>(make: M) -> Report
where
    M: Fn() -> F,
    F: Future<Output = Fixture>,
{
    let seed = Seed::from_env_or(DEFAULT_SEED);
    let mut report = None;
    for case in THEMES.iter().copied().flatten() {
        let fixture = make().await;
        let name = fixture.backend.name().to_owned();
        let report = report.get_or_insert_with(|| Report::new("lease", name, seed));
        report.add(case.name, run_task(check(case, fixture)).await);
    }
    report.expect("there are cases")
}

async fn check(case: &'static Case, fixture: Fixture) -> Result<Outcome, Failure> {
    if let Some(missing) = case.needs.iter().find_map(|need| need.missing(&fixture)) {
        return Ok(Outcome::NotTried(missing));
    }
    (case.run)(fixture).await?;
    Ok(Outcome::Passed)
}
