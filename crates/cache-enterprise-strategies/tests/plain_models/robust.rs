//! What holds for every policy of the list, whatever it chooses.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use cache_enterprise_core::{
    HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause, Slot, Verdict,
};
use cache_enterprise_strategies::eviction::all;
use proptest::prelude::*;

use crate::driver::{Step, candidate, steps};

/// Marks of a store where nothing is hit.
pub(crate) struct NoMarks;

impl HitMarks for NoMarks {
    fn take(&self, _: Slot) -> u8 {
        0
    }

    fn set(&self, _: Slot, _: u8) {}
}

/// Marks that are set again as soon as they are taken, as by a storm of hits.
struct AlwaysHit;

impl HitMarks for AlwaysHit {
    fn take(&self, _: Slot) -> u8 {
        u8::MAX
    }

    fn set(&self, _: Slot, _: u8) {}
}

#[derive(Default)]
struct Counts(RefCell<HashMap<Slot, u8>>);

impl HitMarks for Counts {
    fn take(&self, slot: Slot) -> u8 {
        self.0.borrow_mut().remove(&slot).unwrap_or(0)
    }

    fn set(&self, slot: Slot, count: u8) {
        self.0.borrow_mut().insert(slot, count);
    }
}

/// Runs the steps without a model and gives the victims. Fails where a verdict names a slot that
/// is not in, or refuses to shrink.
pub(crate) fn victims(factory: &dyn PolicyFactory, capacity: u64, steps: &[Step]) -> Vec<Slot> {
    let mut policy = factory.create(&PolicyShape::new(capacity, capacity as usize, 7));
    let recording = policy.recording();
    let marks = Counts::default();
    let mut capacity = capacity;
    let mut slots: BTreeMap<u64, (Slot, u64)> = BTreeMap::new();
    let mut free: Vec<Slot> = (0..64).rev().map(Slot).collect();
    let mut left = Vec::new();
    for step in steps {
        let mut newcomer = None;
        match *step {
            Step::Read { key, .. } if slots.contains_key(&key) => match recording {
                Recording::Nothing => {}
                Recording::Marks { max } => {
                    let slot = slots[&key].0;
                    let count = marks.take(slot);
                    marks.set(slot, (count + 1).min(max));
                }
                Recording::Queue => policy.hit(slots[&key].0),
            },
            Step::Read { key, weight } => newcomer = Some((key, candidate(key, weight))),
            Step::Write { key, weight } => {
                if let Some((slot, old)) = slots.get_mut(&key) {
                    *old = weight;
                    policy.update(*slot, &candidate(key, weight));
                }
            }
            Step::Remove { key } => {
                if let Some((slot, _)) = slots.remove(&key) {
                    policy.remove(slot, RemovalCause::Removed);
                    free.push(slot);
                }
            }
            Step::Resize { capacity: new } => {
                capacity = new;
                policy.resize(new);
            }
        }
        let candidate = newcomer.map(|(_, candidate)| candidate);
        if let Some(candidate) = &candidate {
            policy.arrive(candidate);
        }
        let needed = candidate.map_or(0, |candidate| candidate.weight);
        let mut refused = false;
        while slots.values().map(|(_, weight)| weight).sum::<u64>() + needed > capacity {
            let Verdict::Evict(slot) = policy.victim(candidate.as_ref(), &marks) else {
                assert!(candidate.is_some(), "{} does not shrink", factory.name());
                refused = true;
                break;
            };
            let stood = slots.len();
            slots.retain(|_, (other, _)| *other != slot);
            assert_eq!(slots.len() + 1, stood, "{} names {slot:?}", factory.name());
            policy.remove(slot, RemovalCause::Evicted);
            marks.take(slot);
            free.push(slot);
            left.push(slot);
        }
        if let (Some((key, candidate)), false) = (newcomer, refused) {
            let slot = free.pop().unwrap();
            marks.take(slot);
            slots.insert(key, (slot, candidate.weight));
            policy.insert(slot, &candidate);
        }
    }
    left
}

/// A call in any order, with slots that may or may not be in.
#[derive(Clone, Copy, Debug)]
enum Call {
    Arrive(u64),
    Victim(Option<u64>),
    Insert(u32, u64),
    Hit(u32),
    Update(u32, u64),
    Remove(u32, bool),
    Resize(u64),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let slot = 0u32..20;
    let key = 0u64..30;
    let capacity = prop_oneof![Just(0), 1u64..50, Just(u64::MAX)];
    let call = prop_oneof![
        key.clone().prop_map(Call::Arrive),
        prop::option::of(key.clone()).prop_map(Call::Victim),
        (slot.clone(), key.clone()).prop_map(|(slot, key)| Call::Insert(slot, key)),
        slot.clone().prop_map(Call::Hit),
        (slot.clone(), key).prop_map(|(slot, key)| Call::Update(slot, key)),
        (slot, any::<bool>()).prop_map(|(slot, evicted)| Call::Remove(slot, evicted)),
        capacity.prop_map(Call::Resize),
    ];
    prop::collection::vec(call, 0..300)
}

proptest! {
    // Each case runs every policy, those that learn among them.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn verdicts_name_what_is_in_and_shrinking_never_fails(steps in steps(4, true)) {
        for factory in all() {
            let once = victims(&*factory, 16, &steps);
            // The seed decides everything that is left to chance.
            prop_assert_eq!(once, victims(&*factory, 16, &steps));
        }
    }

    #[test]
    fn no_order_of_calls_makes_a_policy_panic(calls in calls(), weight in 1u64..1 << 40) {
        for factory in all() {
            let mut policy = factory.create(&PolicyShape::new(10, 10, 1));
            for call in &calls {
                let candidate = |key| candidate(key, weight);
                match *call {
                    Call::Arrive(key) => policy.arrive(&candidate(key)),
                    Call::Victim(key) => {
                        policy.victim(key.map(candidate).as_ref(), &AlwaysHit);
                    }
                    Call::Insert(slot, key) => policy.insert(Slot(slot), &candidate(key)),
                    Call::Hit(slot) => policy.hit(Slot(slot)),
                    Call::Update(slot, key) => policy.update(Slot(slot), &candidate(key)),
                    Call::Remove(slot, true) => policy.remove(Slot(slot), RemovalCause::Evicted),
                    Call::Remove(slot, false) => policy.remove(Slot(slot), RemovalCause::Expired),
                    Call::Resize(capacity) => policy.resize(capacity),
                }
            }
        }
    }
}

#[test]
fn a_policy_made_for_nothing_or_everything_still_works() {
    for factory in all() {
        for shape in [PolicyShape::new(0, 0, 0), PolicyShape::new(u64::MAX, 8, u64::MAX)] {
            let mut policy = factory.create(&shape);
            assert_eq!(policy.victim(None, &NoMarks), Verdict::Refuse, "{}", factory.name());
            let newcomer = candidate(1, u64::MAX);
            policy.arrive(&newcomer);
            policy.insert(Slot(0), &newcomer);
            assert_eq!(
                policy.victim(None, &NoMarks),
                Verdict::Evict(Slot(0)),
                "{}",
                factory.name()
            );
        }
    }
}
