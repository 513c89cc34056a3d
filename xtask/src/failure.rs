//! The one error of these tasks: a sentence for the person at the terminal.

use std::fmt;

/// What every task returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a task stopped. `main` prints it, unless the task already has.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    is_told: bool,
}

impl Failure {
    /// A failure that says `message`.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Failure { message: message.into(), is_told: false }
    }

    /// A failure of `attempt` because of `cause`; made for `map_err`.
    pub(crate) fn of<E: fmt::Display>(attempt: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |cause| Failure::new(format!("{attempt}: {cause}"))
    }

    /// Prints the failure now, for a task whose last line is something else.
    pub(crate) fn tell(self) -> Self {
        eprintln!("xtask: {self}");
        Failure { is_told: true, ..self }
    }

    /// Whether it has been printed.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
