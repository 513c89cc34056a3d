//! The contract of [`Backend`] as named cases.
//!
//! ```
//! use cache_enterprise_testkit::conformance::backend::{self, Fixture};
//! use cache_enterprise_testkit::{Clock, ModelBackend};
//!
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let report = backend::run(|| async {
//!     let clock = Clock::manual();
//!     let tier = std::sync::Arc::new(ModelBackend::new(clock.clone()));
//!     let store = std::sync::Arc::clone(&tier);
//!     Fixture::new(tier)
//!         .clock(clock)
//!         .reopen(move || { let again = store.reopened(); async move { std::sync::Arc::new(again) as _ } })
//! })
//! .await;
//! report.assert_passed();
//! assert!(report.ran() >= 60);
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Run the suite on a runtime with several threads: on one thread the cases about concurrency
//! interleave only where the backend waits.

mod admin;
mod basics;
mod batches;
mod closing;
mod concurrency;
mod durability;
mod expiry;
mod faults;
mod fences;
mod fixture;
mod keys;
mod refusals;
mod subject;
mod swap;
mod touch;
mod values;

use std::future::Future;

use super::case::{self, Failure, cases, run_task};
use super::{Outcome, Report};
use crate::Seed;

pub use fixture::Fixture;
use subject::{Need, Subject};

#[cfg(doc)]
use cache_enterprise_core::Backend;

/// Seed of the suite when `CE_SEED` is not set.
const DEFAULT_SEED: u64 = 0x5eed;

/// One case of this suite.
type Case = case::Case<Subject, Need>;

const THEMES: &[&[Case]] = &[
    basics::CASES,
    keys::CASES,
    batches::CASES,
    expiry::CASES,
    touch::CASES,
    fences::CASES,
    refusals::CASES,
    swap::CASES,
    admin::CASES,
    concurrency::CASES,
    faults::CASES,
    closing::CASES,
    durability::CASES,
];

/// The names of all cases, in the order they run.
pub fn case_names() -> impl Iterator<Item = &'static str> {
    THEMES.iter().copied().flatten().map(|case| case.name)
}

/// Runs every case against a backend of its own, which `make` gives.
///
/// Must be called on a tokio runtime with time enabled. Each case runs in a task of its own with a
/// deadline of 60 s; a panic inside the backend fails that case and no other.
pub async fn run<M, F>(make: M) -> Report
where
    M: Fn() -> F,
    F: Future<Output = Fixture>,
{
    run_with(Seed::from_env_or(DEFAULT_SEED), |_| true, make).await
}

/// Runs the one case called `name`, for a look at a failure.
///
/// # Panics
/// When there is no such case.
pub async fn run_case<M, F>(name: &str, make: M) -> Report
where
    M: Fn() -> F,
    F: Future<Output = Fixture>,
{
    assert!(case_names().any(|known| known == name), "there is no case called {name}");
    run_with(Seed::from_env_or(DEFAULT_SEED), |case| case == name, make).await
}

async fn run_with<M, F>(seed: Seed, wanted: impl Fn(&str) -> bool, make: M) -> Report
where
    M: Fn() -> F,
    F: Future<Output = Fixture>,
{
    let mut report = None;
    for case in THEMES.iter().copied().flatten().filter(|case| wanted(case.name)) {
        let subject = Subject::new(make().await, seed.part(case.name));
        let report = report.get_or_insert_with(|| Report::new("backend", subject.name(), seed));
        report.add(case.name, run_task(check(case, subject)).await);
    }
    report.unwrap_or_else(|| Report::new("backend", String::from("nothing"), seed))
}

/// Runs the case, or checks the refusal of the first capability that is not claimed; then closes.
async fn check(case: &'static Case, subject: Subject) -> Result<Outcome, Failure> {
    // A case that reopens must be the only one to hold the first backend.
    let reopens = case.needs.iter().any(|need| matches!(need, Need::Durable));
    let held = (!reopens).then(|| subject.clone());
    let missing = case.needs.iter().find(|need| !need.is_claimed(&subject));
    let outcome = match missing {
        Some(need) => {
            need.check_refusal(&subject).await?;
            Outcome::NotClaimed(need.name())
        }
        None => {
            (case.run)(subject).await?;
            Outcome::Passed
        }
    };
    if let Some(subject) = held {
        subject.backend().close().await?;
    }
    Ok(outcome)
}
