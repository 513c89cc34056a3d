//! One shard: a table of slot numbers, the cells behind them, and the policy that chooses among
//! them.
//!
//! A look-up reads the table and one cell. A write first tells the policy of the hits since the
//! last one; slots are given to other entries only after that, so a hit is never told of an entry
//! that took the place of the one that was hit.

use std::hash::Hash;
use std::sync::Arc;

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use cache_enterprise_core::{
    Candidate, Entry, EvictionPolicy, Merit, Millis, Priority, RemovalCause, Scoped, Slot, Verdict,
};
use equivalent::Equivalent;
use hashbrown::HashTable;

use super::cell::{Cell, Marks, Resident, Standing};
use super::hits::Hits;
use super::room::Room;
use crate::expiry::End;
use crate::leaving::{Exit, Leaving};

/// What an entry of [`Priority::High`] is worth to policies that weigh worth, and one of
/// [`Priority::Low`] the other way round.
const HIGH_WORTH: f32 = 4.0;

/// A shard gives room to an entry of its own down to this part of an average share, in quarters;
/// below that another shard has more to spare.
const KEPT_QUARTERS: u64 = 3;

/// Cells of the first allocation, and at least so many more with each.
const GROWTH_MIN: usize = 16;

pub(super) struct Shard<K, V> {
    table: HashTable<u32>,
    cells: Vec<Cell<K, V>>,
    hits: Hits,
    /// Entries there will be in all likelihood.
    expected: usize,
    /// Empty cells.
    free: Vec<u32>,
    /// Never locked: readers must be able to pass by what is not `Sync`.
    policy: Mutex<Box<dyn EvictionPolicy>>,
    /// What speaks for the entry in each cell, for a policy that comes later; empty until the first
    /// of which a strategy says something.
    merits: Vec<Merit>,
    /// Entries that came with low priority, which makes each a stranger to the policy.
    strangers: u64,
}

/// What is known of a shard without its lock; written under it.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    entries: AtomicUsize,
    /// Weight of the entries that the policy may name.
    evictable: AtomicU64,
}

impl Gauge {
    pub(super) fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn evictable(&self) -> u64 {
        self.evictable.load(Ordering::Relaxed)
    }
}

/// What entries pass on their way into a shard and out of it.
pub(super) struct Way<'a, K, V> {
    pub(super) room: &'a Room,
    pub(super) gauge: &'a Gauge,
    pub(super) exit: &'a Exit<K, V>,
    pub(super) leaving: &'a mut Leaving<K, V>,
    pub(super) shards: usize,
}

/// An entry that wants to go in. If it is pinned, it is counted as such already.
pub(super) struct Newcomer<K, V> {
    pub(super) key: Scoped<K>,
    pub(super) entry: Arc<Entry<V>>,
    pub(super) hash: u64,
    pub(super) weight: u64,
    pub(super) merit: Merit,
    pub(super) ends_at: Option<Millis>,
    /// Whether the policy was told that it comes.
    pub(super) has_arrived: bool,
}

/// An entry that was looked up.
struct Found<'a, K, V> {
    slot: u32,
    cell: &'a Cell<K, V>,
    resident: &'a Resident<K, V>,
}

/// What became of a newcomer.
pub(super) enum Put<K, V> {
    In,
    /// The policy finds the others worth more.
    Refused(Newcomer<K, V>),
    /// So much room must be made in other shards.
    Short(Newcomer<K, V>, u64),
}

impl<K, V> Shard<K, V> {
    /// A shard in which there will be so many entries in all likelihood. Allocates for none.
    pub(super) fn new(policy: Box<dyn EvictionPolicy>, entries: usize) -> Self {
        Self {
            table: HashTable::new(),
            cells: Vec::new(),
            expected: entries,
            hits: Hits::new(policy.recording()),
            free: Vec::new(),
            merits: Vec::new(),
            policy: Mutex::new(policy),
            strangers: 0,
        }
    }

    /// The slot of the entry under `key`.
    pub(super) fn find<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(
        &self,
        hash: u64,
        key: &Q,
    ) -> Option<u32> {
        self.look_up(hash, key).map(|found| found.slot)
    }

    /// The entry under `key`; no use for the policy.
    #[inline]
    pub(super) fn peek<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(
        &self,
        hash: u64,
        key: &Q,
    ) -> Option<&Arc<Entry<V>>> {
        self.look_up(hash, key).map(|found| &found.resident.entry)
    }

    /// The entry under `key`, and its hit noted. Part of the caller, as the store says of its `get`.
    #[inline(always)]
    pub(super) fn hit<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(
        &self,
        hash: u64,
        key: &Q,
    ) -> Option<&Arc<Entry<V>>> {
        let Found { slot, cell, resident } = self.look_up(hash, key)?;
        self.note(slot, cell);
        Some(&resident.entry)
    }

    #[inline]
    fn note(&self, slot: u32, cell: &Cell<K, V>) {
        if cell.standing != Standing::Full {
            return;
        }
        match &self.hits {
            Hits::Nothing => {}
            Hits::Marks(max) => cell.count_hit(*max),
            Hits::Queue(ring) => ring.note(slot, &cell.mark),
        }
    }

    /// What was compared is handed out, so that a hit finds its cell once.
    #[inline(always)]
    fn look_up<Q: ?Sized + Hash + Equivalent<Scoped<K>>>(
        &self,
        hash: u64,
        key: &Q,
    ) -> Option<Found<'_, K, V>> {
        let mut found = None;
        self.table.find(hash, |slot| {
            let cell = &self.cells[*slot as usize];
            let resident = cell.resident.as_ref().filter(|held| key.equivalent(&held.key));
            found = resident.map(|resident| Found { slot: *slot, cell, resident });
            found.is_some()
        })?;
        found
    }

    /// The slot of an entry whose key has this hash.
    pub(super) fn find_hash(&self, hash: u64) -> Option<u32> {
        self.table.find(hash, |slot| self.hash_of(*slot) == hash).copied()
    }

    #[inline]
    pub(super) fn entry(&self, slot: u32) -> Option<&Arc<Entry<V>>> {
        self.cells[slot as usize].resident.as_ref().map(|resident| &resident.entry)
    }

    /// All entries, in no order.
    pub(super) fn residents(&self) -> impl Iterator<Item = (&Scoped<K>, &Arc<Entry<V>>)> {
        self.cells
            .iter()
            .filter_map(|cell| cell.resident.as_ref())
            .map(|resident| (&resident.key, &resident.entry))
    }

    pub(super) fn has_many_hits(&self) -> bool {
        self.hits.is_filling()
    }

    /// Tells the policy of the hits since the last write.
    pub(super) fn settle(&mut self) {
        if let Hits::Queue(ring) = &mut self.hits {
            let (policy, cells) = (self.policy.get_mut(), &self.cells);
            ring.drain(|slot| Some(&cells.get(slot.index())?.mark), |slot| policy.hit(slot));
        }
    }

    /// Puts the newcomer in, if its policy lets it and other shards need not help.
    pub(super) fn put(&mut self, mut newcomer: Newcomer<K, V>, way: &mut Way<'_, K, V>) -> Put<K, V>
    where
        Scoped<K>: Hash + Eq,
    {
        self.settle();
        let Newcomer { hash, weight, merit, ends_at, .. } = newcomer;
        let candidate = self.candidate(newcomer.entry.priority(), hash, weight, merit);
        let candidate = candidate.map(|candidate| candidate.ends_at(ends_at));
        let mut held = self.find(newcomer.hash, &newcomer.key);
        loop {
            if let (None, false, Some(candidate)) = (held, newcomer.has_arrived, &candidate) {
                newcomer.has_arrived = true;
                self.policy.get_mut().arrive(candidate);
            }
            let standing = held.map_or(0, |slot| self.weight_of(slot, way.room));
            let missing = newcomer.weight.saturating_sub(standing);
            if way.room.take(missing) {
                way.room.give_back(standing.saturating_sub(newcomer.weight));
                self.place(held, newcomer, candidate.as_ref(), way);
                return Put::In;
            }
            let kept = way.room.share(way.shards) / 4 * KEPT_QUARTERS;
            let evictable = way.gauge.evictable();
            if evictable == 0 || way.shards > 1 && evictable < kept {
                return Put::Short(newcomer, missing.saturating_sub(way.room.free()));
            }
            // For an entry that is there already only its growth needs room: it is not refused.
            let asking = if held.is_some() { None } else { candidate.as_ref() };
            match self.verdict(asking) {
                Some(slot) => {
                    self.take_out(slot, RemovalCause::Evicted, way);
                    held = held.filter(|held| *held != slot);
                }
                None => return Put::Refused(newcomer),
            }
        }
    }

    /// Takes the entry out of a slot and hands it to whom it may concern.
    pub(super) fn take_out(
        &mut self,
        slot: u32,
        cause: RemovalCause,
        way: &mut Way<'_, K, V>,
    ) -> Option<Arc<Entry<V>>> {
        let cell = self.cells.get_mut(slot as usize)?;
        let Resident { key, entry, hash } = cell.resident.take()?;
        let standing = cell.standing;
        if let Ok(found) = self.table.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
        self.forget(slot, &entry, standing, cause, way);
        way.room.give_back(way.room.weight(&entry));
        way.gauge.entries.store(way.gauge.entries() - 1, Ordering::Relaxed);
        way.exit.depart(key, Arc::clone(&entry), cause, way.leaving);
        Some(entry)
    }

    /// Takes out all that `keep` does not want.
    pub(super) fn retain(
        &mut self,
        keep: impl Fn(&Scoped<K>, &Arc<Entry<V>>) -> bool,
        cause: RemovalCause,
        way: &mut Way<'_, K, V>,
    ) {
        self.settle();
        for slot in 0..self.cells.len() as u32 {
            let resident = self.cells[slot as usize].resident.as_ref();
            if resident.is_some_and(|resident| !keep(&resident.key, &resident.entry)) {
                self.take_out(slot, cause, way);
            }
        }
    }

    /// Evicts until `wanted` is free, at most `most` entries.
    pub(super) fn shrink(&mut self, wanted: u64, most: usize, way: &mut Way<'_, K, V>) {
        self.settle();
        let mut freed = 0;
        for _ in 0..most {
            if freed >= wanted || way.gauge.evictable() == 0 {
                return;
            }
            let Some(slot) = self.verdict(None) else { return };
            freed += self.weight_of(slot, way.room);
            self.take_out(slot, RemovalCause::Evicted, way);
        }
    }

    /// Why the entry in a slot stands where it does, as its policy says.
    pub(super) fn account(&mut self, slot: u32) -> Option<String> {
        self.settle();
        match self.cells[slot as usize].standing {
            Standing::Untold => Some("pinned: never a candidate".to_owned()),
            Standing::Full | Standing::Silent => self.policy.get_mut().account(Slot(slot)),
        }
    }

    /// Another policy takes over. Hits are kept in another way for it, so that none are handed on.
    pub(super) fn exchange(&mut self, policy: Box<dyn EvictionPolicy>, room: &Room) {
        self.settle();
        self.hits = Hits::new(policy.recording());
        self.policy = Mutex::new(policy);
        let mut slots = Vec::new();
        for (slot, cell) in self.cells.iter().enumerate() {
            cell.mark.store(0, Ordering::Relaxed);
            if let Some(resident) = cell.resident.as_ref().filter(|_| cell.is_candidate()) {
                slots.push((resident.entry.created(), slot));
            }
        }
        slots.sort_unstable();
        for (_, slot) in slots {
            let Some(resident) = &self.cells[slot].resident else { continue };
            let entry = Arc::clone(&resident.entry);
            let (hash, weight) = (resident.hash, room.weight(&entry));
            let merit = self.merits.get(slot).copied().unwrap_or_default();
            let candidate = self.candidate(entry.priority(), hash, weight, merit);
            let Some(candidate) = candidate else { continue };
            let candidate = candidate.ends_at(End::of(&entry).map(|end| end.at));
            let policy = self.policy.get_mut();
            policy.arrive(&candidate);
            policy.insert(Slot(slot as u32), &candidate);
        }
    }

    /// Tells the policy what the shard may hold now.
    pub(super) fn resize(&mut self, capacity: u64) {
        self.settle();
        self.policy.get_mut().resize(capacity);
    }

    /// Whom the policy sends away. A policy that names nobody although somebody is there, or an
    /// empty slot, is overruled: the store must not fail with it.
    fn verdict(&mut self, newcomer: Option<&Candidate>) -> Option<u32> {
        let Self { policy, cells, .. } = self;
        match policy.get_mut().victim(newcomer, &Marks(cells)) {
            Verdict::Evict(slot) if cells.get(slot.index()).is_some_and(Cell::is_candidate) => {
                Some(slot.0)
            }
            Verdict::Refuse if newcomer.is_some() => None,
            _ => cells.iter().position(Cell::is_candidate).map(|slot| slot as u32),
        }
    }

    /// Puts the entry into the slot it stands in already, or into an empty one.
    fn place(
        &mut self,
        held: Option<u32>,
        newcomer: Newcomer<K, V>,
        candidate: Option<&Candidate>,
        way: &mut Way<'_, K, V>,
    ) {
        let Newcomer { key, entry, hash, weight, merit, .. } = newcomer;
        let standing = Standing::of(entry.priority());
        let is_high = entry.priority() == Priority::High;
        let resident = Resident { key, entry, hash };
        let slot = match held {
            Some(slot) => {
                self.replace(slot, resident, candidate, way);
                slot
            }
            None => {
                let slot = self.enter(resident, way);
                if let Some(candidate) = candidate {
                    self.policy.get_mut().insert(Slot(slot), candidate);
                }
                slot
            }
        };
        self.cells[slot as usize].standing = standing;
        self.keep_merit(slot, merit);
        if standing != Standing::Untold {
            way.gauge.evictable.store(way.gauge.evictable() + weight, Ordering::Relaxed);
        }
        if is_high {
            self.note(slot, &self.cells[slot as usize]);
        }
    }

    /// Remembers what a strategy says of an entry. A shard to which nobody ever said anything
    /// keeps nothing; load times are told anew with the next load.
    fn keep_merit(&mut self, slot: u32, merit: Merit) {
        let is_judged = merit.worth() != 1.0 || merit.class() != 0;
        if self.merits.is_empty() && !is_judged {
            return;
        }
        if self.merits.len() < self.cells.len() {
            self.merits.reserve_exact(self.cells.capacity() - self.merits.len());
            self.merits.resize(self.cells.len(), Merit::NORMAL);
        }
        self.merits[slot as usize] = merit;
    }

    fn enter(&mut self, resident: Resident<K, V>, way: &Way<'_, K, V>) -> u32 {
        let hash = resident.hash;
        let slot = self.free.pop().unwrap_or_else(|| {
            if self.cells.len() == self.cells.capacity() {
                self.cells.reserve_exact(growth_of(self.cells.len(), self.expected));
            }
            self.cells.push(Cell::empty());
            u32::try_from(self.cells.len() - 1).expect("a shard of 2^32 entries fits in no memory")
        });
        let cell = &mut self.cells[slot as usize];
        cell.resident = Some(resident);
        cell.mark.store(0, Ordering::Relaxed);
        let Self { table, cells, .. } = self;
        let hash_of = |slot: &u32| cells[*slot as usize].resident.as_ref().map_or(0, |r| r.hash);
        table.insert_unique(hash, slot, hash_of);
        way.gauge.entries.store(way.gauge.entries() + 1, Ordering::Relaxed);
        slot
    }

    /// The slot's entry gives way to a new one of the same key; its mark stays.
    fn replace(
        &mut self,
        slot: u32,
        resident: Resident<K, V>,
        candidate: Option<&Candidate>,
        way: &mut Way<'_, K, V>,
    ) {
        let cell = &mut self.cells[slot as usize];
        let was = cell.standing;
        if was == Standing::Untold {
            cell.mark.store(0, Ordering::Relaxed);
        }
        let old = cell.resident.replace(resident).expect("the slot was found in the table");
        match candidate {
            Some(candidate) if was != Standing::Untold => {
                self.uncount(&old.entry, was, way);
                self.policy.get_mut().update(Slot(slot), candidate);
            }
            Some(candidate) => {
                self.uncount(&old.entry, was, way);
                let policy = self.policy.get_mut();
                policy.arrive(candidate);
                policy.insert(Slot(slot), candidate);
            }
            None => self.forget(slot, &old.entry, was, RemovalCause::Replaced, way),
        }
        way.exit.depart(old.key, old.entry, RemovalCause::Replaced, way.leaving);
    }

    /// Tells the policy that an entry left, and takes it off the gauges.
    fn forget(
        &mut self,
        slot: u32,
        entry: &Arc<Entry<V>>,
        standing: Standing,
        cause: RemovalCause,
        way: &Way<'_, K, V>,
    ) {
        self.uncount(entry, standing, way);
        if standing != Standing::Untold {
            self.policy.get_mut().remove(Slot(slot), cause);
        }
    }

    fn uncount(&self, entry: &Arc<Entry<V>>, standing: Standing, way: &Way<'_, K, V>) {
        let weight = way.room.weight(entry);
        if standing == Standing::Untold {
            way.room.unpin(weight);
        } else {
            way.gauge.evictable.store(way.gauge.evictable() - weight, Ordering::Relaxed);
        }
    }

    /// What a policy is told of an entry; nothing of a pinned one.
    fn candidate(
        &mut self,
        priority: Priority,
        hash: u64,
        weight: u64,
        merit: Merit,
    ) -> Option<Candidate> {
        let name = mixed(hash);
        let (name, factor) = match priority {
            Priority::Pinned => return None,
            Priority::Normal => (name, 1.0),
            Priority::High => (name, HIGH_WORTH),
            Priority::Low => {
                self.strangers += 1;
                (mixed(name ^ self.strangers), 1.0 / HIGH_WORTH)
            }
        };
        Some(Candidate::new(name, weight).merit(merit.times(factor)))
    }

    fn weight_of(&self, slot: u32, room: &Room) -> u64 {
        self.entry(slot).map_or(0, |entry| room.weight(entry))
    }

    fn hash_of(&self, slot: u32) -> u64 {
        self.cells[slot as usize].resident.as_ref().map_or(0, |resident| resident.hash)
    }
}

/// How many cells are added to so many: as many again up to the expected ones, a sixteenth beyond.
/// Doubled to the end, a third of the room would be unused on average.
fn growth_of(cells: usize, expected: usize) -> usize {
    let more = if cells < expected { cells.min(expected - cells) } else { cells / 16 };
    more.max(GROWTH_MIN)
}

/// Another hash of the same key: the table and the choice of the shard use the bits of the first,
/// and a policy that samples by hash must not draw by those. The finish of MurmurHash3.
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}
