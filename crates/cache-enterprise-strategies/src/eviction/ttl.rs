//! What ends first leaves first.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause, Slot,
    Verdict,
};

use super::heap::Heap;

/// Nearest end first (`ttl`): the entry whose life ends soonest leaves, those without an end after
/// all others, and equals in the order they came. Hits change nothing.
///
/// Right where the end of a life says how long a value is of use. Each call takes a number of steps
/// that grows with the logarithm of the entries; 28 bytes a slot.
///
/// ```
/// use cache_enterprise_core::PolicyFactory;
///
/// assert_eq!(cache_enterprise_strategies::eviction::TtlFirst.name(), "ttl");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TtlFirst;

impl PolicyFactory for TtlFirst {
    fn name(&self) -> &str {
        "ttl"
    }

    fn create(&self, _: &PolicyShape) -> Box<dyn EvictionPolicy> {
        Box::new(ByEnd(Heap::default()))
    }
}

#[derive(Debug)]
struct ByEnd(Heap);

fn end(candidate: &Candidate) -> u64 {
    candidate.ends_at.unwrap_or(u64::MAX)
}

impl EvictionPolicy for ByEnd {
    fn recording(&self) -> Recording {
        Recording::Nothing
    }

    fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        self.0.top().map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        self.0.push(slot, end(newcomer));
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        self.0.push(slot, end(candidate));
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        self.0.remove(slot);
    }
}
