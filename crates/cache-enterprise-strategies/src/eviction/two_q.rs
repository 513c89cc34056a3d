//! A queue for newcomers, a list by use for what came back, and names in between.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause,
    Result, Slot, Verdict,
};

use super::ghosts::Ghosts;
use super::lists::{Lists, Named};
use super::parameters::number;

const NAME: &str = "2q";

/// 2Q (`2q`), the full version: newcomers stand in a queue where hits do not count, since the
/// first few often belong together. What left it and comes back while its name is remembered goes
/// to the main list, which is ordered by use.
///
/// From T. Johnson and D. Shasha, "2Q: A Low Overhead High Performance Buffer Management
/// Replacement Algorithm", VLDB 1994. Each call takes a constant number of steps. 20 bytes a slot,
/// and at most 16 for each remembered name, of which there are at most `ghost_share` times as many
/// as entries.
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory};
/// use cache_enterprise_strategies::eviction::TwoQ;
///
/// assert_eq!(TwoQ::default().entry_share(0.1)?.ghost_share(1.0)?.name(), "2q");
/// assert!(TwoQ::default().entry_share(-0.1).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TwoQ {
    entry_share: f64,
    ghost_share: f64,
}

impl Default for TwoQ {
    fn default() -> Self {
        Self { entry_share: 0.25, ghost_share: 0.5 }
    }
}

impl TwoQ {
    /// The share of the capacity that newcomers may take from the main list, 0.01 to 0.99.
    /// Default: 0.25.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn entry_share(mut self, share: f64) -> Result<Self> {
        self.entry_share = number(NAME, "entry_share", share, 0.01..=0.99)?;
        Ok(self)
    }

    /// How many names of what left the queue are remembered, as a share of the entries, 0.01 to 4.
    /// Default: 0.5.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn ghost_share(mut self, share: f64) -> Result<Self> {
        self.ghost_share = number(NAME, "ghost_share", share, 0.01..=4.0)?;
        Ok(self)
    }
}

impl PolicyFactory for TwoQ {
    fn name(&self) -> &str {
        NAME
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        let mut policy = Queues {
            parameters: *self,
            queues: Lists::new(2, shape.entries),
            ghosts: Ghosts::default(),
            entry_max: 0,
            returning: None,
        };
        policy.resize(shape.capacity);
        Box::new(policy)
    }
}

const ENTRY: usize = 0;
const MAIN: usize = 1;

#[derive(Debug)]
struct Queues {
    parameters: TwoQ,
    queues: Lists<Named>,
    ghosts: Ghosts<()>,
    entry_max: u64,
    /// The newcomer whose name was found among the ghosts.
    returning: Option<u64>,
}

impl EvictionPolicy for Queues {
    fn recording(&self) -> Recording {
        Recording::Queue
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        // Now, not when it is in: making room for it may push its name out.
        self.returning = self.ghosts.take(newcomer.hash).map(|()| newcomer.hash);
    }

    fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        let from_entry = self.queues.weight(ENTRY) > self.entry_max || self.queues.len(MAIN) == 0;
        let oldest = self.queues.front(if from_entry { ENTRY } else { MAIN });
        oldest.map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        let returns = self.returning.take() == Some(newcomer.hash);
        self.queues.push_back(usize::from(returns), slot, Named::from(newcomer));
    }

    fn hit(&mut self, slot: Slot) {
        if self.queues.list_of(slot) == Some(MAIN) {
            self.queues.move_to_back(MAIN, slot);
        }
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        self.queues.set(slot, Named::from(candidate));
        self.hit(slot);
    }

    fn remove(&mut self, slot: Slot, cause: RemovalCause) {
        let entries = self.queues.len(ENTRY) + self.queues.len(MAIN);
        let Some((list, entry)) = self.queues.remove(slot) else { return };
        if list == ENTRY && cause == RemovalCause::Evicted {
            let limit = (entries as f64 * self.parameters.ghost_share) as usize;
            self.ghosts.push(entry.name, (), limit);
        }
    }

    fn resize(&mut self, capacity: u64) {
        self.entry_max = (capacity as f64 * self.parameters.entry_share) as u64;
    }

    fn account(&self, slot: Slot) -> Option<String> {
        Some(match self.queues.list_of(slot)? {
            ENTRY => "in the entry queue: what came first leaves first".to_owned(),
            _ => "in the main queue: it came back soon after it had left".to_owned(),
        })
    }
}
