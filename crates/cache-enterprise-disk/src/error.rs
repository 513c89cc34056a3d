//! fjall's errors in the words of core.

use std::path::Path;

use cache_enterprise_core::{Error, ErrorKind};
use fjall::LsmError;

/// The workspace's error for one that fjall gave during `operation` on `directory`.
pub(crate) fn from_fjall(operation: &'static str, directory: &Path, cause: fjall::Error) -> Error {
    let (kind, message) = describe(&cause);
    Error::new(kind, message)
        .operation(operation)
        .with("directory", directory.display())
        .source_error(cause)
}

/// The workspace's error for a failed call to the file system.
pub(crate) fn from_io(operation: &'static str, path: &Path, cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "cannot read or write the cache directory")
        .operation(operation)
        .with("path", path.display())
        .source_error(cause)
}

/// Another process, or another backend of this one, works in the directory.
pub(crate) fn in_use(directory: &Path) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the directory is in use by another process or backend; \
         close that one or give this one a directory of its own",
    )
    .operation("open")
    .with("directory", directory.display())
}

/// The backend was closed.
pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, "the disk backend is closed").operation(operation)
}

/// A stored record does not match its checksum or its format.
pub(crate) fn corrupt(operation: &'static str, directory: &Path) -> Error {
    Error::new(ErrorKind::Corrupt, "a stored record does not match its checksum")
        .operation(operation)
        .with("directory", directory.display())
}

fn describe(cause: &fjall::Error) -> (ErrorKind, &'static str) {
    match cause {
        fjall::Error::Locked => {
            (ErrorKind::Conflict, "the directory is in use by another process or backend")
        }
        fjall::Error::Poisoned => (
            ErrorKind::Unavailable,
            "writing is suspended since a write failed; it is tried again in the background",
        ),
        fjall::Error::KeyspaceDeleted => (ErrorKind::Unavailable, "the generation was dropped"),
        fjall::Error::Io(_) | fjall::Error::Storage(LsmError::Io(_)) => {
            (ErrorKind::Io, "cannot read or write the cache directory")
        }
        fjall::Error::InvalidVersion(_) => (
            ErrorKind::Corrupt,
            "the directory holds another version of the store; move it away to start empty",
        ),
        _ => (
            ErrorKind::Corrupt,
            "the store does not match its checksums; move the directory away to start empty",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_operation_the_directory_and_the_cause() {
        let cause = fjall::Error::Io(std::io::Error::from(std::io::ErrorKind::StorageFull));
        let error = from_fjall("put", Path::new("var/cache"), cause);
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(
            error.to_string(),
            "put: cannot read or write the cache directory (directory: var/cache)"
        );
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn suspended_writes_are_transient_and_damage_is_not() {
        let kind = |cause| from_fjall("put", Path::new("d"), cause).kind();
        assert_eq!(kind(fjall::Error::Poisoned), ErrorKind::Unavailable);
        assert_eq!(kind(fjall::Error::Unrecoverable), ErrorKind::Corrupt);
        assert_eq!(kind(fjall::Error::Locked), ErrorKind::Conflict);
    }
}
