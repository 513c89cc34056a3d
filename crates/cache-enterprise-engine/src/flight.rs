//! Single-flight: one load per key at a time, in one process.
//!
//! A flight is one load that several callers wait for. Its leader runs the loader inside its own
//! task; the followers wait. The shard of a key's flight is also the lock under which `set`,
//! `remove` and landing change level 1, so that "is this load still wanted?" and "store it" are
//! one step. Order of locks: flight shard, then the flight's state or level 1; never the other
//! way round, never across an await.
//!
//! What can happen to a leader, and what its followers do:
//! * it lands: they share the value, the absence or the error;
//! * it is dropped: the next follower leads, with its own loader;
//! * it panics: the same, up to three times; then each follower runs its own loader;
//! * it was woken and is not polled for `takeover_after`, or is past the date its leader gave the
//!   flight: the flight dissolves and they join anew. The late value goes to its own caller only.
//!   A leader with a deadline gives the flight `takeover_after` more, so that it ends its load
//!   itself as long as somebody polls it.
//!
//! `set`, `remove` and a newer epoch *detach* a flight: it goes on for those who wait for it, but
//! nobody joins and nothing is stored.

mod follow;
mod lead;
mod many;
mod recursion;

pub(crate) use self::follow::{Follow, Followed, register};
pub(crate) use self::lead::Lead;
pub(crate) use self::many::{FollowMany, run_many};

use std::any::Any;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::task::{Wake, Waker};

use cache_enterprise_core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use cache_enterprise_core::sync::{MapHashBuilder, Mutex, MutexGuard};
use cache_enterprise_core::{
    CacheKey, Cached, Clock, Error, Event, Millis, Observer, Scoped, Sequence, mutant,
};
use equivalent::Equivalent;
use hashbrown::HashTable;

use crate::read::{Source, Stale};
use crate::waits::{self, FlightId};

/// After so many panics in one flight each follower runs its own loader.
const PANICS_MAX: u8 = 3;

/// What a flight gave.
pub(crate) enum Landing<V> {
    /// A value and where it came from.
    Value(Cached<V>, Source),
    /// The tiers do not hold it; no loader was asked.
    Missing,
    /// The loader said there is none.
    Absent,
    /// The loader failed; the error is an `Arc<E>` behind `Any`.
    Failed(Arc<dyn Any + Send + Sync>),
    /// A level failed, in a manager where that ends the call.
    Broken(Error),
    /// The loader was not run: too many others run or wait.
    Overloaded,
    /// The loader took longer than this, the hard timeout of its caller in milliseconds.
    TimedOut(Millis),
}

impl<V> Clone for Landing<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Value(value, source) => Self::Value(value.clone(), *source),
            Self::Missing => Self::Missing,
            Self::Absent => Self::Absent,
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Broken(error) => Self::Broken(error.clone()),
            Self::Overloaded => Self::Overloaded,
            Self::TimedOut(limit) => Self::TimedOut(*limit),
        }
    }
}

enum Phase<V> {
    /// Somebody runs the loader.
    Led,
    /// The leader is gone; the next follower that is polled leads.
    Vacant,
    Landed(Landing<V>),
    /// Followers join anew.
    Dissolved,
    /// Followers run their own loaders, uncoalesced.
    Abandoned,
}

struct State<V> {
    phase: Phase<V>,
    /// Wakers of followers; a slot is free when its follower left.
    followers: Vec<Option<Waker>>,
    panics: u8,
    /// Whom to wake when the loader can go on.
    leader: Option<Waker>,
    /// What may answer while the loader runs, for those who take it.
    stale: Option<Arc<Stale<V>>>,
    /// Followers that wait now.
    waiting: usize,
    /// Whether the load is wanted though nobody waits for it.
    is_kept: bool,
    /// Whom to tell that all who waited were dropped.
    deserted: Option<Waker>,
}

/// One load that several callers wait for. It is also the waker its loader is polled with, which
/// is how it knows that a leader was woken and does not come.
pub(crate) struct Flight<V> {
    id: FlightId,
    started: Sequence,
    /// The change counter noted before the sequence.
    checked: u64,
    /// When it is taken from its leader at the latest; every new leader sets it.
    ends: AtomicU64,
    key_heap_bytes: usize,
    clock: Clock,
    /// When the leader was woken and has not been polled since, plus one; 0 when it is not due.
    woken: AtomicU64,
    /// All who waited were dropped, and nobody wants the load to go on.
    is_deserted: AtomicBool,
    state: Mutex<State<V>>,
}

impl<V> Flight<V> {
    fn new(at: Arrival, key_heap_bytes: usize, clock: Clock) -> Self {
        let state = State {
            phase: Phase::Led,
            followers: Vec::new(),
            panics: 0,
            leader: None,
            stale: None,
            waiting: 0,
            is_kept: false,
            deserted: None,
        };
        Self {
            id: waits::new_id(),
            is_deserted: AtomicBool::new(false),
            started: at.sequence,
            checked: at.checked,
            ends: AtomicU64::new(at.ends),
            key_heap_bytes,
            clock,
            woken: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// The sequence noted when the flight started, before anything was read.
    pub(crate) fn started(&self) -> Sequence {
        self.started
    }

    /// Whether this thread is polling this flight's loader right now.
    pub(crate) fn is_recursion(&self) -> bool {
        recursion::inside().contains(&self.id)
    }

    /// Lets those who take it be answered while the loader runs.
    fn offer(&self, stale: Arc<Stale<V>>) {
        let followers = {
            let mut state = self.state.lock();
            state.stale = Some(stale);
            state.followers.iter().flatten().cloned().collect::<Vec<_>>()
        };
        followers.into_iter().for_each(Waker::wake);
    }

    /// A load that goes on by itself takes the flight over: who left before tells it nothing.
    pub(crate) fn adopt(&self) {
        self.state.lock().is_kept = false;
        self.is_deserted.store(false, Ordering::Release);
    }

    /// Whether all who waited were dropped; `waker` is told when they are.
    pub(crate) fn is_deserted(&self, waker: &Waker) -> bool {
        self.state.lock().deserted = Some(waker.clone());
        self.is_deserted.load(Ordering::Acquire)
    }

    /// Ends the flight: every follower learns of `phase`. A leader that did not end it itself has
    /// a loader yet, whose wake-ups must go on reaching it.
    fn finish(&self, phase: Phase<V>) {
        let followers = {
            let mut state = self.state.lock();
            if matches!(phase, Phase::Landed(_)) {
                state.leader = None;
            }
            state.phase = phase;
            std::mem::take(&mut state.followers)
        };
        followers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Whether the leader, or the follower chosen after it, is overdue at `now`.
    fn is_overdue(&self, now: Millis, takeover_after: Millis) -> bool {
        let woken = self.woken.load(Ordering::Acquire);
        let is_unpolled = woken != 0 && now.saturating_sub(woken - 1) >= takeover_after;
        is_unpolled || now >= self.ends.load(Ordering::Acquire)
    }

    /// Notes whom to wake when the loader can go on. A wake-up that came before this one was known
    /// has found nobody, or the one before, and is passed on.
    fn note_leader(&self, leader: &Waker) {
        {
            let mut state = self.state.lock();
            if state.leader.as_ref().is_some_and(|held| held.will_wake(leader)) {
                return;
            }
            state.leader = Some(leader.clone());
        }
        if self.woken.load(Ordering::Acquire) != 0 {
            leader.wake_by_ref();
        }
    }

    fn note_due(&self) {
        self.woken.store(self.clock.now() + 1, Ordering::Release);
    }
}

impl<V: Send + Sync + 'static> Wake for Flight<V> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.note_due();
        let leader = self.state.lock().leader.clone();
        if let Some(leader) = leader {
            leader.wake();
        }
    }
}

type Table<K, V> = HashTable<(Scoped<K>, Arc<Flight<V>>)>;

/// The flights of one cache, exact per key: two keys never wait for each other's load.
pub(crate) struct Flights<K, V> {
    shards: Box<[Mutex<Table<K, V>>]>,
    hasher: MapHashBuilder,
    in_flight: AtomicUsize,
    clock: Clock,
    /// Name of the cache and who hears of its loaders, for rare events.
    cache: &'static str,
    observer: Arc<dyn Observer>,
}

/// A power of two. The model needs keys that share a shard and keys that do not, and no more.
const SHARDS: usize = if cfg!(shuttle) { 2 } else { 64 };

impl<K: CacheKey, V> Flights<K, V> {
    pub(crate) fn new(clock: Clock, cache: &'static str, observer: Arc<dyn Observer>) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashTable::new())).collect(),
            hasher: MapHashBuilder::default(),
            in_flight: AtomicUsize::new(0),
            clock,
            cache,
            observer,
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Locks the shard of `key`: the place where level 1 may be changed under that key.
    pub(crate) fn lock<Q>(&self, key: &Q) -> KeyLock<'_, K, V>
    where
        Q: ?Sized + Hash + Equivalent<Scoped<K>>,
    {
        self.lock_hash(self.hasher.hash_one(key))
    }

    fn lock_hash(&self, hash: u64) -> KeyLock<'_, K, V> {
        // Middle bits choose the shard; the table inside uses the low and the top ones.
        let shard = (hash >> 40) as usize % SHARDS;
        KeyLock { table: self.shards[shard].lock(), hash, flights: self }
    }

    /// Joins the flight of `key`, or starts one. A flight older than the newest epoch known
    /// without the value is left alone. `known` looks into level 1 under the lock, which removals
    /// take too: a value that landed since the caller missed it is found, or was removed, and
    /// then the flight belongs to what came after. `make` gives the owned key, for a new flight.
    pub(crate) fn join<Q>(
        &self,
        key: &Q,
        known: impl FnOnce() -> Option<Cached<V>>,
        make: impl FnOnce() -> Scoped<K>,
        at: Arrival,
    ) -> Join<V>
    where
        Q: ?Sized + Hash + Equivalent<Scoped<K>>,
    {
        let mut lock = self.lock(key);
        let running = lock.find(key).filter(|_| !mutant::breaks("one load runs for all who ask"));
        if let Some(flight) = running {
            if flight.started >= at.oldest
                || mutant::breaks("nobody joins a load from before an epoch")
            {
                let flight = Arc::clone(flight);
                let hash = lock.hash;
                return Join::Follow(Seat { flight, hash, is_heir: true, found_nothing: false });
            }
            lock.detach(key);
        }
        if let Some(value) = known() {
            return Join::Known(value);
        }
        let owned = make();
        let heap_bytes = owned.key.heap_bytes();
        let flight = Arc::new(Flight::new(at, heap_bytes, self.clock.clone()));
        let hash = lock.hash;
        lock.attach(owned, Arc::clone(&flight));
        Join::Lead(Seat { flight, hash, is_heir: false, found_nothing: false })
    }

    /// Dissolves flights whose leader is overdue. Returns how many.
    pub(crate) fn dissolve_overdue(&self, now: Millis, takeover_after: Millis) -> usize {
        if self.in_flight.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        let mut overdue = Vec::new();
        for shard in &self.shards {
            let mut table = shard.lock();
            if table.is_empty() {
                continue;
            }
            let is_overdue =
                |(_, flight): &mut (_, Arc<Flight<V>>)| flight.is_overdue(now, takeover_after);
            overdue.extend(table.extract_if(is_overdue).map(|(_, flight)| flight));
        }
        self.in_flight.fetch_sub(overdue.len(), Ordering::Relaxed);
        for flight in &overdue {
            flight.finish(Phase::Dissolved);
            self.observer.on_event(&Event::LoaderOvertaken { cache: self.cache.to_owned() });
        }
        overdue.len()
    }
}

/// When and after what a caller arrived, and until when it would lead.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// The change counter, noted before the sequence: an epoch raised between the two is newer
    /// than the count, and is compared.
    pub(crate) checked: u64,
    pub(crate) sequence: Sequence,
    pub(crate) oldest: Sequence,
    pub(crate) ends: Millis,
}

/// A place in a flight.
pub(crate) struct Seat<V> {
    pub(crate) flight: Arc<Flight<V>>,
    pub(crate) hash: u64,
    /// Whether it was taken in a flight that somebody else started.
    pub(crate) is_heir: bool,
    /// Whether level 1 held nothing under the key when it was taken.
    pub(crate) found_nothing: bool,
}

impl<V> Clone for Seat<V> {
    fn clone(&self) -> Self {
        Self { flight: Arc::clone(&self.flight), ..*self }
    }
}

/// What a caller found at the door.
pub(crate) enum Join<V> {
    /// Level 1 holds the value by now.
    Known(Cached<V>),
    Lead(Seat<V>),
    Follow(Seat<V>),
}

/// The lock of one key's shard.
pub(crate) struct KeyLock<'a, K, V> {
    table: MutexGuard<'a, Table<K, V>>,
    hash: u64,
    flights: &'a Flights<K, V>,
}

impl<K: CacheKey, V> KeyLock<'_, K, V> {
    fn find<Q: ?Sized + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<&Arc<Flight<V>>> {
        let is_any = mutant::breaks("a key waits for its own load alone");
        let is_it = |(held, _): &(Scoped<K>, _)| is_any || key.equivalent(held);
        self.table.find(self.hash, is_it).map(|(_, flight)| flight)
    }

    fn attach(&mut self, key: Scoped<K>, flight: Arc<Flight<V>>) {
        let hasher = &self.flights.hasher;
        self.table.insert_unique(self.hash, (key, flight), |(held, _)| hasher.hash_one(held));
        self.flights.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the key's flight out: its waiters still get the value, its store is refused.
    pub(crate) fn detach<Q: ?Sized + Equivalent<Scoped<K>>>(&mut self, key: &Q) {
        if let Ok(found) = self.table.find_entry(self.hash, |(held, _)| key.equivalent(held)) {
            found.remove();
            self.flights.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes out a flight of the key that started before `at`.
    pub(crate) fn detach_older<Q>(&mut self, key: &Q, at: Sequence)
    where
        Q: ?Sized + Equivalent<Scoped<K>>,
    {
        if self.find(key).is_some_and(|flight| flight.started < at) {
            self.detach(key);
        }
    }

    /// Whether somebody loads the key.
    pub(crate) fn is_loading<Q: ?Sized + Equivalent<Scoped<K>>>(&self, key: &Q) -> bool {
        self.find(key).is_some()
    }

    /// The key of `flight` if it is still attached.
    fn held_by(&self, flight: &Arc<Flight<V>>) -> Option<&Scoped<K>> {
        let held = |(_, held): &(Scoped<K>, Arc<Flight<V>>)| Arc::ptr_eq(held, flight);
        self.table.find(self.hash, held).map(|(key, _)| key)
    }

    /// Takes `flight` out if it is still attached, and gives its key.
    fn release(&mut self, flight: &Arc<Flight<V>>) -> Option<Scoped<K>> {
        let held = |(_, held): &(Scoped<K>, Arc<Flight<V>>)| Arc::ptr_eq(held, flight);
        let found = self.table.find_entry(self.hash, held).ok()?;
        let ((key, _), _) = found.remove();
        self.flights.in_flight.fetch_sub(1, Ordering::Relaxed);
        Some(key)
    }
}
