//! What can go wrong when a value is loaded.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use cache_enterprise_core::{Cached, Error};

use crate::read::{Answer, Via};

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
    /// The loader asked for the key it was loading, or for one whose load waits for it.
    Recursive,
    /// The load took longer than its hard timeout.
    Timeout,
    /// The owned loader panicked in its own task.
    Panicked,
    /// The loader said that there is nothing under the key.
    Absent,
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
            Self::Absent => Self::Absent,
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
            Self::Absent => f.write_str("Absent"),
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
            Self::Absent => f.write_str("there is nothing under the key"),
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
            _ => None,
        }
    }
}

/// The answer to a caller whose loader fails with `E`.
pub(crate) fn found_of<V, E: Send + Sync + 'static>(
    answer: Answer<V>,
) -> Result<(Cached<V>, Via), LoadError<E>> {
    match answer {
        Answer::Value(value, via) => Ok((value, via)),
        Answer::Failed(error) => match error.downcast::<E>() {
            Ok(error) => Err(LoadError::Loader(error)),
            Err(_) => unreachable!("errors of other types send their followers round once more"),
        },
        Answer::Broken(error) => Err(LoadError::Cache(error)),
        Answer::Recursive => Err(LoadError::Recursive),
        Answer::Overloaded => Err(LoadError::Overloaded),
        Answer::Absent => Err(LoadError::Absent),
        Answer::TimedOut => Err(LoadError::Timeout),
    }
}
