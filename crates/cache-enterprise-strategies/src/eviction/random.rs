//! Anything leaves.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause, Slot,
    Verdict,
};

use super::dice::Dice;

/// Random (`random`): every entry is as likely to leave as any other. The yardstick that a policy
/// must beat, and hard to defeat by an order of requests.
///
/// Each call takes a constant number of steps; 8 bytes a slot.
///
/// ```
/// use cache_enterprise_core::PolicyFactory;
///
/// assert_eq!(cache_enterprise_strategies::eviction::Random.name(), "random");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Random;

impl PolicyFactory for Random {
    fn name(&self) -> &str {
        "random"
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        // What a user expects is no reason to take all of memory before anything is in it.
        let slots = Vec::with_capacity(shape.entries.min(1 << 16));
        Box::new(Bag { slots, places: Vec::new(), dice: Dice::new(shape.seed) })
    }
}

const NOWHERE: u32 = u32::MAX;

#[derive(Debug)]
struct Bag {
    slots: Vec<Slot>,
    /// Where in `slots` each slot stands.
    places: Vec<u32>,
    dice: Dice,
}

impl EvictionPolicy for Bag {
    fn recording(&self) -> Recording {
        Recording::Nothing
    }

    fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        if self.slots.is_empty() {
            return Verdict::Refuse;
        }
        Verdict::Evict(self.slots[self.dice.roll(self.slots.len())])
    }

    fn insert(&mut self, slot: Slot, _: &Candidate) {
        if slot.index() >= self.places.len() {
            self.places.resize(slot.index() + 1, NOWHERE);
        }
        if self.places[slot.index()] == NOWHERE {
            self.places[slot.index()] = self.slots.len() as u32;
            self.slots.push(slot);
        }
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        let Some(place) = self.places.get_mut(slot.index()).filter(|place| **place != NOWHERE)
        else {
            return;
        };
        let hole = std::mem::replace(place, NOWHERE);
        self.slots.swap_remove(hole as usize);
        if let Some(moved) = self.slots.get(hole as usize) {
            self.places[moved.index()] = hole;
        }
    }
}
