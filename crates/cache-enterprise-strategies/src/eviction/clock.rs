//! A queue that gives what was hit another round.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause,
    Result, Slot, Verdict,
};

use super::lists::Lists;
use super::parameters::whole;

/// CLOCK (`clock`), also called second chance: the oldest entry leaves unless it was hit since the
/// hand passed it; then it goes to the back with one hit fewer.
///
/// From F. J. Corbató, "A Paging Experiment with the Multics System", 1968. Near LRU's hits, and a
/// hit writes one counter. A victim takes a constant number of steps on average, and one look at
/// each entry for each counted hit at worst; 12 bytes a slot.
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory};
/// use cache_enterprise_strategies::eviction::Clock;
///
/// let patient = Clock::default().rounds(3)?;
/// assert_eq!(patient.name(), "clock");
/// assert!(Clock::default().rounds(0).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    rounds: u8,
}

impl Default for Clock {
    fn default() -> Self {
        Self { rounds: 1 }
    }
}

impl Clock {
    /// How many further rounds hits can earn at most, 1 to 15. Default: 1.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn rounds(mut self, rounds: u8) -> Result<Self> {
        self.rounds = whole("clock", "rounds", u64::from(rounds), 1..=15)? as u8;
        Ok(self)
    }
}

impl PolicyFactory for Clock {
    fn name(&self) -> &str {
        "clock"
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        Box::new(Rounds { queue: Lists::new(1, shape.entries), most: self.rounds })
    }
}

#[derive(Debug)]
struct Rounds {
    queue: Lists<()>,
    most: u8,
}

impl EvictionPolicy for Rounds {
    fn recording(&self) -> Recording {
        Recording::Marks { max: self.most }
    }

    fn victim(&mut self, _: Option<&Candidate>, marks: &dyn HitMarks) -> Verdict {
        // Hits go on while the hand turns: after as many rounds as hits can have earned, whoever
        // stands in front leaves.
        let looks = self.queue.len(0).saturating_mul(usize::from(self.most));
        for _ in 0..looks {
            let Some(slot) = self.queue.front(0) else { break };
            let hits = marks.take(slot);
            if hits == 0 {
                return Verdict::Evict(slot);
            }
            marks.set(slot, hits - 1);
            self.queue.move_to_back(0, slot);
        }
        self.queue.front(0).map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, _: &Candidate) {
        self.queue.push_back(0, slot, ());
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        self.queue.remove(slot);
    }
}
