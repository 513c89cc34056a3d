//! An eviction policy of one's own, written against `cache-enterprise-core` alone. Its tests run
//! the store suite of `cache-enterprise-testkit` over the store it decides for.

use std::cmp::Reverse;
use std::collections::VecDeque;

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause, Slot,
    Verdict,
};

/// Entries among which the heaviest is looked for.
const LOOKED_AT: usize = 8;

/// `bulky-first`: of the eight entries that have been there longest and were not hit since, the
/// heaviest leaves, of several equally heavy the one longest there. An entry that was hit gets
/// another round, as in CLOCK.
///
/// The example `policy_of_your_own` gives it to a manager.
#[derive(Clone, Copy, Debug, Default)]
pub struct BulkyFirst;

impl PolicyFactory for BulkyFirst {
    fn name(&self) -> &str {
        "bulky-first"
    }

    fn create(&self, _: &PolicyShape) -> Box<dyn EvictionPolicy> {
        Box::new(Rounds::default())
    }
}

/// The policy of one shard: 24 bytes a slot, and 8 for each of up to two places an entry; what the
/// two vectors keep free to grow comes on top.
#[derive(Debug, Default)]
struct Rounds {
    /// The longest there first. Places of entries that have left are skipped when they come up.
    queue: VecDeque<Place>,
    /// By slot.
    entries: Vec<Option<Held>>,
    held: usize,
    tickets: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    slot: Slot,
    ticket: u32,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    weight: u64,
    /// Tells this entry from earlier ones of the slot.
    ticket: u32,
}

impl Rounds {
    /// The weight of the entry that took this place, if it is still there.
    fn weight(&self, place: Place) -> Option<u64> {
        let held = (*self.entries.get(place.slot.index())?)?;
        (held.ticket == place.ticket).then_some(held.weight)
    }

    /// Moves what was hit to the end, until the first places are those of entries that were not.
    fn begin_round(&mut self, marks: &dyn HitMarks) -> usize {
        let mut unhit = 0;
        for _ in 0..self.queue.len() {
            let Some(place) = self.queue.get(unhit).copied() else { break };
            if self.weight(place).is_none() {
                self.queue.remove(unhit);
            } else if marks.take(place.slot) > 0 {
                self.queue.remove(unhit);
                self.queue.push_back(place);
            } else {
                unhit += 1;
            }
            if unhit == LOOKED_AT {
                break;
            }
        }
        unhit
    }

    /// Drops the places of entries that have left, once they are the most.
    fn tidy(&mut self) {
        if self.queue.len() > 2 * self.held + LOOKED_AT {
            let mut queue = std::mem::take(&mut self.queue);
            queue.retain(|place| self.weight(*place).is_some());
            self.queue = queue;
        }
    }
}

impl EvictionPolicy for Rounds {
    /// One mark is enough to know that there was a hit.
    fn recording(&self) -> Recording {
        Recording::Marks { max: 1 }
    }

    fn victim(&mut self, _: Option<&Candidate>, marks: &dyn HitMarks) -> Verdict {
        // If all were hit, all marks are taken after one round: then the first are as good as any.
        let unhit = self.begin_round(marks).max(1);
        let oldest = self.queue.iter().filter(|place| self.weight(**place).is_some()).take(unhit);
        // The first of equals, the oldest: `max_by_key` would give the last, and of entries of one
        // weight the newest of the eight would leave, the others never.
        let heaviest = oldest.min_by_key(|place| Reverse(self.weight(**place)));
        heaviest.map_or(Verdict::Refuse, |place| Verdict::Evict(place.slot))
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        if self.entries.len() <= slot.index() {
            self.entries.resize(slot.index() + 1, None);
        }
        self.tickets = self.tickets.wrapping_add(1);
        let held = Held { weight: newcomer.weight, ticket: self.tickets };
        self.held += usize::from(self.entries[slot.index()].replace(held).is_none());
        self.queue.push_back(Place { slot, ticket: self.tickets });
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        if let Some(Some(held)) = self.entries.get_mut(slot.index()) {
            held.weight = candidate.weight;
        }
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        if self.entries.get_mut(slot.index()).and_then(Option::take).is_some() {
            self.held -= 1;
        }
        self.tidy();
    }
}
