//! What came first leaves first.

use std::collections::VecDeque;

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause, Slot,
    Verdict,
};

/// First in, first out (`fifo`): hits change nothing.
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

    fn create(&self, _: &PolicyShape) -> Box<dyn EvictionPolicy> {
        Box::new(Queue(VecDeque::new()))
    }
}

#[derive(Debug)]
struct Queue(VecDeque<Slot>);

impl EvictionPolicy for Queue {
    fn recording(&self) -> Recording {
        Recording::Nothing
    }

    fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        self.0.front().map_or(Verdict::Refuse, |oldest| Verdict::Evict(*oldest))
    }

    fn insert(&mut self, slot: Slot, _: &Candidate) {
        self.0.push_back(slot);
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        if self.0.front() == Some(&slot) {
            self.0.pop_front();
        } else {
            self.0.retain(|other| *other != slot);
        }
    }
}
