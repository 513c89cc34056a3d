//! Where records are put: a small fjall database of its own.
//!
//! fjall starts a new journal only after 64 MB, whatever was flushed. A database that is removed
//! as a whole once it was copied has no such leftovers, so small budgets hold too.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use crate::space::directory_bytes;

/// What a record takes in the journal besides key and value.
const ENTRY_BYTES: u64 = 64;
const RECORDS: &str = "records";

/// A journal with its records in memory. Numbers grow; the highest is written to.
pub(crate) struct Front {
    number: u64,
    path: PathBuf,
    records: Keyspace,
    /// Dropped last: it waits for its worker, which may hold the keyspace.
    database: Database,
    bytes: AtomicU64,
}

impl Front {
    /// Makes an empty front. It appears under its name when it is complete, so that a crash
    /// leaves no half of one. Takes milliseconds: several flushes.
    pub(crate) fn create(root: &Path, number: u64) -> fjall::Result<Self> {
        let path = root.join(name(number));
        let making = path.with_extension("new");
        remove_if_there(&making)?;
        drop(open_database(&making)?);
        fs::rename(&making, &path)?;
        sync_directory(root)?;
        Self::open(path, number)
    }

    /// Opens a front that is there. A new journal is 64 MiB long, whatever it holds; opening it
    /// again cuts it to its contents, which is why `create` ends here too.
    pub(crate) fn open(path: PathBuf, number: u64) -> fjall::Result<Self> {
        let (database, records) = open_database(&path)?;
        let bytes = AtomicU64::new(directory_bytes(&path)?);
        Ok(Self { number, path, records, database, bytes })
    }

    /// The numbers of the fronts under `root`, oldest first. Clears away what a crash left of
    /// fronts that were being made or removed.
    pub(crate) fn list(root: &Path) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            let Some(text) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Some(text) = text.strip_prefix("front-") else { continue };
            match text.parse() {
                Ok(number) => numbers.push(number),
                Err(_) => fs::remove_dir_all(&path)?,
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(crate) fn path_of(root: &Path, number: u64) -> PathBuf {
        root.join(name(number))
    }

    /// Appends a record: in the journal, in the page cache, when it returns.
    pub(crate) fn insert(&self, key: &str, record: Bytes) -> fjall::Result<()> {
        let bytes = key.len() + record.len();
        self.records.insert(key, record)?;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX) + ENTRY_BYTES;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn records(&self) -> &Keyspace {
        &self.records
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes its journal takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Closes the front and removes its files. The name goes first: what is left of it after a
    /// crash is cleared away by [`list`](Self::list).
    pub(crate) fn discard(self) -> io::Result<()> {
        let Self { path, records, database, .. } = self;
        drop(records);
        drop(database);
        let leaving = path.with_extension("old");
        fs::rename(&path, &leaving)?;
        fs::remove_dir_all(leaving)
    }
}

fn open_database(path: &Path) -> fjall::Result<(Database, Keyspace)> {
    // A front reads from memory; the cache serves only what it flushed while copying was late.
    let database = Database::builder(path).worker_threads(1).cache_size(1 << 20).open()?;
    let options = || KeyspaceCreateOptions::default().max_memtable_size(u64::MAX);
    let records = database.keyspace(RECORDS, options)?;
    Ok((database, records))
}

fn name(number: u64) -> String {
    format!("front-{number:010}")
}

/// Flushes the names in a directory.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    // Windows has no handle on a directory to flush; names are durable there with the file.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
