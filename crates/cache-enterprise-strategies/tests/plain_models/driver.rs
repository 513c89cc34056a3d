//! A small store that runs a policy and its plain model side by side.

use std::cell::RefCell;
use std::collections::HashMap;

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause, Slot,
    Verdict,
};
use proptest::prelude::*;

/// What a policy should do, written so that it is obviously right. It speaks of hashes.
pub(crate) trait Plain {
    fn hit(&mut self, hash: u64);
    fn arrive(&mut self, _: &Candidate) {}
    /// The hash that leaves; nothing refuses the newcomer.
    fn victim(&mut self, newcomer: Option<&Candidate>) -> Option<u64>;
    fn insert(&mut self, newcomer: &Candidate);
    fn update(&mut self, candidate: &Candidate);
    fn remove(&mut self, hash: u64, evicted: bool);
    fn resize(&mut self, _: u64) {}
}

/// One thing that happens to the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Read the key, and bring it in if it is not there.
    Read {
        key: u64,
        weight: u64,
    },
    /// Replace the value of the key if it is there.
    Write {
        key: u64,
        weight: u64,
    },
    Remove {
        key: u64,
    },
    Resize {
        capacity: u64,
    },
}

/// Requests with hot keys, scans and loops over up to 60 keys, among them a few other steps.
/// Weights are 1 up to `weight_max`; capacities change only with `resizes`.
pub(crate) fn steps(weight_max: u64, resizes: bool) -> impl Strategy<Value = Vec<Step>> {
    let key = prop_oneof![3 => 0u64..8, 2 => 0u64..25, 1 => 0u64..60];
    let weight = 1..=weight_max;
    let read = (key.clone(), weight.clone()).prop_map(|(key, weight)| Step::Read { key, weight });
    let write = (key.clone(), weight).prop_map(|(key, weight)| Step::Write { key, weight });
    let remove = key.prop_map(|key| Step::Remove { key });
    let resize = (5u64..40).prop_map(|capacity| Step::Resize { capacity });
    let one = prop_oneof![30 => read, 2 => write, 1 => remove];
    let scan = (0u64..60, 1u64..30)
        .prop_map(|(from, len)| (from..from + len).map(read_one).collect::<Vec<_>>());
    let some = prop_oneof![
        20 => prop::collection::vec(one, 1..20),
        3 => scan,
        if resizes { 1 } else { 0 } => resize.prop_map(|step| vec![step]),
    ];
    prop::collection::vec(some, 1..40).prop_map(|parts| parts.concat())
}

fn read_one(key: u64) -> Step {
    Step::Read { key, weight: 1 }
}

/// The hash of a key. Worth, class and end of an entry follow from the key as well.
pub(crate) fn candidate(key: u64, weight: u64) -> Candidate {
    let hash = (key + 1).wrapping_mul(0x2545_f491_4f6c_dd1d);
    let (worth, class) = [(1.0, 0), (8.0, 1), (0.25, 2), (8.0, 3)][key as usize % 4];
    let ends_at = (!key.is_multiple_of(3)).then_some(1_000 + key * 37 % 11);
    Candidate::new(hash, weight).worth(worth, class).ends_at(ends_at)
}

struct Counts {
    max: u8,
    counts: RefCell<HashMap<Slot, u8>>,
}

impl HitMarks for Counts {
    fn take(&self, slot: Slot) -> u8 {
        self.counts.borrow_mut().remove(&slot).unwrap_or(0)
    }

    fn set(&self, slot: Slot, count: u8) {
        self.counts.borrow_mut().insert(slot, count);
    }
}

struct Store<'a> {
    policy: Box<dyn EvictionPolicy>,
    plain: &'a mut dyn Plain,
    recording: Recording,
    marks: Counts,
    slots: HashMap<u64, (Slot, u64)>,
    hashes: HashMap<Slot, u64>,
    free: Vec<Slot>,
    capacity: u64,
}

/// Runs the steps through both, and fails where they name different victims. Gives the hashes in
/// the order they left.
pub(crate) fn agree(
    factory: &dyn PolicyFactory,
    plain: &mut dyn Plain,
    capacity: u64,
    steps: &[Step],
) -> Vec<u64> {
    let policy = factory.create(&PolicyShape::new(capacity, capacity as usize, 42));
    let recording = policy.recording();
    let max = if let Recording::Marks { max } = recording { max } else { 0 };
    let mut store = Store {
        policy,
        plain,
        recording,
        marks: Counts { max, counts: RefCell::default() },
        slots: HashMap::new(),
        hashes: HashMap::new(),
        free: (0..64).rev().map(Slot).collect(),
        capacity,
    };
    store.plain.resize(capacity);
    let mut left = Vec::new();
    for step in steps {
        match *step {
            Step::Read { key, weight } => store.read(candidate(key, weight), &mut left),
            Step::Write { key, weight } => store.write(candidate(key, weight), &mut left),
            Step::Remove { key } => store.remove(candidate(key, 1).hash, RemovalCause::Removed),
            Step::Resize { capacity } => {
                store.capacity = capacity;
                store.policy.resize(capacity);
                store.plain.resize(capacity);
                store.make_room(None, &mut left);
            }
        }
    }
    left
}

impl Store<'_> {
    fn read(&mut self, candidate: Candidate, left: &mut Vec<u64>) {
        if let Some((slot, _)) = self.slots.get(&candidate.hash) {
            match self.recording {
                Recording::Nothing => {}
                Recording::Marks { max } => {
                    let count = self.marks.take(*slot);
                    self.marks.set(*slot, (count + 1).min(max.min(self.marks.max)));
                }
                Recording::Queue => self.policy.hit(*slot),
            }
            self.plain.hit(candidate.hash);
            return;
        }
        self.policy.arrive(&candidate);
        self.plain.arrive(&candidate);
        if self.make_room(Some(&candidate), left) {
            let slot = self.free.pop().unwrap();
            self.marks.take(slot);
            self.slots.insert(candidate.hash, (slot, candidate.weight));
            self.hashes.insert(slot, candidate.hash);
            self.policy.insert(slot, &candidate);
            self.plain.insert(&candidate);
        }
    }

    fn write(&mut self, candidate: Candidate, left: &mut Vec<u64>) {
        if let Some((slot, weight)) = self.slots.get_mut(&candidate.hash) {
            *weight = candidate.weight;
            self.policy.update(*slot, &candidate);
            self.plain.update(&candidate);
            self.make_room(None, left);
        }
    }

    fn make_room(&mut self, newcomer: Option<&Candidate>, left: &mut Vec<u64>) -> bool {
        let needed = newcomer.map_or(0, |newcomer| newcomer.weight);
        while self.slots.values().map(|(_, weight)| weight).sum::<u64>() + needed > self.capacity {
            let verdict = match self.policy.victim(newcomer, &self.marks) {
                Verdict::Evict(slot) => Some(self.hashes[&slot]),
                Verdict::Refuse => None,
            };
            let expected = self.plain.victim(newcomer);
            assert_eq!(verdict, expected, "after {} victims: {left:?}", left.len());
            let Some(hash) = verdict else {
                assert!(newcomer.is_some(), "nothing is left to evict, and yet it is too much");
                return false;
            };
            left.push(hash);
            self.remove(hash, RemovalCause::Evicted);
        }
        true
    }

    fn remove(&mut self, hash: u64, cause: RemovalCause) {
        if let Some((slot, _)) = self.slots.remove(&hash) {
            self.hashes.remove(&slot);
            self.free.push(slot);
            self.policy.remove(slot, cause);
            self.plain.remove(hash, cause == RemovalCause::Evicted);
        }
    }
}

/// A thing of the model: whatever a plain model keeps of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thing {
    pub(crate) hash: u64,
    pub(crate) weight: u64,
    pub(crate) count: u64,
}

impl Thing {
    pub(crate) fn new(candidate: &Candidate) -> Self {
        Self { hash: candidate.hash, weight: candidate.weight, count: 0 }
    }
}

/// Some entries in an order, the oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(pub(crate) Vec<Thing>);

impl Line {
    pub(crate) fn weight(&self) -> u64 {
        self.0.iter().map(|thing| thing.weight).sum()
    }

    pub(crate) fn get(&mut self, hash: u64) -> Option<&mut Thing> {
        self.0.iter_mut().find(|thing| thing.hash == hash)
    }

    pub(crate) fn take(&mut self, hash: u64) -> Option<Thing> {
        let at = self.0.iter().position(|thing| thing.hash == hash)?;
        Some(self.0.remove(at))
    }

    pub(crate) fn take_oldest(&mut self) -> Option<Thing> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    pub(crate) fn oldest(&self) -> Option<u64> {
        self.0.first().map(|thing| thing.hash)
    }

    pub(crate) fn push(&mut self, thing: Thing) {
        self.0.push(thing);
    }
}

/// Names of what left, the oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(pub(crate) Vec<u64>);

impl Names {
    pub(crate) fn take(&mut self, hash: u64) -> bool {
        let at = self.0.iter().position(|other| *other == hash);
        at.map(|at| self.0.remove(at)).is_some()
    }

    pub(crate) fn push(&mut self, hash: u64, limit: usize) {
        self.take(hash);
        self.0.push(hash);
        self.shrink(limit);
    }

    pub(crate) fn shrink(&mut self, limit: usize) {
        let over = self.0.len().saturating_sub(limit);
        self.0.drain(..over);
    }
}
