//! The one error of these tasks: a sentence for the person at the terminal.

use std::fmt;

/// What every task returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a task stopped. It is printed once, by `main`.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure that says `message`.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Failure(message.into())
    }

    /// A failure of `attempt` because of `cause`; made for `map_err`.
    pub(crate) fn of<E: fmt::Display>(attempt: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |cause| Failure(format!("{attempt}: {cause}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
