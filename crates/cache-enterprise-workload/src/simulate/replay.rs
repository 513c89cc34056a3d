//! Requests in memory, ready to be run many times.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::OnceLock;

use cache_enterprise_core::Capacity;

use crate::{Request, TraceError, hash, trace_stem};

/// What a reader says where its source tells no size; an object of which none is ever told weighs
/// this.
const UNKNOWN_SIZE: u32 = 1;

/// An object that is not asked for again.
pub(super) const NEVER: u32 = u32::MAX;

/// The requests of one source, in order: of each the hash of its object and its size, 16 bytes a
/// request, and 4 more once [`opt`](super::opt) has looked at it.
///
/// ```
/// use cache_enterprise_workload::simulate::Replay;
///
/// let replay = Replay::of_ids("visits", [7, 8, 7]);
/// assert_eq!((replay.name(), replay.len(), replay.unique()), ("visits", 3, 2));
/// assert_eq!(replay.hashes()[0], replay.hashes()[2]);
/// ```
#[derive(Debug)]
pub struct Replay {
    name: String,
    hashes: Vec<u64>,
    sizes: Vec<u32>,
    /// The objects numbered from 0 in order of their first request.
    ids: Vec<u32>,
    unique: usize,
    next_uses: OnceLock<Vec<u32>>,
}

impl Replay {
    /// Reads the file at `path`, which may be of any format that [`open`](crate::open) knows. Its
    /// name is what [`name_of`] says.
    ///
    /// # Errors
    /// As [`scan`](crate::scan); [`TraceError::TooLong`] from 2^32 requests on.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let mut replay = Builder::default();
        replay.read(path)?;
        Ok(replay.finish(name_of(path)))
    }

    /// Reads several files as one after the other, such as the parts of a rotated log. Its name is
    /// the first one's. A file without requests is passed over as long as another holds some.
    ///
    /// # Errors
    /// As [`open`](Self::open), where the requests of all files count together.
    pub fn open_all<P: AsRef<Path>>(paths: &[P]) -> Result<Self, TraceError> {
        let mut replay = Builder::default();
        let mut empty = None;
        for path in paths {
            match replay.read(path.as_ref()) {
                Err(error @ TraceError::Empty { .. }) => _ = empty.get_or_insert(error),
                read => read?,
            }
        }
        if let (Some(error), true) = (empty, replay.hashes.is_empty()) {
            return Err(error);
        }
        Ok(replay.finish(paths.first().map_or_else(String::new, |path| name_of(path.as_ref()))))
    }

    /// The objects with these ids, asked for in this order, each of size 1.
    ///
    /// # Panics
    /// From 2^32 requests on.
    pub fn of_ids(name: &str, ids: impl IntoIterator<Item = u64>) -> Self {
        let mut replay = Builder::default();
        for id in ids {
            assert!(
                replay.hashes.len() < NEVER as usize,
                "a replay numbers its requests in 32 bits"
            );
            replay.push(&Request::new(id.into()));
        }
        replay.finish(name.to_owned())
    }

    /// What the source is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// How many different objects are asked for.
    pub fn unique(&self) -> usize {
        self.unique
    }

    /// The hash of each request's object, well mixed.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// The size in bytes of each request's object. Where the request tells none (0 or 1, such as an
    /// answer `304 Not Modified`) it is the one told last, before the first the one told then, and 1
    /// where the source never tells it.
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// Whether the source knows sizes.
    pub fn is_sized(&self) -> bool {
        self.sizes.iter().any(|size| *size != UNKNOWN_SIZE)
    }

    /// What the object of the request with this number weighs, at least 1.
    ///
    /// # Panics
    /// From [`len`](Self::len) on.
    #[inline]
    pub fn weight(&self, request: usize, unit: Unit) -> u64 {
        match unit {
            Unit::Objects => 1,
            Unit::Bytes => u64::from(self.sizes[request]),
        }
    }

    /// What all objects weigh together, each by the last size that was told of it.
    pub fn total_weight(&self, unit: Unit) -> u64 {
        let mut weights = vec![0; self.unique];
        for (request, id) in self.ids.iter().enumerate() {
            weights[*id as usize] = self.weight(request, unit);
        }
        weights.iter().sum()
    }

    /// The objects in order of their requests, numbered from 0.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// For each request the number of the next one for the same object, or [`NEVER`].
    pub(super) fn next_uses(&self) -> &[u32] {
        self.next_uses.get_or_init(|| {
            let mut seen = vec![NEVER; self.unique];
            let mut next_uses = vec![NEVER; self.ids.len()];
            for (at, id) in self.ids.iter().enumerate().rev() {
                next_uses[at] = std::mem::replace(&mut seen[*id as usize], at as u32);
            }
            next_uses
        })
    }
}

/// What a capacity counts.
///
/// ```
/// use cache_enterprise_workload::simulate::{Replay, Unit};
///
/// let replay = Replay::of_ids("visits", [7, 8, 7]);
/// assert_eq!(replay.total_weight(Unit::Objects), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Every object weighs 1.
    Objects,
    /// An object weighs its size.
    Bytes,
}

impl Unit {
    /// What this capacity counts.
    pub(super) const fn of(capacity: Capacity) -> Self {
        match capacity {
            Capacity::Entries(_) => Self::Objects,
            Capacity::Bytes(_) => Self::Bytes,
        }
    }
}

/// The file's name up to `.ctr.zst`, else up to its last ending. Other files may have the same.
///
/// ```
/// use cache_enterprise_workload::simulate::name_of;
///
/// assert_eq!(name_of("traces/web07.ctr.zst"), "web07");
/// assert_eq!(name_of("log/access.log.1"), name_of("log/access.log.2"));
/// ```
pub fn name_of(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    trace_stem(path)
        .unwrap_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
}

#[derive(Default)]
struct Builder {
    hashes: Vec<u64>,
    sizes: Vec<u32>,
    ids: Vec<u32>,
    numbers: HashMap<u64, u32, BuildHasherDefault<Mixed>>,
}

impl Builder {
    fn read(&mut self, path: &Path) -> Result<(), TraceError> {
        let mut requests = crate::open(path)?;
        for request in requests.by_ref() {
            if self.hashes.len() == NEVER as usize {
                return Err(TraceError::TooLong { path: path.to_owned() });
            }
            self.push(&request?);
        }
        requests.report().check()
    }

    fn push(&mut self, request: &Request) {
        let hash = hash::number(request.object_id());
        let next = self.numbers.len() as u32;
        self.ids.push(*self.numbers.entry(hash).or_insert(next));
        self.hashes.push(hash);
        self.sizes.push(request.size);
    }

    fn finish(self, name: String) -> Replay {
        let unique = self.numbers.len();
        let Self { hashes, mut sizes, ids, .. } = self;
        complete(&mut sizes, &ids, unique);
        Replay { name, hashes, sizes, ids, unique, next_uses: OnceLock::new() }
    }
}

/// Gives requests without a size that of their object.
fn complete(sizes: &mut [u32], ids: &[u32], objects: usize) {
    let mut known = vec![UNKNOWN_SIZE; objects];
    // From the end to the beginning, so that the size told first is what is known at the beginning.
    for (size, id) in sizes.iter().zip(ids).rev().filter(|(size, _)| **size > UNKNOWN_SIZE) {
        known[*id as usize] = *size;
    }
    for (size, id) in sizes.iter_mut().zip(ids) {
        let known = &mut known[*id as usize];
        if *size > UNKNOWN_SIZE {
            *known = *size;
        }
        *size = *known;
    }
}

/// The keys of the table are hashes already.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_knows_the_next_one_for_its_object() {
        let replay = Replay::of_ids("few", [5, 9, 5, 5, 9, 1]);
        assert_eq!(replay.ids(), [0, 1, 0, 0, 1, 2]);
        assert_eq!(replay.next_uses(), [2, 4, 3, NEVER, NEVER, NEVER]);
    }

    #[test]
    fn the_last_size_counts() {
        let sized = |id: u64, size| Request::new(id.into()).with_size(size);
        let mut replay = Builder::default();
        for request in [sized(1, 10), sized(2, 0), sized(1, 30)] {
            replay.push(&request);
        }
        let replay = replay.finish("sized".to_owned());
        assert!(replay.is_sized() && !Replay::of_ids("plain", [1, 2]).is_sized());
        assert_eq!(replay.total_weight(Unit::Bytes), 31);
        assert_eq!(replay.total_weight(Unit::Objects), 2);
    }

    #[test]
    fn a_line_without_a_size_takes_that_of_its_object() {
        let sizes = |sizes: &[(u64, u32)]| {
            let mut replay = Builder::default();
            for (id, size) in sizes {
                replay.push(&Request::new((*id).into()).with_size(*size));
            }
            let replay = replay.finish("answers".to_owned());
            (replay.sizes().to_vec(), replay.total_weight(Unit::Bytes))
        };
        // A film is sent once; then the client asks whether it changed, and nothing is sent.
        assert_eq!(sizes(&[(7, 4_000_000), (7, 1)]), (vec![4_000_000; 2], 4_000_000));
        assert_eq!(sizes(&[(7, 1), (7, 4_000_000)]), (vec![4_000_000; 2], 4_000_000));
        // The last size that was told, and of object 8 none ever is.
        let told = [(7, 10), (8, 1), (7, 1), (7, 30), (8, 0), (7, 0)];
        assert_eq!(sizes(&told), (vec![10, 1, 10, 30, 1, 30], 31));
    }

    #[test]
    fn an_empty_part_of_a_rotated_log_is_passed_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let part = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).expect("a file");
            path
        };
        let (empty, bare) = (part("access.log", ""), part("keys.csv", "key\n"));
        let full = part("access.csv", "key\n1\n2\n");
        let count = |paths: &[&Path]| Replay::open_all(paths).map(|replay| replay.len());
        assert_eq!(count(&[&empty, &full, &bare]).ok(), Some(2));
        assert_eq!(count(&[&full, &empty, &full]).ok(), Some(4));
        // Where no part holds a request, the first one is to blame.
        let error = count(&[&bare, &empty]).expect_err("nothing to replay");
        assert!(matches!(error, TraceError::Empty { path } if path == bare));
        assert!(matches!(Replay::open(&empty), Err(TraceError::Empty { .. })));
    }

    #[test]
    fn a_name_loses_its_endings() {
        assert_eq!(name_of("traces/arc-p3.ctr.zst"), "arc-p3");
        assert_eq!(name_of("traces/ARC-P3.Ctr.Zst"), "ARC-P3");
        assert_eq!(name_of("access.log"), "access");
        assert_eq!(name_of("visits"), "visits");
    }
}
