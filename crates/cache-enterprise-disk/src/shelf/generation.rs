//! Where records stay: databases that are filled by copying and never written otherwise.
//!
//! Each is a directory, so that dropping one is removing a directory. Keyspaces of one database
//! would do too, but fjall keeps a file for every keyspace that came or went until it is opened
//! again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Config, Database, Keyspace, KeyspaceCreateOptions};

use super::front::{remove_if_there, sync_directory};
use crate::space::directory_bytes;

/// One in this many probes of a generation that lacks the key reads a block for nothing.
const FALSE_POSITIVE_RATE: f32 = 0.001;
const OPEN_FILES: usize = 64;
/// A file of this name says that the directory is to be removed.
const DOOM: &str = "dropped";

/// Where generations are made and found.
#[derive(Clone)]
pub(crate) struct Store {
    root: PathBuf,
    /// Its block cache is the one that all generations share.
    shared: Config,
}

/// Records of one stretch of time. Clones share it; its files go with the last clone of one that
/// was dropped.
#[derive(Clone)]
pub(crate) struct Generation {
    /// Higher is newer.
    pub(crate) number: u64,
    /// Grows when the generation is rewritten without what expired.
    pub(crate) edition: u32,
    held: Arc<Held>,
}

struct Held {
    path: PathBuf,
    /// Empty only while it is dropped.
    open: Option<(Keyspace, Database)>,
    /// What the directory takes besides the tables.
    fixed_bytes: u64,
}

impl Store {
    pub(crate) fn new(root: &Path, cache_bytes: u64) -> Self {
        let shared = Database::builder(root).cache_size(cache_bytes).into_config();
        Self { root: root.to_path_buf(), shared }
    }

    /// Opens all generations, newest first. Where a rewrite was not finished the original stays.
    pub(crate) fn open_all(&self) -> fjall::Result<Vec<Generation>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Some(name) = name.strip_prefix("generation-") else { continue };
            match parse(name) {
                Some(name) if !path.join(DOOM).try_exists()? => found.push(name),
                _ => fs::remove_dir_all(&path)?,
            }
        }
        found.sort_by_key(|(number, edition)| (u64::MAX - number, *edition));
        let mut kept: Vec<Generation> = Vec::with_capacity(found.len());
        for (number, edition) in found {
            if kept.last().is_some_and(|last| last.number == number) {
                fs::remove_dir_all(self.path(number, edition))?;
            } else {
                kept.push(self.open(number, edition)?);
            }
        }
        Ok(kept)
    }

    /// Makes a generation of what `fill` copies into it. It appears under its name when it is
    /// complete; `None` when nothing was copied.
    pub(crate) fn create(
        &self,
        number: u64,
        edition: u32,
        fill: impl FnOnce(&Keyspace) -> fjall::Result<u64>,
    ) -> fjall::Result<Option<Generation>> {
        let path = self.path(number, edition);
        let making = path.with_extension("new");
        remove_if_there(&making)?;
        remove_if_there(&path)?;
        let written = {
            let (records, _database) = self.open_database(&making)?;
            fill(&records)?
        };
        if written == 0 {
            fs::remove_dir_all(&making)?;
            return Ok(None);
        }
        fs::rename(&making, &path)?;
        sync_directory(&self.root)?;
        // Opened again, its empty journal of 64 MiB is cut to nothing.
        self.open(number, edition).map(Some)
    }

    fn open(&self, number: u64, edition: u32) -> fjall::Result<Generation> {
        let path = self.path(number, edition);
        let (records, database) = self.open_database(&path)?;
        let fixed_bytes = directory_bytes(&path)?.saturating_sub(records.disk_space());
        let held = Arc::new(Held { path, open: Some((records, database)), fixed_bytes });
        Ok(Generation { number, edition, held })
    }

    fn open_database(&self, path: &Path) -> fjall::Result<(Keyspace, Database)> {
        let builder = Database::builder(path).worker_threads(1).max_cached_files(Some(OPEN_FILES));
        let mut config = builder.into_config();
        config.cache = Arc::clone(&self.shared.cache);
        let database = Database::open(config)?;
        let records = database.keyspace("records", options)?;
        Ok((records, database))
    }

    fn path(&self, number: u64, edition: u32) -> PathBuf {
        self.root.join(format!("generation-{number:010}-{edition:04}"))
    }
}

impl Generation {
    pub(crate) fn records(&self) -> &Keyspace {
        self.held.records()
    }

    /// Bytes its directory takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.held.fixed_bytes + self.records().disk_space()
    }

    /// Decides that the directory goes. From here on it is not opened again, also after a crash;
    /// readers that still hold a clone finish first.
    pub(crate) fn doom(&self) -> io::Result<()> {
        File::create(self.held.path.join(DOOM)).map(|_| ())
    }
}

impl Held {
    fn records(&self) -> &Keyspace {
        &self.open.as_ref().expect("it is open until it is dropped").0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.open.take());
        if self.path.join(DOOM).exists() {
            // What cannot be removed now is removed when the directory is opened next.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Copies records in key order into `target`, as one step: a crash leaves all or none. `change`
/// may replace a record or leave it out. Returns how many were written.
pub(crate) fn copy(
    source: &Keyspace,
    target: &Keyspace,
    mut change: impl FnMut(&[u8], Bytes) -> Option<Bytes>,
) -> fjall::Result<u64> {
    let mut ingestion = target.start_ingestion()?;
    let mut written = 0;
    for guard in source.range::<&[u8], _>(..) {
        let (key, record) = guard.into_inner()?;
        if let Some(record) = change(&key, record.into()) {
            ingestion.write(key, record)?;
            written += 1;
        }
    }
    ingestion.finish()?;
    Ok(written)
}

fn options() -> KeyspaceCreateOptions {
    let filter = BloomConstructionPolicy::FalsePositiveRate(FALSE_POSITIVE_RATE);
    KeyspaceCreateOptions::default()
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(filter)))
}

fn parse(name: &str) -> Option<(u64, u32)> {
    let (number, edition) = name.split_once('-')?;
    Some((number.parse().ok()?, edition.parse().ok()?))
}
