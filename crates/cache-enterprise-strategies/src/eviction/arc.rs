//! Recency and frequency, balanced by which of the two was missed.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause, Slot,
    Verdict,
};

use super::ghosts::Ghosts;
use super::lists::{Lists, Named};

/// ARC (`arc`): one list of what was used once, one of what was used again, and for each the names
/// of what left it. A newcomer whose name is found in one of these shows that its list was too
/// short, and the share of the first list moves towards it. There is nothing to set.
///
/// From N. Megiddo and D. Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003.
/// The share is kept in weight; names are counted, and there are at most as many as entries of
/// each kind. Each call takes a constant number of steps, on average where weights differ.
/// 20 bytes a slot and at most 16 for each name. The type is not called `Arc`, which everybody
/// knows as something else.
///
/// ```
/// use cache_enterprise_core::PolicyFactory;
///
/// assert_eq!(cache_enterprise_strategies::eviction::ArcPolicy.name(), "arc");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ArcPolicy;

impl PolicyFactory for ArcPolicy {
    fn name(&self) -> &str {
        "arc"
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        Box::new(Balance {
            lists: Lists::new(2, shape.entries),
            once_ghosts: Ghosts::default(),
            again_ghosts: Ghosts::default(),
            capacity: shape.capacity,
            once_target: 0,
            returning: None,
            unremembered: None,
        })
    }
}

/// T1 of the paper.
const ONCE: usize = 0;
/// T2 of the paper.
const AGAIN: usize = 1;

#[derive(Debug)]
struct Balance {
    lists: Lists<Named>,
    /// B1 and B2 of the paper.
    once_ghosts: Ghosts<()>,
    again_ghosts: Ghosts<()>,
    capacity: u64,
    /// What the first list should weigh: p of the paper.
    once_target: u64,
    /// The newcomer whose name was found, and in the names of which list.
    returning: Option<(u64, usize)>,
    /// A victim whose name is not kept: its list alone fills the capacity.
    unremembered: Option<Slot>,
}

impl EvictionPolicy for Balance {
    fn recording(&self) -> Recording {
        Recording::Queue
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        let (once, again) = (self.once_ghosts.len(), self.again_ghosts.len());
        // One step for each entry the newcomer is worth, and more where its own names are fewer.
        let step = |own: usize, other: usize| {
            newcomer.weight.saturating_mul((other / own.max(1)).max(1) as u64)
        };
        self.returning = None;
        if self.once_ghosts.take(newcomer.hash).is_some() {
            let target = self.once_target.saturating_add(step(once, again));
            self.once_target = target.min(self.capacity);
            self.returning = Some((newcomer.hash, ONCE));
        } else if self.again_ghosts.take(newcomer.hash).is_some() {
            self.once_target = self.once_target.saturating_sub(step(again, once));
            self.returning = Some((newcomer.hash, AGAIN));
        }
    }

    fn victim(&mut self, newcomer: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        let found_in = newcomer.and_then(|newcomer| {
            self.returning.filter(|(hash, _)| *hash == newcomer.hash).map(|(_, list)| list)
        });
        if found_in.is_none() && newcomer.is_some() {
            self.forget();
        }
        let (once, target) = (self.lists.weight(ONCE), self.once_target);
        let from_once = once > target || (once == target && found_in == Some(AGAIN));
        let (first, second) = if from_once { (ONCE, AGAIN) } else { (AGAIN, ONCE) };
        let oldest = self.lists.front(first).or_else(|| self.lists.front(second));
        oldest.map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        let returns = self.returning.take().is_some_and(|(hash, _)| hash == newcomer.hash);
        let list = if returns { AGAIN } else { ONCE };
        self.lists.push_back(list, slot, Named::from(newcomer));
    }

    fn hit(&mut self, slot: Slot) {
        self.lists.move_to_back(AGAIN, slot);
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        self.lists.set(slot, Named::from(candidate));
        self.hit(slot);
    }

    fn remove(&mut self, slot: Slot, cause: RemovalCause) {
        let entries = self.lists.len(ONCE) + self.lists.len(AGAIN);
        let Some((list, entry)) = self.lists.remove(slot) else { return };
        let unremembered = self.unremembered.take() == Some(slot);
        if cause == RemovalCause::Evicted && !unremembered {
            let names = if list == ONCE { &mut self.once_ghosts } else { &mut self.again_ghosts };
            names.push(entry.name, (), entries);
        }
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.once_target = self.once_target.min(capacity);
    }

    fn account(&self, slot: Slot) -> Option<String> {
        Some(match self.lists.list_of(slot)? {
            ONCE => "asked for once of late".to_owned(),
            _ => "asked for more than once of late".to_owned(),
        })
    }
}

impl Balance {
    /// Keeps the names within the bounds of the paper before another is added: those of the first
    /// list fill up what the list leaves of one capacity, all names together one more capacity.
    /// Both are counted in the entries that are in, which is the capacity where each counts one.
    fn forget(&mut self) {
        let (once, again) = (self.lists.len(ONCE), self.lists.len(AGAIN));
        if once + self.once_ghosts.len() >= once + again {
            if self.once_ghosts.len() == 0 {
                self.unremembered = self.lists.front(ONCE);
            }
            self.once_ghosts.shrink(again.saturating_sub(1));
        } else {
            let names = (once + again).saturating_sub(1);
            self.again_ghosts.shrink(names.saturating_sub(self.once_ghosts.len()));
        }
    }
}
