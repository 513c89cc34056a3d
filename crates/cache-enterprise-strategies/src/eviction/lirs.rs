//! What is used again soon, by the gap between uses rather than by the last use.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause,
    Result, Slot, Verdict,
};

use super::ghosts::{Ghosts, Name};
use super::lists::{Lists, Weighed};
use super::parameters::number;

const NAME: &str = "lirs";

/// LIRS (`lirs`): almost all of the capacity belongs to entries whose last two uses lay close
/// together; the others pass through a short queue. Strong on loops a little longer than the
/// capacity, where LRU keeps nothing.
///
/// From S. Jiang and X. Zhang, "LIRS: An Efficient Low Inter-reference Recency Set Replacement
/// Policy", SIGMETRICS 2002. Where the paper keeps a stack and prunes it, this keeps the time of
/// the last use: an entry, or a name of one that left, is in the stack exactly if that is later
/// than the last use of the least recently used entry of the low set. So each call takes a constant
/// number of steps, on average where weights differ. 40 bytes a slot, and at most 16 for each
/// remembered name, of which there are at most `ghost_share` times as many as entries.
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory};
/// use cache_enterprise_strategies::eviction::Lirs;
///
/// assert_eq!(Lirs::default().queue_share(0.05)?.ghost_share(1.0)?.name(), "lirs");
/// assert!(Lirs::default().queue_share(0.0).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Lirs {
    queue_share: f64,
    ghost_share: f64,
}

impl Default for Lirs {
    fn default() -> Self {
        Self { queue_share: 0.05, ghost_share: 2.0 }
    }
}

impl Lirs {
    /// The share of the capacity for entries that have not shown themselves to be used again soon,
    /// 0.001 to 0.5. Default: 0.05; the paper takes 0.01, which keeps more of a long loop and less
    /// of everything else.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn queue_share(mut self, share: f64) -> Result<Self> {
        self.queue_share = number(NAME, "queue_share", share, 0.001..=0.5)?;
        Ok(self)
    }

    /// How many names of what has left are remembered, as a share of the entries, 0.01 to 4.
    /// Default: 2.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn ghost_share(mut self, share: f64) -> Result<Self> {
        self.ghost_share = number(NAME, "ghost_share", share, 0.01..=4.0)?;
        Ok(self)
    }
}

impl PolicyFactory for Lirs {
    fn name(&self) -> &str {
        NAME
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        let mut policy = Sets {
            parameters: *self,
            sets: Lists::new(2, shape.entries),
            ghosts: Ghosts::default(),
            low_max: 0,
            now: 0,
            returning: None,
        };
        policy.resize(shape.capacity);
        Box::new(policy)
    }
}

/// Low inter-reference recency, in the order of use.
const LOW: usize = 0;
/// The queue of the others; the front leaves first.
const HIGH: usize = 1;

#[derive(Clone, Copy, Debug, Default)]
struct Timed {
    hash: u64,
    weight: u64,
    used: u64,
}

impl Weighed for Timed {
    fn weight(&self) -> u64 {
        self.weight
    }
}

#[derive(Debug)]
struct Sets {
    parameters: Lirs,
    sets: Lists<Timed>,
    /// Names with the low half of the time of their last use. They leave the queue in the order of
    /// that time, so the oldest is the first to fall out of the stack.
    ghosts: Ghosts<u32>,
    low_max: u64,
    /// Requests so far.
    now: u64,
    /// The newcomer whose name was found in the stack.
    returning: Option<u64>,
}

impl EvictionPolicy for Sets {
    fn recording(&self) -> Recording {
        Recording::Queue
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        let used = self.ghosts.take(newcomer.hash);
        let returns = used.is_some_and(|used| self.in_stack(self.time_of(used)));
        self.returning = returns.then_some(newcomer.hash);
        self.now += 1;
    }

    fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        let oldest = self.sets.front(HIGH).or_else(|| self.sets.front(LOW));
        oldest.map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        let &Candidate { hash, weight, .. } = newcomer;
        let returns = self.returning.take() == Some(hash);
        let fits = self.sets.weight(LOW).saturating_add(weight) <= self.low_max;
        let set = if returns || fits { LOW } else { HIGH };
        self.sets.push_back(set, slot, Timed { hash, weight, used: self.now });
        self.demote();
    }

    fn hit(&mut self, slot: Slot) {
        self.now += 1;
        let Some(&timed) = self.sets.get(slot) else { return };
        let low = self.sets.list_of(slot) == Some(LOW) || self.in_stack(timed.used);
        let set = if low { LOW } else { HIGH };
        self.sets.push_back(set, slot, Timed { used: self.now, ..timed });
        self.demote();
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        let Some(&timed) = self.sets.get(slot) else { return };
        let &Candidate { hash, weight, .. } = candidate;
        self.sets.set(slot, Timed { hash, weight, ..timed });
        self.hit(slot);
    }

    fn remove(&mut self, slot: Slot, cause: RemovalCause) {
        let entries = self.sets.len(LOW) + self.sets.len(HIGH);
        let Some((set, timed)) = self.sets.remove(slot) else { return };
        while self.ghosts.oldest().is_some_and(|used| !self.in_stack(self.time_of(used))) {
            self.ghosts.forget_oldest();
        }
        if set == HIGH && cause == RemovalCause::Evicted && self.in_stack(timed.used) {
            let limit = (entries as f64 * self.parameters.ghost_share) as usize;
            self.ghosts.push(Name::of(timed.hash), timed.used as u32, limit);
        }
    }

    fn resize(&mut self, capacity: u64) {
        let queue = (capacity as f64 * self.parameters.queue_share) as u64;
        self.low_max = capacity.saturating_sub(queue.max(1));
        self.demote();
    }
}

impl Sets {
    /// Whether a last use at this time is more recent than one of the low set.
    fn in_stack(&self, used: u64) -> bool {
        let bottom = self.sets.front(LOW).and_then(|slot| self.sets.get(slot));
        bottom.is_some_and(|bottom| used > bottom.used)
    }

    /// The whole of a time of which the low half was kept.
    fn time_of(&self, used: u32) -> u64 {
        self.now.saturating_sub(u64::from((self.now as u32).wrapping_sub(used)))
    }

    fn demote(&mut self) {
        while self.sets.weight(LOW) > self.low_max {
            let Some(slot) = self.sets.front(LOW) else { break };
            self.sets.move_to_back(HIGH, slot);
        }
    }
}
