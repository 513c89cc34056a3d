//! What can go wrong when a value is loaded.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use cache_enterprise_core::Error;

/// Why [`try_get_with`](crate::Cache::try_get_with) gave no value. Cloning shares the loader's
/// error.
///
/// ```
/// use cache_enterprise_engine::LoadError;
///
/// let error: LoadError<std::num::ParseIntError> = LoadError::Timeout;
/// assert_eq!(error.to_string(), "the load took longer than its hard timeout");
/// ```
#[non_exhaustive]
pub enum LoadError<E> {
    /// The loader's own error, shared among all who waited for it.
    Loader(Arc<E>),
    /// The loader asked for the key it was loading.
    Recursive,
    /// The load took longer than its hard timeout.
    Timeout,
    /// The owned loader panicked in its own task.
    Panicked,
    /// Too many loads ran, and the line of those that wait was full or did not move in time.
    Overloaded,
    /// The answer of a loader of several keys did not name the key.
    Omitted,
    /// The cache itself could not serve the call.
    Cache(Error),
}

impl<E> LoadError<E> {
    /// The loader's error, when it is one.
    pub fn loader(&self) -> Option<&E> {
        match self {
            Self::Loader(error) => Some(error),
            _ => None,
        }
    }
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Loader(error) => Self::Loader(Arc::clone(error)),
            Self::Recursive => Self::Recursive,
            Self::Timeout => Self::Timeout,
            Self::Panicked => Self::Panicked,
            Self::Overloaded => Self::Overloaded,
            Self::Omitted => Self::Omitted,
            Self::Cache(error) => Self::Cache(error.clone()),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loader(error) => f.debug_tuple("Loader").field(error).finish(),
            Self::Recursive => f.write_str("Recursive"),
            Self::Timeout => f.write_str("Timeout"),
            Self::Panicked => f.write_str("Panicked"),
            Self::Overloaded => f.write_str("Overloaded"),
            Self::Omitted => f.write_str("Omitted"),
            Self::Cache(error) => f.debug_tuple("Cache").field(error).finish(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loader(error) => write!(f, "the loader failed: {error}"),
            Self::Recursive => f.write_str("the loader asked for the key it was loading"),
            Self::Timeout => f.write_str("the load took longer than its hard timeout"),
            Self::Panicked => f.write_str("the loader panicked in its own task"),
            Self::Overloaded => f.write_str("too many loads ran or waited"),
            Self::Omitted => f.write_str("the loader's answer did not name the key"),
            Self::Cache(error) => error.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for LoadError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Loader(error) => Some(&**error),
            Self::Cache(error) => Some(error),
            Self::Recursive | Self::Timeout | Self::Panicked | Self::Overloaded | Self::Omitted => {
                None
            }
        }
    }
}
