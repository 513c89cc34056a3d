//! Why a command did not do what was asked, and the exit code that says so.

use std::fmt;
use std::io::ErrorKind;
use std::process::ExitCode;

use cache_enterprise_workload::TraceError;

/// One line for stderr and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// The machine or the cache failed: exit code 1.
    pub(crate) fn broken(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 1 }
    }

    /// What was given cannot be used: exit code 2, as for wrong arguments.
    pub(crate) fn input(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 2 }
    }

    /// What `error` is, at the place that it is about.
    pub(crate) fn at(place: &str, error: &cache_enterprise::Error) -> Self {
        let text = format!("{place}: {error}");
        match error.kind() {
            cache_enterprise::ErrorKind::Config => Self::input(text),
            _ => Self::broken(text),
        }
    }

    /// The signal of this number ended the command: exit code 128 and that, as a shell reports it.
    pub(crate) fn ended(text: &str, signal: u8) -> Self {
        Self { text: text.into(), code: 128 + signal }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<TraceError> for Failure {
    /// A file that cannot be opened or understood is input; one that the machine ceases to read
    /// is not.
    fn from(error: TraceError) -> Self {
        let text = error.to_string();
        match error {
            TraceError::Io { action: "open", .. } => Self::input(text),
            TraceError::Io { source, .. } if source.kind() != ErrorKind::IsADirectory => {
                Self::broken(text)
            }
            _ => Self::input(text),
        }
    }
}

impl From<cache_enterprise::Error> for Failure {
    fn from(error: cache_enterprise::Error) -> Self {
        match error.kind() {
            cache_enterprise::ErrorKind::Config => Self::input(error.to_string()),
            _ => Self::broken(error.to_string()),
        }
    }
}
