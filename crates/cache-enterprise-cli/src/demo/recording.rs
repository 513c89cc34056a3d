//! A file of recorded requests, as one that is read time and again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use cache_enterprise::core::{KEY_BYTES_MAX, KeySpace, check_name};
use cache_enterprise_workload::{
    self as workload, Report, Request, RequestKey, Requests, TraceError,
};

use super::item::ItemKey;
use super::levels::NAME_LONGEST;
use super::world::ITEMS;
use crate::failure::Failure;

/// A file that was read once, so that damage shows before anything runs.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    /// What that reading found; names the file as the user does.
    pub(crate) report: Report,
    /// What is read again: that file, or what was kept of a pipe.
    file: PathBuf,
}

impl Recording {
    /// Reads the file at `path`, into its copy if it has one. Waits for whoever writes into it.
    pub(crate) fn read(path: &Path, copy: Option<Copy>) -> Result<Self, Failure> {
        let file = match copy {
            Some(copy) => copy.fill(path)?,
            None => path.to_owned(),
        };
        let scanned = open(&file).and_then(Requests::scan);
        let mut report = scanned.map_err(|error| error.about(path))?;
        path.clone_into(&mut report.path);
        Ok(Self { report, file })
    }

    /// The requests from the first on.
    pub(crate) fn open(&self) -> Result<Requests, TraceError> {
        open(&self.file)
    }
}

/// Where the bytes of a file that gives them once are kept, such as those of a pipe.
#[derive(Debug)]
pub(crate) struct Copy {
    path: PathBuf,
    file: File,
}

impl Copy {
    /// An empty copy in `folder`, for a file that needs one. It is there before anybody waits for
    /// a byte, so that who waits makes nothing in a folder that has gone meanwhile.
    pub(crate) fn of(path: &Path, folder: &Path) -> Result<Option<Self>, Failure> {
        if !is_read_once(path) {
            return Ok(None);
        }
        let folder = folder.join("trace");
        fs::create_dir(&folder).map_err(failed(path, "keep"))?;
        // Its name may tell the format.
        let copy = folder.join(path.file_name().unwrap_or("trace".as_ref()));
        let file = File::create(&copy).map_err(failed(path, "keep"))?;
        Ok(Some(Self { path: copy, file }))
    }

    /// Takes in what comes out of `path`, and says where it is.
    fn fill(mut self, path: &Path) -> Result<PathBuf, Failure> {
        let mut pipe = File::open(path).map_err(failed(path, "open"))?;
        io::copy(&mut pipe, &mut self.file).map_err(failed(path, "keep"))?;
        Ok(self.path)
    }
}

fn is_read_once(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> TraceError {
    move |source| TraceError::Io { path: path.to_owned(), action, source }
}

/// The requests of a file that a cache can be asked. Every reading skips the same lines.
fn open(path: &Path) -> Result<Requests, TraceError> {
    Ok(workload::open(path)?.only(storable))
}

/// Refuses keys and tenants that no cache stores: asking for one is an error of its caller.
fn storable(request: &Request) -> Result<(), &'static str> {
    let tenant = request.tenant.as_deref().unwrap_or_default();
    if !tenant.is_empty() && check_name("tenant", tenant).is_err() {
        return Err("the name of the tenant is over 128 bytes");
    }
    let RequestKey::Text(key) = &request.key else { return Ok(()) };
    // A byte becomes three at most. Nearly every key is told from its length.
    let names = NAME_LONGEST.len() + ITEMS.name().len() + 3;
    if 3 * (key.len() + tenant.len()) + names <= KEY_BYTES_MAX {
        return Ok(());
    }
    let space = KeySpace::new(NAME_LONGEST, tenant, ITEMS.name());
    let stored = space.and_then(|space| space.key(&ItemKey(request.key.clone())));
    stored.map(drop).map_err(|_| "the key is over 8 KiB as a cache stores it")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn who_waits_for_a_pipe_makes_nothing_in_a_folder_that_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pipe) = (folder.path().to_owned(), Path::new("/dev/null"));
        let copy = Copy::of(pipe, &path).unwrap();
        assert!(copy.is_some());
        folder.close().unwrap();
        assert!(Recording::read(pipe, copy).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn the_longest_key_is_the_one_that_a_cache_still_stores() {
        for tenant in [None, Some("{acme}"), Some("é")] {
            let space = KeySpace::new(NAME_LONGEST, tenant.unwrap_or_default(), ITEMS.name());
            let room = KEY_BYTES_MAX - space.unwrap().key(&String::new()).unwrap().len();
            let of_length = |length: usize| {
                let key = RequestKey::Text("x".repeat(length).into());
                storable(&Request { tenant: tenant.map(Arc::from), ..Request::new(key) })
            };
            assert_eq!((of_length(room).is_ok(), of_length(room + 1).is_ok()), (true, false));
        }
    }
}
