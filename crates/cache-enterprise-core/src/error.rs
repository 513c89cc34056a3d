//! The one error of the workspace.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// `Result` with the workspace's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a caller may want to tell cases apart.
///
/// ```
/// use cache_enterprise_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Timeout, "the tier did not answer");
/// assert!(matches!(error.kind(), ErrorKind::Timeout) && error.is_transient());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or an option is missing, contradictory or out of range.
    Config,
    /// An argument cannot be used: an empty name, a key over the limit, a capacity of zero.
    InvalidInput,
    /// The backend does not offer the operation; [`Capabilities`](crate::Capabilities) said so.
    Unsupported,
    /// The operation did not end within its deadline.
    Timeout,
    /// The backend cannot be reached or answers with faults.
    Unavailable,
    /// The circuit breaker in front of the backend is open.
    BreakerOpen,
    /// A bounded queue or limit is full.
    Overloaded,
    /// Stored bytes failed a checksum or do not follow their format.
    Corrupt,
    /// A value or payload is over its size limit.
    TooLarge,
    /// A value could not be encoded or decoded.
    Codec,
    /// A value of another type stands under this key.
    ValueType,
    /// The name is in use with other types or other settings.
    Conflict,
    /// A file or directory could not be read or written.
    Io,
    /// The manager or backend was closed.
    Closed,
}

/// The error of every crate in this workspace.
///
/// It says what was attempted, where, and why it failed. It never carries a cached value or a
/// secret. Cloning costs one reference count.
///
/// ```
/// use cache_enterprise_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Unavailable, "cannot read from the tier")
///     .operation("get")
///     .with("tier", "disk");
/// assert!(error.is_transient());
/// assert_eq!(error.to_string(), "get: cannot read from the tier (tier: disk)");
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    operation: Option<&'static str>,
    context: Vec<(&'static str, String)>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says what was attempted: lower case, no full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let inner = Inner {
            kind,
            message: message.into(),
            operation: None,
            context: Vec::new(),
            source: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Shorthand for [`ErrorKind::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Shorthand for [`ErrorKind::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Names the operation that failed, such as `get`.
    #[must_use]
    pub fn operation(mut self, operation: &'static str) -> Self {
        Arc::make_mut(&mut self.inner).operation = Some(operation);
        self
    }

    /// Adds a pair of context. Never pass a value or a secret.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        Arc::make_mut(&mut self.inner).context.push((name, value.to_string()));
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn source_error(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.inner).source = Some(Arc::new(source));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// What was attempted, without operation and context.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The pairs of context in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.inner.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether trying the same call again can help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.inner.kind,
            ErrorKind::Timeout
                | ErrorKind::Unavailable
                | ErrorKind::BreakerOpen
                | ErrorKind::Overloaded
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.inner.operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(&self.inner.message)?;
        for (index, (name, value)) in self.inner.context.iter().enumerate() {
            let open = if index == 0 { " (" } else { ", " };
            write!(f, "{open}{name}: {value}")?;
        }
        if self.inner.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.inner.kind)?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, "; because {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

impl From<std::io::Error> for Error {
    fn from(source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, "file system operation failed").source_error(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_operation_and_context_and_keeps_the_cause() {
        let cause = std::io::Error::other("no space left");
        let error = Error::new(ErrorKind::Io, "cannot write the journal")
            .operation("put")
            .with("tier", "disk")
            .with("directory", "var/cache")
            .source_error(cause);
        assert_eq!(
            error.to_string(),
            "put: cannot write the journal (tier: disk, directory: var/cache)"
        );
        assert_eq!(
            format!("{error:?}"),
            "Io: put: cannot write the journal (tier: disk, directory: var/cache); \
             because no space left"
        );
        assert!(!error.is_transient());
    }

    #[test]
    fn a_clone_shares_the_cause() {
        let error = Error::new(ErrorKind::Timeout, "tier did not answer").clone().with("ms", 250);
        assert!(error.is_transient());
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
}
