//! Requests through one policy.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use cache_enterprise_core::{
    Candidate, Capacity, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording,
    RemovalCause, Slot, Verdict,
};

use super::index::SlotIndex;
use super::{CpuTimer, Replay, Unit};

/// Every policy is made from this seed: a run can be repeated.
const SEED: u64 = 0x005e_eded;

/// Slots that are made at once even for a capacity given in bytes.
const ENTRIES_MAX: usize = 1 << 20;

/// What a run over requests came to.
///
/// ```
/// use cache_enterprise_workload::simulate::{Replay, lru};
///
/// let run = lru(&Replay::of_ids("two", [1, 1]), 1);
/// assert_eq!(run.miss_ratio(), 0.5);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// All requests.
    pub requests: u64,
    /// Those that were not answered from the cache.
    pub misses: u64,
    /// Processor time of all requests, with the look-up where there is one: [`opt`](super::opt) and
    /// [`lru`](super::lru()) go by numbers that the objects were given before.
    pub cpu: Duration,
}

impl Run {
    /// Misses as a share of the requests; 0 without any.
    pub fn miss_ratio(&self) -> f64 {
        self.misses as f64 / self.requests.max(1) as f64
    }

    /// Processor time of one request in nanoseconds; 0 without any.
    pub fn ns_per_request(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.requests.max(1) as f64
    }
}

/// A cache without values: hashes in slots, and a policy that says which leaves.
///
/// It calls the policy as a store would: [`arrive`](EvictionPolicy::arrive) on a miss,
/// [`victim`](EvictionPolicy::victim) while room is missing, [`insert`](EvictionPolicy::insert)
/// unless the newcomer is refused. What the capacity does not [admit](Capacity::admits) goes past,
/// and the policy hears nothing of it. Hits are told at once, or counted in marks. A request costs one
/// probe of a table besides what the policy does, and no allocation once the cache is full.
///
/// ```
/// use cache_enterprise_core::*;
/// use cache_enterprise_workload::simulate::Simulator;
///
/// /// Keeps what came first for ever.
/// #[derive(Debug)]
/// struct Frozen;
///
/// impl EvictionPolicy for Frozen {
///     fn recording(&self) -> Recording {
///         Recording::Nothing
///     }
///     fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
///         Verdict::Refuse
///     }
///     fn insert(&mut self, _: Slot, _: &Candidate) {}
///     fn remove(&mut self, _: Slot, _: RemovalCause) {}
/// }
///
/// let mut cache = Simulator::of_policy(Box::new(Frozen), Capacity::entries(2));
/// let hits: Vec<bool> =
///     [1, 2, 3, 1, 3].map(|hash| cache.request(hash)).into_iter().collect::<Result<_, _>>()?;
/// assert_eq!(hits, [false, false, false, true, false]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Simulator {
    policy: Box<dyn EvictionPolicy>,
    recording: Recording,
    index: SlotIndex,
    entries: Entries,
    marks: Marks,
    capacity: Capacity,
    weight: u64,
    requests: u64,
    misses: u64,
}

impl Simulator {
    /// A cache of this capacity with a policy from this factory.
    pub fn new(factory: &dyn PolicyFactory, capacity: Capacity) -> Self {
        let shape = PolicyShape::new(capacity.limit(), expected(capacity), SEED);
        Self::of_policy(factory.create(&shape), capacity)
    }

    /// A cache of this capacity under this policy.
    pub fn of_policy(policy: Box<dyn EvictionPolicy>, capacity: Capacity) -> Self {
        let entries = expected(capacity);
        Self {
            recording: policy.recording(),
            policy,
            index: SlotIndex::new(entries),
            entries: Entries::with_capacity(entries),
            marks: Marks(Vec::with_capacity(entries)),
            capacity,
            weight: 0,
            requests: 0,
            misses: 0,
        }
    }

    /// Asks for the object of this hash, which weighs 1, and puts it in where it was missing.
    /// Whether it was there.
    ///
    /// # Errors
    /// A [`PolicyFault`]; the cache is of no use afterwards.
    #[inline]
    pub fn request(&mut self, hash: u64) -> Result<bool, PolicyFault> {
        self.ask(&Candidate::new(hash, 1))
    }

    /// Asks for the object of which all this is known. One that the capacity does not
    /// [admit](Capacity::admits) is never put in. The weight of an object that is there stays what
    /// it was; 0 counts as 1.
    ///
    /// # Errors
    /// A [`PolicyFault`]; the cache is of no use afterwards.
    #[inline]
    pub fn ask(&mut self, candidate: &Candidate) -> Result<bool, PolicyFault> {
        self.requests += 1;
        let Some(slot) = self.index.get(candidate.hash) else {
            self.misses += 1;
            return self.fill(*candidate).map(|()| false);
        };
        match self.recording {
            Recording::Nothing => {}
            Recording::Marks { max } => self.marks.count(slot, max),
            Recording::Queue => self.policy.hit(slot),
        }
        Ok(true)
    }

    /// All requests of a replay, weighed in the unit of the capacity.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn run(&mut self, replay: &Replay) -> Result<Run, PolicyFault> {
        let unit = Unit::of(self.capacity);
        let (requests, misses) = (self.requests, self.misses);
        let timer = CpuTimer::start();
        for (at, hash) in replay.hashes().iter().enumerate() {
            self.ask(&Candidate::new(*hash, replay.weight(at, unit)))?;
        }
        let cpu = timer.elapsed();
        Ok(Run { requests: self.requests - requests, misses: self.misses - misses, cpu })
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Misses so far.
    pub fn misses(&self) -> u64 {
        self.misses
    }

    fn fill(&mut self, mut newcomer: Candidate) -> Result<(), PolicyFault> {
        newcomer.weight = newcomer.weight.max(1);
        if !self.capacity.admits(newcomer.weight) {
            return Ok(());
        }
        self.policy.arrive(&newcomer);
        while self.weight + newcomer.weight > self.capacity.limit() {
            match self.policy.victim(Some(&newcomer), &self.marks) {
                Verdict::Evict(slot) => self.evict(slot)?,
                Verdict::Refuse => return Ok(()),
            }
        }
        let slot = self.entries.put(newcomer.hash, newcomer.weight);
        self.marks.reset(slot);
        self.weight += newcomer.weight;
        self.index.insert(newcomer.hash, slot);
        self.policy.insert(slot, &newcomer);
        Ok(())
    }

    fn evict(&mut self, slot: Slot) -> Result<(), PolicyFault> {
        let Some((hash, weight)) = self.entries.take(slot) else {
            return Err(PolicyFault { slot, request: self.requests });
        };
        self.index.remove(hash);
        self.weight -= weight;
        self.policy.remove(slot, RemovalCause::Evicted);
        Ok(())
    }
}

fn expected(capacity: Capacity) -> usize {
    usize::try_from(capacity.limit()).unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX)
}

/// What lies in each slot. Slots are dense: one that became free is the next to be used.
#[derive(Debug, Default)]
struct Entries {
    /// Hash and weight; a weight of 0 is a free slot.
    entries: Vec<(u64, u64)>,
    free: Vec<u32>,
}

impl Entries {
    fn with_capacity(entries: usize) -> Self {
        Self { entries: Vec::with_capacity(entries), free: Vec::new() }
    }

    fn put(&mut self, hash: u64, weight: u64) -> Slot {
        if let Some(free) = self.free.pop() {
            self.entries[free as usize] = (hash, weight);
            return Slot(free);
        }
        self.entries.push((hash, weight));
        Slot((self.entries.len() - 1) as u32)
    }

    fn take(&mut self, slot: Slot) -> Option<(u64, u64)> {
        let entry = self.entries.get_mut(slot.index())?;
        let (hash, weight) = *entry;
        if weight == 0 {
            return None;
        }
        entry.1 = 0;
        self.free.push(slot.0);
        Some((hash, weight))
    }
}

/// The hits of each slot since the policy last looked.
#[derive(Debug)]
struct Marks(Vec<Cell<u8>>);

impl Marks {
    #[inline]
    fn count(&self, slot: Slot, max: u8) {
        let mark = &self.0[slot.index()];
        if mark.get() < max {
            mark.set(mark.get() + 1);
        }
    }

    fn reset(&mut self, slot: Slot) {
        if slot.index() >= self.0.len() {
            self.0.resize(slot.index() + 1, Cell::new(0));
        }
        self.0[slot.index()].set(0);
    }
}

impl HitMarks for Marks {
    fn take(&self, slot: Slot) -> u8 {
        self.0.get(slot.index()).map_or(0, Cell::take)
    }

    fn set(&self, slot: Slot, count: u8) {
        if let Some(mark) = self.0.get(slot.index()) {
            mark.set(count);
        }
    }
}

/// The policy named a slot that holds nothing: it has lost track of what is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyFault {
    /// The slot it named.
    pub slot: Slot,
    /// At which request, counted from 1.
    pub request: u64,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at request {} the policy evicts from slot {}, which holds nothing",
            self.request, self.slot.0
        )
    }
}

impl Error for PolicyFault {}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// First in, first out, where it does not misbehave.
    #[derive(Debug, Default)]
    struct Fifo {
        order: VecDeque<Slot>,
        recording: Option<Recording>,
        /// Hits of each victim that was asked for.
        seen: Vec<u8>,
        /// Newcomers it was told of.
        arrived: u64,
        forgets: bool,
    }

    impl EvictionPolicy for Fifo {
        fn recording(&self) -> Recording {
            self.recording.unwrap_or(Recording::Nothing)
        }

        fn arrive(&mut self, _: &Candidate) {
            self.arrived += 1;
        }

        fn victim(&mut self, _: Option<&Candidate>, marks: &dyn HitMarks) -> Verdict {
            match self.order.pop_front() {
                Some(slot) => {
                    self.seen.push(marks.take(slot));
                    if self.forgets {
                        self.order.push_front(slot);
                    }
                    Verdict::Evict(slot)
                }
                None => Verdict::Refuse,
            }
        }

        fn insert(&mut self, slot: Slot, _: &Candidate) {
            self.order.push_back(slot);
        }

        fn hit(&mut self, slot: Slot) {
            self.order.retain(|other| *other != slot);
            self.order.push_back(slot);
        }

        fn remove(&mut self, _: Slot, cause: RemovalCause) {
            assert_eq!(cause, RemovalCause::Evicted);
        }
    }

    fn hits(policy: Fifo, capacity: u64, hashes: &[u64]) -> Vec<bool> {
        let mut cache = Simulator::of_policy(Box::new(policy), Capacity::entries(capacity));
        hashes.iter().map(|hash| cache.request(*hash).unwrap_or(false)).collect()
    }

    #[test]
    fn hits_are_told_at_once_to_a_queue_and_not_otherwise() {
        let requests = [1, 2, 1, 3, 1];
        let plain = hits(Fifo::default(), 2, &requests);
        assert_eq!(plain, [false, false, true, false, false]);
        let queue = Fifo { recording: Some(Recording::Queue), ..Fifo::default() };
        assert_eq!(hits(queue, 2, &requests), [false, false, true, false, true]);
    }

    #[test]
    fn marks_count_up_to_their_limit_and_start_from_zero() {
        let marks = Fifo { recording: Some(Recording::Marks { max: 2 }), ..Fifo::default() };
        let mut cache = Simulator::of_policy(Box::new(marks), Capacity::entries(1));
        // Three hits count as two; the slot is used again by 9, which has none.
        for hash in [5, 5, 5, 5, 9, 4] {
            assert!(cache.request(hash).is_ok());
        }
        assert!(format!("{:?}", cache.policy).contains("seen: [2, 0]"), "{cache:?}");
        assert_eq!((cache.requests(), cache.misses()), (6, 3));
    }

    #[test]
    fn a_heavy_object_makes_several_leave_and_one_over_a_quarter_none() {
        let mut cache = Simulator::of_policy(Box::new(Fifo::default()), Capacity::bytes(20));
        let mut ask = |hash, weight| cache.ask(&Candidate::new(hash, weight));
        for hash in 1..=20 {
            assert_eq!(ask(hash, 1), Ok(false));
        }
        assert_eq!([ask(21, 6), ask(1, 1), ask(21, 6)], [Ok(false), Ok(true), Ok(false)]);
        assert_eq!([ask(22, 5), ask(22, 5), ask(6, 1)], [Ok(false), Ok(true), Ok(true)]);
        assert_eq!([ask(1, 1), ask(5, 1), ask(8, 1)], [Ok(false), Ok(false), Ok(true)]);
        assert!(format!("{:?}", cache.policy).contains("arrived: 23"), "{cache:?}");
    }

    #[test]
    fn an_object_without_weight_counts_as_one() {
        let mut cache = Simulator::of_policy(Box::new(Fifo::default()), Capacity::bytes(4));
        let mut ask = |hash| cache.ask(&Candidate::new(hash, 0));
        assert!((0..6).all(|hash| ask(hash) == Ok(false)));
        assert_eq!([2, 5, 1].map(ask), [Ok(true), Ok(true), Ok(false)]);
    }

    #[test]
    fn a_policy_that_evicts_what_is_gone_is_found_out() {
        let policy = Fifo { forgets: true, ..Fifo::default() };
        let mut cache = Simulator::of_policy(Box::new(policy), Capacity::bytes(8));
        let mut ask = |hash, weight| cache.ask(&Candidate::new(hash, weight));
        assert!((0..8).all(|hash| ask(hash, 1) == Ok(false)));
        // Room for two is asked for, and the first victim is named twice.
        let outcome = ask(8, 2);
        let fault = outcome.expect_err("a slot was named twice");
        assert_eq!(fault.slot, Slot(0));
        assert!(fault.to_string().ends_with("evicts from slot 0, which holds nothing"));
    }
}
