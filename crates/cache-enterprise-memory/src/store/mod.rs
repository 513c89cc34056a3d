//! The store of level 1.

mod hash;
mod hooks;
mod ledger;

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{
    CacheKey, Entry, Freshness, LocalStore, Millis, Priority, RemovalCause, Scoped, SetOutcome,
    StoreStats,
};
use equivalent::Equivalent;
use quick_cache::OptionsBuilder;
use quick_cache::sync::Cache;

use self::hash::{HashedKey, KeyHashBuilder};
use self::hooks::{Door, Hooks};
use self::ledger::{EntryWeighter, Ledger, Room};
use crate::config::{HOT, StoreConfig};
use crate::expiry::{End, Expiry, Shelf};
use crate::leaving::{Exit, Leaving};

type Map<K, V> = Cache<Scoped<K>, Arc<Entry<V>>, EntryWeighter, KeyHashBuilder, Hooks<K, V>>;

/// Rounds of making room before an entry is refused.
const ROOM_ROUNDS_MAX: usize = 4_096;

/// Typed entries in memory, on quick_cache: sharded, bounded by weight, with a scan-resistant
/// policy of the CLOCK-Pro family.
///
/// A hit is one look-up under a shard's read lock and one reference count. An entry of up to a
/// quarter of the capacity is admitted whatever the shard count; a heavier one is
/// [`SetOutcome::Refused`]. The sum of weights never passes the capacity.
///
/// How [`Priority`] is kept: `Low` always enters the queue that is evicted first, also when the
/// policy remembers the key; `High` is given one use in advance, which is one more round;
/// `Pinned` is no candidate at all, counts in full, and is refused where pinned entries would
/// leave less than a quarter of the capacity to others.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::*;
/// use cache_enterprise_memory::{Leaving, MemoryStore, StoreConfig};
///
/// let store = MemoryStore::<String, u32>::new(StoreConfig::new(Capacity::entries(1_000)));
/// let mut leaving = Leaving::default();
/// let entry = Entry::new(7, Sequence(1), 0, Dates::lasting(0, Some(mins(5)))).with_weight(1);
/// let key = Scoped { tenant: 0, key: String::from("ada") };
/// assert_eq!(store.insert(key, Arc::new(entry), &mut leaving), SetOutcome::Stored);
/// let found = store.get(&ScopedRef { tenant: 0, key: "ada" });
/// assert_eq!(found.map(|entry| *entry.value()), Some(7));
/// ```
pub struct MemoryStore<K: CacheKey, V: Send + Sync + 'static> {
    map: Map<K, V>,
    door: Arc<Door<K, V>>,
    ledger: Arc<Ledger>,
    expiry: Expiry,
    hasher: KeyHashBuilder,
    /// Held while the shards' capacity changes or an entry with excess goes in.
    gate: Mutex<()>,
}

impl<K: CacheKey, V: Send + Sync + 'static> MemoryStore<K, V> {
    /// A store of this configuration. Starts a thread only for a listener.
    pub fn new(config: StoreConfig<K, V>) -> Self {
        let shards = config.shard_count();
        let ledger = Arc::new(Ledger::new(config.capacity, shards as u64));
        let exit = Exit::open(config.clock.clone(), config.listener.clone());
        let door = Arc::new(Door { ledger: Arc::clone(&ledger), exit });
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(config.items())
            .weight_capacity(ledger.shard_limit())
            .ghost_allocation(config.ghosts.clamp(0.0, 1.0))
            .hot_allocation(HOT)
            .build()
            .expect("both capacities are set");
        let hasher = KeyHashBuilder::default();
        let map = Cache::with_options(
            options,
            EntryWeighter(Arc::clone(&ledger)),
            hasher.clone(),
            Hooks(Arc::clone(&door)),
        );
        let expiry = Expiry::new(shards.min(8));
        Self { map, door, ledger, expiry, hasher, gate: Mutex::new(()) }
    }

    /// Entries held now. Locks each shard for reading.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Whether an entry stands under `key`, fresh or not; no use for the policy.
    pub fn contains<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> bool {
        self.map.contains_key(key)
    }

    /// The keys and entries, in no order. No lock is held between two items.
    pub fn iter(&self) -> impl Iterator<Item = (Scoped<K>, Arc<Entry<V>>)> {
        self.map.iter()
    }

    /// Whether an entry is refused for its weight, whatever else is held.
    pub(crate) fn is_too_heavy(&self, entry: &Entry<V>) -> bool {
        self.ledger.is_too_heavy(self.ledger.weight(entry))
    }

    /// Weight of the pinned entries held.
    pub fn pinned_weight(&self) -> u64 {
        self.ledger.pinned()
    }

    /// Departures the listener was not told of because its queue was full.
    pub fn untold(&self) -> u64 {
        self.door.exit.untold()
    }

    /// Number of shards, a power of two.
    pub fn shards(&self) -> usize {
        self.map.num_shards()
    }

    /// Puts an entry in that is pinned or heavier than the shards are always told in full.
    #[cold]
    fn insert_special(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        hash: u64,
        leaving: &mut Leaving<K, V>,
    ) -> SetOutcome {
        if self.ledger.enter_whole(&entry, hash) {
            return self.insert_plain(key, entry, leaving);
        }
        let _gate = self.gate.lock();
        // What the entry replaces gives its own room back before any other entry is asked to.
        if self.map.peek(&key).is_some_and(|old| self.ledger.is_special(&old)) {
            self.remove(&key, RemovalCause::Replaced, leaving);
        }
        if !self.make_room(&entry, leaving) {
            return self.refuse(key, entry, leaving);
        }
        self.ledger.enter(&entry, hash);
        self.insert_plain(key, entry, leaving)
    }

    /// Makes room for the part of a special entry that the shards are not told.
    fn make_room(&self, entry: &Entry<V>, leaving: &mut Leaving<K, V>) -> bool {
        // Each round but the last sees one heavy entry off. A heavy entry that is not found is
        // being removed by another thread at this moment.
        for _ in 0..ROOM_ROUNDS_MAX {
            match self.ledger.room_for(entry) {
                Room::Ready => return true,
                Room::Limit(limit) => self.map.set_capacity(limit),
                Room::Evict(hash) => self.evict_hash(hash, leaving),
                Room::None => return false,
            }
        }
        false
    }

    fn insert_plain(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        leaving: &mut Leaving<K, V>,
    ) -> SetOutcome {
        leaving.watch(&entry);
        self.map.insert_with_lifecycle(key, entry, leaving);
        if leaving.end_watch() { SetOutcome::Refused } else { SetOutcome::Stored }
    }

    fn refuse(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        leaving: &mut Leaving<K, V>,
    ) -> SetOutcome {
        self.remove(&key, RemovalCause::Replaced, leaving);
        self.door.exit.refuse(key, entry, leaving);
        SetOutcome::Refused
    }

    fn evict_hash(&self, hash: u64, leaving: &mut Leaving<K, V>) {
        if let Some((key, entry)) = self.map.remove(&self.hashed(hash)) {
            self.door.depart(key, entry, RemovalCause::Evicted, leaving);
        }
    }

    fn hashed(&self, hash: u64) -> HashedKey<'_> {
        HashedKey { hash, builder: &self.hasher }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> LocalStore<K, V> for MemoryStore<K, V> {
    type Leaving = Leaving<K, V>;

    #[inline]
    fn get<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<Arc<Entry<V>>> {
        self.map.get(key)
    }

    #[inline]
    fn peek<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<Arc<Entry<V>>> {
        self.map.peek(key)
    }

    fn insert(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        leaving: &mut Leaving<K, V>,
    ) -> SetOutcome {
        if self.is_too_heavy(&entry) {
            return self.refuse(key, entry, leaving);
        }
        let end = End::of(&entry);
        let priority = entry.priority();
        let is_special = self.ledger.is_special(&entry);
        let is_plain = !is_special && priority == Priority::Normal;
        if end.is_none() && is_plain {
            return self.insert_plain(key, entry, leaving);
        }
        let hash = self.hasher.hash_one(&key);
        if priority == Priority::Low && !self.map.contains_key(&key) {
            // Forgets that the policy has seen the key lately, which would let it enter as hot. An
            // entry that came in between is replaced a moment early.
            self.remove(&key, RemovalCause::Replaced, leaving);
        }
        let outcome = if is_special {
            self.insert_special(key, entry, hash, leaving)
        } else {
            self.insert_plain(key, entry, leaving)
        };
        if outcome != SetOutcome::Stored {
            return outcome;
        }
        if priority == Priority::High {
            self.map.get(&self.hashed(hash));
        }
        if let Some(end) = end {
            self.expiry.schedule(hash, end.at, &Turning { store: self, now: 0, leaving });
        }
        outcome
    }

    fn remove<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(
        &self,
        key: &Q,
        cause: RemovalCause,
        leaving: &mut Leaving<K, V>,
    ) -> Option<Arc<Entry<V>>> {
        let (key, entry) = self.map.remove(key)?;
        self.door.depart(key, Arc::clone(&entry), cause, leaving);
        Some(entry)
    }

    fn retain(
        &self,
        keep: impl Fn(&Scoped<K>, &Arc<Entry<V>>) -> bool,
        cause: RemovalCause,
        leaving: &mut Leaving<K, V>,
    ) {
        // quick_cache drops what it does not retain under the lock: a second handle carries the
        // value out of it.
        let gone = Mutex::new(Vec::new());
        self.map.retain(|key, entry| {
            let is_kept = keep(key, entry);
            if !is_kept {
                gone.lock().push((key.clone(), Arc::clone(entry)));
            }
            is_kept
        });
        for (key, entry) in gone.into_inner() {
            self.door.depart(key, entry, cause, leaving);
        }
    }

    /// Holds no lock while it visits; each item costs a lock and a clone of its key.
    fn for_each(&self, mut visit: impl FnMut(&Scoped<K>, &Arc<Entry<V>>)) {
        for (key, entry) in self.map.iter() {
            visit(&key, &entry);
        }
    }

    /// Also gives back room that was reserved for heavy entries and is no longer used.
    fn turn(&self, now: Millis, leaving: &mut Leaving<K, V>) {
        self.expiry.turn(now, &mut Turning { store: self, now, leaving });
        if let Some(_gate) = self.gate.try_lock()
            && let Some(limit) = self.ledger.relax()
        {
            self.map.set_capacity(limit);
        }
    }

    fn resize(&self, capacity: u64, leaving: &mut Leaving<K, V>) {
        let _gate = self.gate.lock();
        for hash in self.ledger.set_total(capacity) {
            self.evict_hash(hash, leaving);
        }
        self.map.set_capacity(self.ledger.shard_limit());
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            entries: self.map.len() as u64,
            weight: self.map.weight() + self.ledger.excess(),
            capacity: self.ledger.total(),
            evictions: self.door.exit.evictions.sum(),
            expirations: self.door.exit.expirations.load(Ordering::Relaxed),
            refusals: self.door.exit.refusals.load(Ordering::Relaxed),
        }
    }
}

/// A store during one turn.
struct Turning<'a, K: CacheKey, V: Send + Sync + 'static> {
    store: &'a MemoryStore<K, V>,
    now: Millis,
    leaving: &'a mut Leaving<K, V>,
}

impl<K: CacheKey, V: Send + Sync + 'static> Shelf for Turning<'_, K, V> {
    fn len(&self) -> usize {
        self.store.map.len()
    }

    fn end_of(&self, hash: u64) -> Option<End> {
        End::of(&self.store.map.peek(&self.store.hashed(hash))?)
    }

    fn drop_ended(&mut self, hash: u64) -> Option<End> {
        let store = self.store;
        let has_ended = |entry: &Arc<Entry<V>>| entry.freshness(self.now) == Freshness::Expired;
        match store.map.remove_if(&store.hashed(hash), has_ended) {
            Some((key, entry)) => {
                store.door.depart(key, entry, RemovalCause::Expired, self.leaving);
                None
            }
            None => self.end_of(hash),
        }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> fmt::Debug for MemoryStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
