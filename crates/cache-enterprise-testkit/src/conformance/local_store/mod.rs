//! The contract of [`LocalStore`] as named cases.
//!
//! ```no_run
//! use cache_enterprise_core::{Capacity, LocalStore};
//! use cache_enterprise_testkit::conformance::local_store;
//!
//! fn check<S: LocalStore<String, Vec<u8>>>(open: impl Fn(Capacity) -> S) {
//!     local_store::run("mine", open).assert_passed();
//! }
//! ```

mod basics;
mod capacity;
mod concurrency;
mod lives;
mod subject;

use cache_enterprise_core::{Capacity, LocalStore};

use super::Report;
use super::case::{Verdict, run_here};
use crate::Seed;
use subject::Subject;

/// Seed of the suite when `CE_SEED` is not set.
const DEFAULT_SEED: u64 = 0x10ca1;

/// The stores under test: text keys, bytes as values.
trait Store: LocalStore<String, Vec<u8>> {}

impl<S: LocalStore<String, Vec<u8>>> Store for S {}

type Case<S> = (&'static str, fn(&Subject<'_, S>) -> Verdict);

/// The cases of a theme, as a function: they are generic over the store.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(super) fn cases<S: super::Store>() -> Vec<super::Case<S>> {
            vec![$((stringify!($name), $name)),*]
        }
    };
}
use cases;

/// Runs every case; `open` gives an empty store of the capacity that the case asks for.
///
/// Entries carry the weight that the case gives them: the store counts that and nothing else.
pub fn run<S, M>(name: &str, open: M) -> Report
where
    S: LocalStore<String, Vec<u8>>,
    M: Fn(Capacity) -> S,
{
    run_where(name, |_| true, false, open)
}

/// As [`run`], for a store that may refuse a newcomer because it finds what it holds worth more.
/// What it refuses must leave no trace; what it takes is held to every rule.
pub fn run_selective<S, M>(name: &str, open: M) -> Report
where
    S: LocalStore<String, Vec<u8>>,
    M: Fn(Capacity) -> S,
{
    run_where(name, |_| true, true, open)
}

/// Runs the one case called `case`, for a look at a failure.
///
/// # Panics
/// When there is no such case.
pub fn run_case<S, M>(name: &str, case: &str, open: M) -> Report
where
    S: LocalStore<String, Vec<u8>>,
    M: Fn(Capacity) -> S,
{
    run_one(name, case, false, open)
}

/// As [`run_case`], by the rules of [`run_selective`].
///
/// # Panics
/// When there is no such case.
pub fn run_selective_case<S, M>(name: &str, case: &str, open: M) -> Report
where
    S: LocalStore<String, Vec<u8>>,
    M: Fn(Capacity) -> S,
{
    run_one(name, case, true, open)
}

fn run_one<S, M>(name: &str, case: &str, is_selective: bool, open: M) -> Report
where
    S: LocalStore<String, Vec<u8>>,
    M: Fn(Capacity) -> S,
{
    let report = run_where(name, |known| known == case, is_selective, open);
    assert!(!report.results().is_empty(), "there is no case called {case}");
    report
}

fn run_where<S, M>(name: &str, wanted: impl Fn(&str) -> bool, is_selective: bool, open: M) -> Report
where
    S: LocalStore<String, Vec<u8>>,
    M: Fn(Capacity) -> S,
{
    let seed = Seed::from_env_or(DEFAULT_SEED);
    let mut report = Report::new("local store", name.to_owned(), seed);
    let themes = [basics::cases::<S>(), capacity::cases(), lives::cases(), concurrency::cases()];
    for (name, case) in themes.into_iter().flatten().filter(|(name, _)| wanted(name)) {
        let subject = Subject { open: &open, seed: seed.part(name), is_selective };
        report.add(name, run_here(|| case(&subject)));
    }
    report
}
