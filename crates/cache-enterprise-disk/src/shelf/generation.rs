//! Where records stay: keyspaces that are filled by copying and never written otherwise.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use super::front::{remove_if_there, sync_directory};

/// One in this many probes of a generation that lacks the key reads a block for nothing.
const FALSE_POSITIVE_RATE: f32 = 0.001;

/// Records of one stretch of time. Clones share it.
#[derive(Clone)]
pub(crate) struct Generation {
    /// Higher is newer.
    pub(crate) number: u64,
    /// Grows when the generation is rewritten without what expired.
    pub(crate) edition: u32,
    pub(crate) records: Keyspace,
}

impl Generation {
    pub(crate) fn bytes(&self) -> u64 {
        self.records.disk_space()
    }
}

/// The database all generations are keyspaces of. Copying bypasses its journal.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
}

impl Store {
    /// Opens the store under `root`, or makes it.
    pub(crate) fn open(root: &Path, cache_bytes: u64) -> fjall::Result<Self> {
        let path = root.join("store");
        let open =
            |path: &Path| Database::builder(path).worker_threads(1).cache_size(cache_bytes).open();
        if !path.try_exists()? {
            let making = path.with_extension("new");
            remove_if_there(&making)?;
            drop(open(&making)?);
            fs::rename(&making, &path)?;
            sync_directory(root)?;
        }
        Ok(Self { database: open(&path)? })
    }

    /// All generations, newest first. Where a rewrite was cut short the original stays.
    pub(crate) fn list(&self) -> fjall::Result<Vec<Generation>> {
        let mut found = Vec::new();
        for name in self.database.list_keyspace_names() {
            if let Some((number, edition)) = parse(&name) {
                let records = self.database.keyspace(&name, options)?;
                found.push(Generation { number, edition, records });
            }
        }
        found.sort_by_key(|generation| (u64::MAX - generation.number, generation.edition));
        let mut kept: Vec<Generation> = Vec::with_capacity(found.len());
        for generation in found {
            let is_copy = kept.last().is_some_and(|last| last.number == generation.number);
            if is_copy || generation.bytes() == 0 {
                self.delete(generation)?;
            } else {
                kept.push(generation);
            }
        }
        Ok(kept)
    }

    pub(crate) fn create(&self, number: u64, edition: u32) -> fjall::Result<Generation> {
        let name = format!("generation-{number:010}-{edition:04}");
        if self.database.keyspace_exists(&name) {
            // What an earlier attempt left, in part or whole, is not built upon.
            let leftover = self.database.keyspace(&name, options)?;
            self.database.delete_keyspace(leftover)?;
        }
        let records = self.database.keyspace(&name, options)?;
        Ok(Generation { number, edition, records })
    }

    /// Drops a generation; its files go with the last clone.
    pub(crate) fn delete(&self, generation: Generation) -> fjall::Result<()> {
        self.database.delete_keyspace(generation.records)
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
    let (number, edition) = name.strip_prefix("generation-")?.split_once('-')?;
    Some((number.parse().ok()?, edition.parse().ok()?))
}
