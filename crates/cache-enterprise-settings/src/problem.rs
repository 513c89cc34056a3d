//! What is wrong with the settings, all of it at once.

use std::fmt;

use cache_enterprise_core::Error;

use crate::origin::Origin;
use crate::quantity::Fault;

/// One thing that is wrong. Its text never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key as it was written; empty when the trouble is with a whole source.
    pub key: String,
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

impl Problem {
    /// A problem with a key. `what` must not show a secret.
    pub fn new(
        key: impl Into<String>,
        origin: Origin,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { key: key.into(), origin, what: what.into(), fix: fix.into() }
    }

    pub(crate) fn of(key: impl Into<String>, origin: Origin, fault: Fault) -> Self {
        Self::new(key, origin, fault.what, fault.fix)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        write!(f, "{}; {}", self.what, self.fix)
    }
}

/// All problems of one load, in the order of the sources. Never empty.
///
/// ```
/// use cache_enterprise_settings::{Format, Settings};
///
/// let text = "nam = \"shop\"\n[timeouts]\nread = \"-5s\"\n";
/// let errors = Settings::builder().text(Format::Toml, text).build().unwrap_err();
/// assert_eq!(errors.problems().len(), 2);
/// assert!(errors.to_string().contains("did you mean `name`"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsErrors(Vec<Problem>);

impl SettingsErrors {
    /// All of `problems` as one error, or nothing when there are none.
    ///
    /// # Errors
    /// When there is a problem.
    pub fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// The problems.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "problem" } else { "problems" };
        write!(f, "{} {plural} with the settings", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for SettingsErrors {}

impl From<SettingsErrors> for Error {
    /// An error of kind `Config` whose message lists every problem.
    fn from(errors: SettingsErrors) -> Self {
        Self::config(errors.to_string()).operation("load settings").source_error(errors)
    }
}
