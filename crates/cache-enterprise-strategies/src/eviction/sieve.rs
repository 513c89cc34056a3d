//! A hand that walks past what was hit and leaves it where it is.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause, Slot,
    Verdict,
};

use super::lists::Lists;

/// SIEVE (`sieve`): a hand walks from the oldest entry to the newest, clears the mark of what was
/// hit and evicts what was not. Nothing moves, so that newcomers that nobody asks for again leave
/// soon while those behind the hand stay.
///
/// From Y. Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024. Good on the popularity of the web;
/// scans of blocks wash it out. A victim takes a constant number of steps on average, and one look
/// at each entry at worst; 12 bytes a slot.
///
/// ```
/// use cache_enterprise_core::PolicyFactory;
///
/// assert_eq!(cache_enterprise_strategies::eviction::Sieve.name(), "sieve");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sieve;

impl PolicyFactory for Sieve {
    fn name(&self) -> &str {
        "sieve"
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        Box::new(Sieved { queue: Lists::new(1, shape.entries), hand: None })
    }
}

#[derive(Debug)]
struct Sieved {
    queue: Lists<()>,
    /// Where the next look goes; the oldest where there is none.
    hand: Option<Slot>,
}

impl EvictionPolicy for Sieved {
    fn recording(&self) -> Recording {
        Recording::Marks { max: 1 }
    }

    fn victim(&mut self, _: Option<&Candidate>, marks: &dyn HitMarks) -> Verdict {
        // One round clears all marks; those that hits set meanwhile do not ask for a second one.
        for _ in 0..self.queue.len(0) {
            let Some(slot) = self.hand.or_else(|| self.queue.front(0)) else { break };
            if marks.take(slot) == 0 {
                self.hand = Some(slot);
                return Verdict::Evict(slot);
            }
            self.hand = self.queue.after(slot);
        }
        self.hand.or_else(|| self.queue.front(0)).map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, _: &Candidate) {
        self.step_from(slot);
        self.queue.push_back(0, slot, ());
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        self.step_from(slot);
        self.queue.remove(slot);
    }
}

impl Sieved {
    /// The hand goes on where the entry under it goes away.
    fn step_from(&mut self, slot: Slot) {
        if self.hand == Some(slot) {
            self.hand = self.queue.after(slot);
        }
    }
}
