//! What was used longest ago leaves first.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause, Slot,
    Verdict,
};

use super::lists::Lists;

/// Least recently used (`lru`). A value that is replaced counts as used.
///
/// Good where what was asked lately is asked again; one scan through more keys than there is room
/// for empties it. Each call takes a constant number of steps; 12 bytes a slot.
///
/// ```
/// use cache_enterprise_core::PolicyFactory;
///
/// assert_eq!(cache_enterprise_strategies::eviction::Lru.name(), "lru");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Lru;

impl PolicyFactory for Lru {
    fn name(&self) -> &str {
        "lru"
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        Box::new(ByUse(Lists::new(1, shape.entries)))
    }
}

/// The front was used longest ago.
#[derive(Debug)]
struct ByUse(Lists<()>);

impl EvictionPolicy for ByUse {
    fn recording(&self) -> Recording {
        Recording::Queue
    }

    fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        self.0.front(0).map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, _: &Candidate) {
        self.0.push_back(0, slot, ());
    }

    fn hit(&mut self, slot: Slot) {
        self.0.move_to_back(0, slot);
    }

    fn update(&mut self, slot: Slot, _: &Candidate) {
        self.0.move_to_back(0, slot);
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        self.0.remove(slot);
    }
}
