//! A store in which a policy chosen by name decides what leaves.

mod cell;
mod hits;
mod room;
mod shard;

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Counted, AtomicUsize as Turned, Ordering};

use cache_enterprise_core::sync::{MapHashBuilder, RwLock};
use cache_enterprise_core::{
    CacheKey, Entry, EvictionPolicy, Freshness, LocalStore, Merit, Millis, PolicyFactory,
    PolicyShape, Priority, RemovalCause, Scoped, SetOutcome, StoreStats,
};
use equivalent::Equivalent;

use self::room::Room;
use self::shard::{Gauge, Newcomer, Put, Shard, Way};
use crate::config::StoreConfig;
use crate::expiry::{End, Expiry, Shelf};
use crate::leaving::{Exit, Leaving};

/// Rounds of making room that bring an entry no closer to going in before it is refused: others took
/// what was freed.
const IDLE_ROUNDS_MAX: usize = 4_096;

/// Entries evicted from one shard before its lock is let go.
const BATCH: usize = 64;

/// Typed entries in memory, under an [eviction policy](cache_enterprise_core::EvictionPolicy) of
/// one's own choice: sharded, bounded by weight, one policy a shard.
///
/// A hit is one look-up under a shard's read lock and one reference count. It never calls the
/// policy: it does nothing, counts in the entry's cell, or notes the slot in its shard's list of
/// hits, of which the policy is told at the shard's next write. The list keeps the last 128 slots,
/// and up to three hits of each.
///
/// The shards share one capacity. Each evicts for its own newcomers as long as it holds three
/// quarters of an average share; below that, room comes from the shard with most to evict. So an
/// entry of up to a quarter of the capacity is admitted whatever the shard count, a heavier one
/// is [`SetOutcome::Refused`], and the sum of weights never passes the capacity. A policy may
/// refuse a newcomer too.
///
/// The policy is told what [speaks for](Merit) an entry that [came with it](LocalStore::insert_with).
///
/// How [`Priority`] is kept: `Low` is a stranger to the policy each time it comes, is told as
/// worth a quarter, and its hits are not counted; `High` is told as worth four times as much and
/// comes with one hit in advance; `Pinned` is no candidate at all, counts in full, and is refused
/// where pinned entries would leave less than a quarter of the capacity to others.
///
/// ```
/// use std::collections::VecDeque;
/// use std::sync::Arc;
/// use cache_enterprise_core::*;
/// use cache_enterprise_memory::{Leaving, PolicyStore, StoreConfig};
///
/// /// What came last leaves first.
/// #[derive(Debug, Default)]
/// struct Stack(Vec<Slot>);
///
/// impl EvictionPolicy for Stack {
///     fn recording(&self) -> Recording {
///         Recording::Nothing
///     }
///     fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
///         self.0.last().map_or(Verdict::Refuse, |last| Verdict::Evict(*last))
///     }
///     fn insert(&mut self, slot: Slot, _: &Candidate) {
///         self.0.push(slot);
///     }
///     fn remove(&mut self, slot: Slot, _: RemovalCause) {
///         self.0.retain(|other| *other != slot);
///     }
/// }
///
/// #[derive(Debug)]
/// struct Stacks;
///
/// impl PolicyFactory for Stacks {
///     fn name(&self) -> &str {
///         "stack"
///     }
///     fn create(&self, _: &PolicyShape) -> Box<dyn EvictionPolicy> {
///         Box::new(Stack::default())
///     }
/// }
///
/// let store = PolicyStore::<u64, &str>::new(StoreConfig::new(Capacity::entries(2)), &Stacks);
/// for (key, name) in [(1, "Ada"), (2, "Grace"), (3, "Edith")] {
///     let entry = Entry::new(name, Sequence(1), 0, Dates::lasting(0, None)).with_weight(1);
///     store.insert(Scoped { tenant: 0, key }, Arc::new(entry), &mut Leaving::default());
/// }
/// let held = |key| store.get(&ScopedRef { tenant: 0, key: &key }).is_some();
/// assert_eq!([1, 2, 3].map(held), [true, false, true]);
/// ```
pub struct PolicyStore<K: CacheKey, V: Send + Sync + 'static> {
    /// A power of two.
    parts: Box<[Part<K, V>]>,
    hasher: MapHashBuilder,
    room: Room,
    /// Its counters fill more than a kilobyte; beside the shards they would be in the way.
    exit: Box<Exit<K, V>>,
    expiry: Expiry,
    strategy: RwLock<Arc<str>>,
    /// Entries a shard is expected to hold.
    entries: usize,
    /// Newcomers that a policy refused.
    turned_away: Counted,
    /// The shard whose hits the next turn settles.
    turn: Turned,
}

/// A shard, and what is known of it without its lock: in lines of memory of its own, so that a hit
/// reads one and waits for no other shard's.
#[repr(align(64))]
struct Part<K, V> {
    shard: RwLock<Shard<K, V>>,
    gauge: Gauge,
}

impl<K: CacheKey, V: Send + Sync + 'static> PolicyStore<K, V> {
    /// A store of this configuration, with one policy of `factory` a shard. Starts a thread only
    /// for a listener. What the configuration says of remembered keys is the policy's own affair
    /// and unused.
    pub fn new(config: StoreConfig<K, V>, factory: &dyn PolicyFactory) -> Self {
        let shards = config.policy_shard_count();
        let room = Room::new(config.capacity);
        let entries = config.items().div_ceil(shards);
        let policies = policies(factory, room.total(), shards, entries);
        let part = |policy: Box<dyn EvictionPolicy>| {
            let shard = Shard::new(policy, entries);
            Part { shard: RwLock::new(shard), gauge: Gauge::default() }
        };
        Self {
            parts: policies.map(part).collect(),
            hasher: MapHashBuilder::default(),
            exit: Box::new(Exit::open(config.clock.clone(), config.listener.clone())),
            expiry: Expiry::new(shards.min(8)),
            strategy: RwLock::new(factory.name().into()),
            entries,
            turned_away: Counted::new(0),
            turn: Turned::new(0),
            room,
        }
    }

    /// The name of the policy that decides.
    pub fn strategy(&self) -> Arc<str> {
        Arc::clone(&self.strategy.read())
    }

    /// Lets policies of `factory` decide from now on. Nothing leaves; the new policies are told of
    /// what is held, the oldest first, and know nothing of its hits. Holds one shard's lock at a
    /// time, for a pass over its entries.
    pub fn exchange(&self, factory: &dyn PolicyFactory) {
        let mut name = self.strategy.write();
        let (total, shards) = (self.room.total(), self.parts.len());
        let policies = policies(factory, total, shards, self.entries);
        for (part, policy) in self.parts.iter().zip(policies) {
            let mut shard = part.shard.write();
            shard.exchange(policy, &self.room);
            // A `resize` since they were made may have told only the policy that was here before.
            let now = self.room.total();
            if now != total {
                shard.resize(share_of(now, shards));
            }
        }
        *name = factory.name().into();
    }

    /// Entries held now.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.gauge.entries()).sum()
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an entry stands under `key`, fresh or not; no use for the policy.
    pub fn contains<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> bool {
        let hash = self.hasher.hash_one(key);
        self.part(hash).shard.read().peek(hash, key).is_some()
    }

    /// The keys and entries, in no order. No lock is held between two items; the handles of one
    /// shard are collected at a time.
    pub fn iter(&self) -> impl Iterator<Item = (Scoped<K>, Arc<Entry<V>>)> {
        self.parts.iter().flat_map(|part| {
            let shard = part.shard.read();
            let copied = shard.residents().map(|(key, entry)| (key.clone(), Arc::clone(entry)));
            copied.collect::<Vec<_>>()
        })
    }

    /// In words, why the entry under `key` stands where it does; `None` where there is none, or the
    /// policy cannot say. For people: takes the shard's write lock, and some policies look at every
    /// entry of the shard.
    pub fn account<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<String> {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.part(hash).shard.write();
        let slot = shard.find(hash, key)?;
        shard.account(slot)
    }

    /// Weight of the pinned entries held.
    pub fn pinned_weight(&self) -> u64 {
        self.room.pinned()
    }

    /// Newcomers the policy refused, ever; they are among [`StoreStats::refusals`].
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Departures the listener was not told of because its queue was full.
    pub fn untold(&self) -> u64 {
        self.exit.untold()
    }

    /// Number of shards, a power of two.
    pub fn shards(&self) -> usize {
        self.parts.len()
    }

    /// The table uses the lowest and the highest bits of a hash.
    #[inline]
    fn part(&self, hash: u64) -> &Part<K, V> {
        &self.parts[(hash >> 32) as usize & (self.parts.len() - 1)]
    }

    fn way<'a>(&'a self, part: &'a Part<K, V>, leaving: &'a mut Leaving<K, V>) -> Way<'a, K, V> {
        let (room, exit, shards) = (&self.room, &self.exit, self.parts.len());
        Way { room, gauge: &part.gauge, exit, leaving, shards }
    }

    /// Counts the newcomer as pinned, if it is and may be.
    fn pin(&self, newcomer: &Newcomer<K, V>, leaving: &mut Leaving<K, V>) -> bool {
        if newcomer.entry.priority() != Priority::Pinned || self.room.pin(newcomer.weight) {
            return true;
        }
        // What it replaces may be pinned too, and gives its own room back first.
        self.remove(&newcomer.key, RemovalCause::Replaced, leaving);
        self.room.pin(newcomer.weight)
    }

    fn put(&self, mut newcomer: Newcomer<K, V>, leaving: &mut Leaving<K, V>) -> SetOutcome {
        let part = self.part(newcomer.hash);
        let (mut least, mut idle) = (u64::MAX, 0);
        while idle < IDLE_ROUNDS_MAX {
            let put = part.shard.write().put(newcomer, &mut self.way(part, leaving));
            let short;
            (newcomer, short) = match put {
                Put::In => return SetOutcome::Stored,
                Put::Refused(newcomer) => {
                    self.turned_away.fetch_add(1, Ordering::Relaxed);
                    return self.refuse(newcomer, leaving);
                }
                Put::Short(newcomer, short) => (newcomer, short),
            };
            if short > 0 && !self.evict_anywhere(short, leaving) {
                break;
            }
            idle = if short < least { 0 } else { idle + 1 };
            least = least.min(short);
        }
        self.refuse(newcomer, leaving)
    }

    fn refuse(&self, newcomer: Newcomer<K, V>, leaving: &mut Leaving<K, V>) -> SetOutcome {
        if newcomer.entry.priority() == Priority::Pinned {
            self.room.unpin(newcomer.weight);
        }
        self.turn_down(newcomer, leaving)
    }

    /// Refuses an entry that is not counted as pinned.
    fn turn_down(&self, newcomer: Newcomer<K, V>, leaving: &mut Leaving<K, V>) -> SetOutcome {
        self.remove(&newcomer.key, RemovalCause::Replaced, leaving);
        self.exit.refuse(newcomer.key, newcomer.entry, leaving);
        SetOutcome::Refused
    }

    /// Evicts from the shard with most to evict; `false` if none has anything.
    #[cold]
    fn evict_anywhere(&self, wanted: u64, leaving: &mut Leaving<K, V>) -> bool {
        let Some(fullest) = self.parts.iter().max_by_key(|part| part.gauge.evictable()) else {
            return false;
        };
        if fullest.gauge.evictable() == 0 {
            return false;
        }
        fullest.shard.write().shrink(wanted, BATCH, &mut self.way(fullest, leaving));
        true
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> LocalStore<K, V> for PolicyStore<K, V> {
    type Leaving = Leaving<K, V>;

    // A hit is one piece of code from its caller's poll to the shard's table. Left to the compiler it
    // is three calls, which save and restore registers for a fifth of its instructions.
    #[inline(always)]
    fn get<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<Arc<Entry<V>>> {
        let hash = self.hasher.hash_one(key);
        self.part(hash).shard.read().hit(hash, key).cloned()
    }

    #[inline]
    fn peek<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(&self, key: &Q) -> Option<Arc<Entry<V>>> {
        let hash = self.hasher.hash_one(key);
        self.part(hash).shard.read().peek(hash, key).cloned()
    }

    fn insert(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        leaving: &mut Leaving<K, V>,
    ) -> SetOutcome {
        self.insert_with(key, entry, Merit::NORMAL, leaving)
    }

    fn insert_with(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        merit: Merit,
        leaving: &mut Leaving<K, V>,
    ) -> SetOutcome {
        let hash = self.hasher.hash_one(&key);
        let weight = self.room.weight(&entry);
        let end = End::of(&entry);
        let ends_at = end.map(|end| end.at);
        let newcomer = Newcomer { key, entry, hash, weight, merit, ends_at, has_arrived: false };
        if self.room.is_too_heavy(weight) || !self.pin(&newcomer, leaving) {
            return self.turn_down(newcomer, leaving);
        }
        let outcome = self.put(newcomer, leaving);
        if outcome == SetOutcome::Stored
            && let Some(end) = end
        {
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
        let hash = self.hasher.hash_one(key);
        let part = self.part(hash);
        let mut shard = part.shard.write();
        let slot = shard.find(hash, key)?;
        shard.settle();
        shard.take_out(slot, cause, &mut self.way(part, leaving))
    }

    fn retain(
        &self,
        keep: impl Fn(&Scoped<K>, &Arc<Entry<V>>) -> bool,
        cause: RemovalCause,
        leaving: &mut Leaving<K, V>,
    ) {
        for part in &self.parts {
            part.shard.write().retain(&keep, cause, &mut self.way(part, leaving));
        }
    }

    /// Holds no lock while it visits; the handles of one shard are collected at a time.
    fn for_each(&self, mut visit: impl FnMut(&Scoped<K>, &Arc<Entry<V>>)) {
        for (key, entry) in self.iter() {
            visit(&key, &entry);
        }
    }

    /// Also tells the policy of one shard of its hits, where many wait and no write comes.
    fn turn(&self, now: Millis, leaving: &mut Leaving<K, V>) {
        self.expiry.turn(now, &mut Turning { store: self, now, leaving });
        let number = self.turn.fetch_add(1, Ordering::Relaxed) & (self.parts.len() - 1);
        let shard = &self.parts[number].shard;
        let has_many = shard.read().has_many_hits();
        if has_many {
            shard.write().settle();
        }
    }

    fn resize(&self, capacity: u64, leaving: &mut Leaving<K, V>) {
        self.room.set_total(capacity);
        let share = share_of(self.room.total(), self.parts.len());
        for part in &self.parts {
            part.shard.write().resize(share);
        }
        while self.room.excess() > 0 && self.evict_anywhere(self.room.excess(), leaving) {}
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            entries: self.len() as u64,
            weight: self.room.used(),
            capacity: self.room.total(),
            evictions: self.exit.evictions.sum(),
            expirations: self.exit.expirations.load(Ordering::Relaxed),
            refusals: self.exit.refusals.load(Ordering::Relaxed),
        }
    }
}

/// A policy for each of so many shards of so many entries.
fn policies(
    factory: &dyn PolicyFactory,
    total: u64,
    shards: usize,
    entries: usize,
) -> impl Iterator<Item = Box<dyn EvictionPolicy>> {
    let shape = |number: usize| PolicyShape::new(share_of(total, shards), entries, number as u64);
    let shapes: Vec<_> = (0..shards).map(shape).collect();
    let mut made = factory.create_all(&shapes).into_iter();
    // A factory that gives too few is asked for one at a time.
    shapes.into_iter().map(move |shape| made.next().unwrap_or_else(|| factory.create(&shape)))
}

/// What a policy is told that its shard may hold.
fn share_of(total: u64, shards: usize) -> u64 {
    total.div_ceil(shards as u64).max(1)
}

/// A store during one turn.
struct Turning<'a, K: CacheKey, V: Send + Sync + 'static> {
    store: &'a PolicyStore<K, V>,
    now: Millis,
    leaving: &'a mut Leaving<K, V>,
}

impl<K: CacheKey, V: Send + Sync + 'static> Shelf for Turning<'_, K, V> {
    fn len(&self) -> usize {
        self.store.len()
    }

    fn end_of(&self, hash: u64) -> Option<End> {
        let shard = self.store.part(hash).shard.read();
        End::of(shard.entry(shard.find_hash(hash)?)?)
    }

    fn drop_ended(&mut self, hash: u64) -> Option<End> {
        let part = self.store.part(hash);
        let mut shard = part.shard.write();
        let slot = shard.find_hash(hash)?;
        let entry = shard.entry(slot)?;
        if entry.freshness(self.now) != Freshness::Expired {
            return End::of(entry);
        }
        shard.settle();
        shard.take_out(slot, RemovalCause::Expired, &mut self.store.way(part, self.leaving));
        None
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> fmt::Debug for PolicyStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyStore")
            .field("strategy", &self.strategy())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
