//! All records of a backend, newest first: the front, the front being copied, the generations.

mod front;
mod generation;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::ops::Bound;
use std::path::Path;

use bytes::Bytes;
use fjall::Keyspace;

pub(crate) use front::{Front, sync_directory};
pub(crate) use generation::{Generation, Store, copy};

use crate::record::Head;

/// The places a key is looked up in.
pub(crate) struct Shelves {
    pub(crate) store: Store,
    pub(crate) front: Front,
    pub(crate) draining: Option<Front>,
    /// Newest first.
    pub(crate) generations: VecDeque<Generation>,
}

impl Shelves {
    /// Opens what lies under `root`, or starts empty. A front that was full at a crash is left
    /// in `draining`; the upkeep copies it. An older one was copied and could not be removed: what
    /// came after it lies in generations, which it would hide. It is removed now.
    pub(crate) fn open(root: &Path, cache_bytes: u64) -> fjall::Result<Self> {
        let store = Store::new(root, cache_bytes);
        let generations = VecDeque::from(store.open_all()?);
        let mut numbers = Front::list(root)?;
        let front = match numbers.pop() {
            Some(number) => Front::open(Front::path_of(root, number), number)?,
            None => Front::create(root, 1)?,
        };
        let mut draining = None;
        for number in numbers {
            let path = Front::path_of(root, number);
            match number + 1 == front.number() {
                true => draining = Some(Front::open(path, number)?),
                false => fs::remove_dir_all(path)?,
            }
        }
        Ok(Self { store, front, draining, generations })
    }

    /// The newest record under `key`, as stored.
    pub(crate) fn find(&self, key: &str) -> fjall::Result<Option<Found>> {
        for front in std::iter::once(&self.front).chain(&self.draining) {
            if let Some(record) = front.records().get(key)? {
                return Ok(Some(Found::InFront(record.into())));
            }
        }
        for generation in &self.generations {
            if let Some(record) = generation.records().get(key)? {
                return Ok(Some(Found::InGeneration(record.into())));
            }
        }
        Ok(None)
    }

    /// Handles on every place, newest first, for a reader that takes its time.
    pub(crate) fn handles(&self) -> Vec<Handle> {
        let fronts = std::iter::once(&self.front).chain(&self.draining);
        fronts
            .map(|front| Handle::Front(front.records().clone()))
            .chain(self.generations.iter().cloned().map(Handle::Generation))
            .collect()
    }

    pub(crate) fn generations_bytes(&self) -> u64 {
        self.generations.iter().map(Generation::bytes).sum()
    }

    pub(crate) fn fronts_bytes(&self) -> u64 {
        self.front.bytes() + self.draining.as_ref().map_or(0, Front::bytes)
    }
}

/// A record with the kind of place it was found in, which decides what is to be checked.
pub(crate) enum Found {
    /// In memory: this process wrote it, or replayed it from a journal whose checksums fjall
    /// compared.
    InFront(Bytes),
    /// Read from a file, now or when its block came into the block cache.
    InGeneration(Bytes),
}

/// Keeps a place readable, also when it is dropped meanwhile.
pub(crate) enum Handle {
    /// A front's records are in memory and outlive its files.
    Front(Keyspace),
    Generation(Generation),
}

impl Handle {
    fn records(&self) -> &Keyspace {
        match self {
            Self::Front(records) => records,
            Self::Generation(generation) => generation.records(),
        }
    }
}

/// Live keys of one stretch of the key space, and where the next stretch begins.
pub(crate) struct Page {
    pub(crate) keys: Vec<Bytes>,
    pub(crate) next: Option<Bytes>,
}

/// Lists live keys under `prefix` after `from`, at most `limit`, from sources newest first.
///
/// Each source is read up to `limit` keys. Where one has more, its last key is the border: beyond
/// it the picture is incomplete, so the page ends there.
pub(crate) fn page(
    sources: &[Handle],
    prefix: &str,
    from: Option<&Bytes>,
    limit: usize,
    wall_ms: i64,
) -> fjall::Result<Page> {
    let start = from.map_or(Bound::Included(prefix.as_bytes()), |last| Bound::Excluded(&**last));
    let mut newest: BTreeMap<Bytes, bool> = BTreeMap::new();
    let mut border: Option<Bytes> = None;
    for source in sources {
        for (count, guard) in
            source.records().range::<&[u8], _>((start, Bound::Unbounded)).enumerate()
        {
            let (key, record) = guard.into_inner()?;
            if !key.starts_with(prefix.as_bytes()) {
                break;
            }
            let key = Bytes::from(key);
            let is_live = Head::peek(&record).is_some_and(|head| head.is_live(|| wall_ms));
            newest.entry(key.clone()).or_insert(is_live);
            if count + 1 == limit {
                border = Some(border.map_or(key.clone(), |border| border.min(key)));
                break;
            }
        }
    }
    let within = |key: &Bytes| border.as_ref().is_none_or(|border| key <= border);
    let mut keys: Vec<Bytes> = newest
        .into_iter()
        .filter_map(|(key, is_live)| (is_live && within(&key)).then_some(key))
        .collect();
    if keys.len() > limit {
        keys.truncate(limit);
        border = keys.last().cloned();
    }
    Ok(Page { keys, next: border })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_front_that_was_copied_and_could_not_be_removed_does_not_come_back() {
        for (left, draining) in [(&[1, 5][..], None), (&[1, 2, 4, 5], Some(4))] {
            let folder = tempfile::tempdir().unwrap();
            for number in left {
                drop(Front::create(folder.path(), *number).unwrap());
            }
            let shelves = Shelves::open(folder.path(), 1 << 20).unwrap();
            assert_eq!(shelves.front.number(), 5);
            assert_eq!(shelves.draining.as_ref().map(Front::number), draining);
            let numbers: Vec<u64> = draining.into_iter().chain([5]).collect();
            assert_eq!(Front::list(folder.path()).unwrap(), numbers);
        }
    }
}
