//! What came first leaves first.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause, Slot,
    Verdict,
};

use super::lists::Lists;

/// First in, first out (`fifo`): hits change nothing.
///
/// Each call takes a constant number of steps; 12 bytes a slot.
///
/// ```
/// use cache_enterprise_core::PolicyFactory;
///
/// assert_eq!(cache_enterprise_strategies::eviction::Fifo.name(), "fifo");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fifo;

impl PolicyFactory for Fifo {
    fn name(&self) -> &str {
        "fifo"
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        Box::new(Queue(Lists::new(1, shape.entries)))
    }
}

#[derive(Debug)]
struct Queue(Lists<()>);

impl EvictionPolicy for Queue {
    fn recording(&self) -> Recording {
        Recording::Nothing
    }

    fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        self.0.front(0).map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, _: &Candidate) {
        self.0.push_back(0, slot, ());
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        self.0.remove(slot);
    }
}
