//! How one case is run: its verdict, its deadline, its panics.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::time::Duration;

use cache_enterprise_core::Error;

use super::Outcome;

/// Longest time one asynchronous case may take; a subject that hangs fails by name.
const CASE_DEADLINE: Duration = Duration::from_secs(60);

/// Why a case failed.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// What a case ends with.
pub(crate) type Verdict = Result<(), Failure>;

/// An asynchronous case under way.
pub(crate) type CaseFuture = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// One asynchronous case of a suite: a sentence about the contract, the code that checks it on a
/// subject, and what it needs of that.
pub(crate) struct Case<S, N: 'static> {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [N],
    pub(crate) run: fn(S) -> CaseFuture,
}

/// A table of asynchronous cases from functions, by what they need; of the type that the module
/// above calls `Case`.
macro_rules! cases {
    ($(needs $needs:expr => [$($name:ident),* $(,)?])*) => {
        pub(super) const CASES: &[super::Case] = &[$($(
            super::Case {
                name: stringify!($name),
                needs: &$needs,
                run: |subject| Box::pin($name(subject)),
            },
        )*)*];
    };
    ($($name:ident),* $(,)?) => {
        cases! { needs [] => [$($name),*] }
    };
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("unexpected error: {error:?}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Ends the case unless the condition holds; the text says what was wrong.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::conformance::case::Failure(format!($($text)+)));
        }
    };
}

/// Ends the case unless both sides are equal; shows both after the text.
macro_rules! ensure_eq {
    ($left:expr, $right:expr, $($text:tt)+) => {
        match (&$left, &$right) {
            (left, right) if left != right => {
                let text = format!($($text)+);
                return Err($crate::conformance::case::Failure(
                    format!("{text}: found {left:?}, expected {right:?}"),
                ));
            }
            _ => {}
        }
    };
}

pub(crate) use {cases, ensure, ensure_eq};

/// Runs an asynchronous case in a task of its own: a panic or a hang fails this case alone.
pub(crate) async fn run_task<F>(case: F) -> Outcome
where
    F: Future<Output = Result<Outcome, Failure>> + Send + 'static,
{
    match tokio::spawn(tokio::time::timeout(CASE_DEADLINE, case)).await {
        Ok(Ok(Ok(outcome))) => outcome,
        Ok(Ok(Err(failure))) => Outcome::Failed(failure.0),
        Ok(Err(_)) => Outcome::Failed(format!("did not end within {CASE_DEADLINE:?}")),
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => Outcome::Failed(panic_text(&*panic)),
            Err(ended) => Outcome::Failed(ended.to_string()),
        },
    }
}

/// Runs a synchronous case on this thread; a panic fails this case alone.
pub(crate) fn run_here(case: impl FnOnce() -> Verdict) -> Outcome {
    match catch_unwind(AssertUnwindSafe(case)) {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(failure)) => Outcome::Failed(failure.0),
        Err(panic) => Outcome::Failed(panic_text(&*panic)),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("(no text)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_case_fails_alone() {
        let outcome = run_task(async { panic!("out of {}", "paper") }).await;
        assert_eq!(outcome, Outcome::Failed("panicked: out of paper".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_case_ends_at_its_deadline() {
        let outcome = run_task(std::future::pending()).await;
        assert_eq!(outcome, Outcome::Failed("did not end within 60s".into()));
    }

    #[test]
    fn an_unequal_pair_is_shown() {
        let outcome = run_here(|| {
            ensure_eq!(1 + 1, 3, "sum");
            Ok(())
        });
        assert_eq!(outcome, Outcome::Failed("sum: found 2, expected 3".into()));
    }
}
