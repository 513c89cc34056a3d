//! What happened: operations with their beginning and end, and what each read gave.
//!
//! The recorder knows the truth, a generation per key that only grows, and notes it at the moments
//! that matter. It knows nothing of caches, and takes time from whoever made it: simulated time,
//! or that of a machine beside real servers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_enterprise_core::{Millis, saturating_millis};
use parking_lot::Mutex;

/// A value under test: which key it belongs to, which truth it shows, and who made it.
///
/// ```
/// use cache_enterprise_testkit::simulation::Stamp;
///
/// let stamp = Stamp { key: 3, generation: 2, write: 17 };
/// assert_eq!(Stamp::from_bytes(&stamp.to_bytes()), Some(stamp));
/// assert_eq!(Stamp::from_bytes(b"short"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The key it was made for.
    pub key: u64,
    /// The key's truth when the load or the write began.
    pub generation: u64,
    /// The load or write that made it; no two have one number.
    pub write: u64,
}

impl Stamp {
    /// The stamp as bytes, for a codec.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let parts = [self.key, self.generation, self.write];
        for (place, part) in bytes.chunks_exact_mut(8).zip(parts) {
            place.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    /// The stamp of bytes that [`to_bytes`](Self::to_bytes) gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 24] = bytes.try_into().ok()?;
        let part = |at: usize| {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(part)
        };
        Some(Self { key: part(0), generation: part(8), write: part(16) })
    }
}

/// A process between its start and its end. One that was started again is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Number of the process.
    pub number: usize,
    /// How often it was started before.
    pub life: u32,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}.{}", self.number, self.life)
    }
}

/// What an invalidation leaves of older values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Nothing: no read gives one.
    Hard,
    /// A fallback: a read that gives one says that it is stale.
    Soft,
    /// As [`Soft`](Self::Soft), but from a date of wall time on instead of a number.
    Dated,
}

/// What an operation does, and to which keys. A group is the list of the keys in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Asks for keys, with or without a loader.
    Read(Vec<u64>),
    /// Changes the truth of keys and puts the new values.
    Write(Vec<u64>),
    /// Removes, expires or invalidates keys.
    Invalidate(Vec<u64>, Strength),
}

impl Action {
    /// The keys it names.
    pub fn keys(&self) -> &[u64] {
        match self {
            Self::Read(keys) | Self::Write(keys) | Self::Invalidate(keys, _) => keys,
        }
    }
}

/// Where a read took a value from, as far as whoever runs the test can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The process itself: level 1, a tier that no other process sees, another caller's load.
    Near,
    /// The read asked a shared tier or its own loader.
    Asked,
}

/// What a read gave for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The value.
    pub stamp: Stamp,
    /// Where it came from.
    pub place: Place,
    /// Whether it came with the word that it is past its life.
    pub is_stale: bool,
}

/// Who may rely on a write or an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acknowledged {
    /// Nobody: it failed, or nobody heard how it ended.
    Nowhere,
    /// The process that issued it, for as long as it lives.
    Here,
    /// As [`Here`](Self::Here), and everybody once what failed works again.
    Later,
    /// Every process.
    Everywhere,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A read's values, in the order of its keys.
    Values(Vec<Option<Seen>>),
    /// A write or an invalidation was acknowledged.
    Done(Acknowledged),
}

/// A moment: simulated or real time, and a number that orders moments of the same millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Later moments have higher numbers.
    pub order: u64,
    /// Milliseconds since the recorder was made.
    pub at: Millis,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Record {
    /// Who did it.
    pub process: ProcessId,
    /// What it did.
    pub action: Action,
    /// When it was called.
    pub begin: Moment,
    /// The truth of its keys at its beginning, its own change included.
    pub truths: Vec<u64>,
    /// When it answered, and what; none for a caller that left, or died.
    pub end: Option<(Moment, Outcome)>,
}

/// Who made a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// A loader of this key.
    Load(u64),
    /// The write at this place of the history.
    Write(usize),
}

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The operations, in the order of their beginnings.
    pub records: Vec<Record>,
    /// Who made which value, by [`Stamp::write`].
    pub makers: Vec<Maker>,
    /// Hard invalidations whose keys were being loaded meanwhile.
    pub raced: u64,
}

/// Writes a [`History`]. Cloning shares it.
///
/// ```
/// use cache_enterprise_testkit::simulation::*;
///
/// let recorder = Recorder::new();
/// let me = ProcessId { number: 0, life: 0 };
/// let load = recorder.load(7);
/// let old = load.stamp();
/// drop(load);
///
/// recorder.change(7);
/// let removal = recorder.begin(me, Action::Invalidate(vec![7], Strength::Hard));
/// removal.end(Outcome::Done(Acknowledged::Everywhere));
///
/// let read = recorder.begin(me, Action::Read(vec![7]));
/// let seen = Seen { stamp: old, place: Place::Near, is_stale: false };
/// read.end(Outcome::Values(vec![Some(seen)]));
/// assert_eq!(Judge::default().judge(&recorder.history()).len(), 1);
/// ```
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    now: Box<dyn Fn() -> Millis + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    history: History,
    order: u64,
    truths: HashMap<u64, u64>,
    /// Loads on their way, by key.
    loading: HashMap<u64, u64>,
}

impl State {
    fn moment(&mut self, at: Millis) -> Moment {
        self.order += 1;
        Moment { order: self.order, at }
    }

    fn truth(&self, key: u64) -> u64 {
        self.truths.get(&key).copied().unwrap_or(0)
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// A recorder that takes time from the machine.
    pub fn new() -> Self {
        let start = Instant::now();
        Self::timed(move || saturating_millis(start.elapsed()))
    }

    /// A recorder that takes time from `now`, in milliseconds that never go back.
    pub fn timed(now: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        let shared = Shared { now: Box::new(now), state: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Changes the truth of `key`, as a writer of the origin does before it invalidates.
    pub fn change(&self, key: u64) {
        *self.shared.state.lock().truths.entry(key).or_default() += 1;
    }

    /// A load of `key` begins: it reads the truth now.
    pub fn load(&self, key: u64) -> Load {
        let mut state = self.shared.state.lock();
        let write = state.history.makers.len() as u64;
        state.history.makers.push(Maker::Load(key));
        *state.loading.entry(key).or_default() += 1;
        let stamp = Stamp { key, generation: state.truth(key), write };
        Load { recorder: self.clone(), stamp }
    }

    /// An operation begins. A write changes the truth of its keys.
    pub fn begin(&self, process: ProcessId, action: Action) -> Ongoing {
        let at = (self.shared.now)();
        let mut state = self.shared.state.lock();
        let index = state.history.records.len();
        let mut stamps = Vec::new();
        if let Action::Write(keys) = &action {
            for &key in keys {
                *state.truths.entry(key).or_default() += 1;
                let write = state.history.makers.len() as u64;
                state.history.makers.push(Maker::Write(index));
                stamps.push(Stamp { key, generation: state.truth(key), write });
            }
        }
        if matches!(action, Action::Invalidate(_, Strength::Hard)) {
            let raced = action.keys().iter().any(|key| state.loading.contains_key(key));
            state.history.raced += u64::from(raced);
        }
        let truths = action.keys().iter().map(|&key| state.truth(key)).collect();
        let begin = state.moment(at);
        state.history.records.push(Record { process, action, begin, truths, end: None });
        Ongoing { recorder: self.clone(), index, stamps }
    }

    /// What was recorded so far.
    pub fn history(&self) -> History {
        self.shared.state.lock().history.clone()
    }

    /// How many operations have begun.
    pub fn operations(&self) -> usize {
        self.shared.state.lock().history.records.len()
    }

    /// How many hard invalidations of keys that were being loaded have begun.
    pub fn raced(&self) -> u64 {
        self.shared.state.lock().history.raced
    }

    /// How the operation at this place of the history ended; `None` for one that has not.
    pub fn outcome(&self, operation: usize) -> Option<Outcome> {
        let state = self.shared.state.lock();
        let (_, outcome) = state.history.records.get(operation)?.end.as_ref()?;
        Some(outcome.clone())
    }

    /// The truth of `key` now.
    pub fn truth(&self, key: u64) -> u64 {
        self.shared.state.lock().truth(key)
    }

    /// How long ago it was made.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis((self.shared.now)())
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.shared.state.lock().history.records.len();
        f.debug_struct("Recorder").field("records", &records).finish_non_exhaustive()
    }
}

/// A load on its way, until it is dropped.
#[derive(Debug)]
pub struct Load {
    recorder: Recorder,
    stamp: Stamp,
}

impl Load {
    /// What it loads.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let mut state = self.recorder.shared.state.lock();
        let key = self.stamp.key;
        if let Some(count) = state.loading.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                state.loading.remove(&key);
            }
        }
    }
}

/// An operation that has begun. One that is dropped instead of ended never answered.
#[derive(Debug)]
pub struct Ongoing {
    recorder: Recorder,
    index: usize,
    stamps: Vec<Stamp>,
}

impl Ongoing {
    /// The values of a write, in the order of its keys.
    pub fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// The operation answered.
    pub fn end(self, outcome: Outcome) {
        let at = (self.recorder.shared.now)();
        let mut state = self.recorder.shared.state.lock();
        let end = state.moment(at);
        state.history.records[self.index].end = Some((end, outcome));
    }
}
