//! The contract of [`Bus`] as named cases.
//!
//! Each case has a bus of its own with two ends, as of two processes. A bus may double, delay and
//! reorder; what it must not do is say that all is known while a frame is missing.
//!
//! ```
//! use std::sync::Arc;
//! use cache_enterprise_testkit::conformance::bus::{self, Fixture};
//! use cache_enterprise_testkit::coherence::{InProcessBus, Link};
//!
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let report = bus::run(|| async {
//!     let one = InProcessBus::new();
//!     let (two, log) = (one.another(), one.clone());
//!     let cut = two.clone();
//!     Fixture::new(Arc::new(one), Arc::new(two))
//!         .cut(move |is_cut| {
//!             cut.set(if is_cut { Link::Cut } else { Link::Whole });
//!             std::future::ready(())
//!         })
//!         .forget(move || { log.trim("suite", 0); std::future::ready(()) })
//! })
//! .await;
//! report.assert_passed();
//! assert_eq!(report.not_tried(), 0);
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

mod cuts;
mod ear;
mod fixture;
mod hearing;

use std::future::Future;

use super::case::{self, Failure, cases, run_task};
use super::{Outcome, Report};
use crate::Seed;

pub use fixture::Fixture;

#[cfg(doc)]
use cache_enterprise_core::coherence::Bus;

/// Seed of the suite when `CE_SEED` is not set.
const DEFAULT_SEED: u64 = 0xb05;
/// The manager of the cases.
const MANAGER: &str = "suite";

/// What a case needs of its fixture.
#[derive(Clone, Copy, Debug)]
enum Need {
    Cut,
    Forget,
}

impl Need {
    /// The word for it where the fixture does not have it.
    fn missing(self, fixture: &Fixture) -> Option<&'static str> {
        match self {
            Self::Cut => fixture.cut.is_none().then_some("cut"),
            Self::Forget => fixture.forget.is_none().then_some("forget"),
        }
    }
}

/// One case of this suite.
type Case = case::Case<Fixture, Need>;

const THEMES: &[&[Case]] = &[hearing::CASES, cuts::CASES];

/// Runs every case against a bus of its own, which `make` gives. Needs a tokio runtime with time
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
        let name = fixture.one.name().to_owned();
        let report = report.get_or_insert_with(|| Report::new("bus", name, seed));
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
