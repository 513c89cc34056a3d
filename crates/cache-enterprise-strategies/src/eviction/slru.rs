//! Two queues by use: what was hit once is protected from what was not.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause,
    Result, Slot, Verdict,
};

use super::lists::{Lists, Resident};
use super::parameters::number;

const NAME: &str = "slru";

/// Segmented LRU (`slru`): newcomers are on probation; a hit moves them to a protected segment,
/// whose least recently used entries fall back to probation where it is over its share.
///
/// From R. Karedla et al., "Caching Strategies to Improve Disk System Performance", 1994. Resists
/// scans, and is slow to learn a new set of hot keys. Each call takes a constant number of steps,
/// on average where weights differ; 32 bytes a slot.
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory};
/// use cache_enterprise_strategies::eviction::Slru;
///
/// assert_eq!(Slru::default().protected_share(0.5)?.name(), "slru");
/// assert!(Slru::default().protected_share(1.0).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Slru {
    protected_share: f64,
}

impl Default for Slru {
    fn default() -> Self {
        Self { protected_share: 0.8 }
    }
}

impl Slru {
    /// The share of the capacity that is protected, 0.01 to 0.99. Default: 0.8.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn protected_share(mut self, share: f64) -> Result<Self> {
        self.protected_share = number(NAME, "protected_share", share, 0.01..=0.99)?;
        Ok(self)
    }
}

impl PolicyFactory for Slru {
    fn name(&self) -> &str {
        NAME
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        let segments = Lists::new(2, shape.entries);
        let mut policy = Segments { share: self.protected_share, segments, protected_max: 0 };
        policy.resize(shape.capacity);
        Box::new(policy)
    }
}

const PROBATION: usize = 0;
const PROTECTED: usize = 1;

#[derive(Debug)]
struct Segments {
    share: f64,
    segments: Lists<Resident>,
    protected_max: u64,
}

impl EvictionPolicy for Segments {
    fn recording(&self) -> Recording {
        Recording::Queue
    }

    fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        let oldest = self.segments.front(PROBATION).or_else(|| self.segments.front(PROTECTED));
        oldest.map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        self.segments.push_back(PROBATION, slot, Resident::from(newcomer));
    }

    fn hit(&mut self, slot: Slot) {
        self.segments.move_to_back(PROTECTED, slot);
        self.demote();
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        self.segments.set(slot, Resident::from(candidate));
        self.hit(slot);
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        self.segments.remove(slot);
    }

    fn resize(&mut self, capacity: u64) {
        self.protected_max = (capacity as f64 * self.share) as u64;
        self.demote();
    }

    fn account(&self, slot: Slot) -> Option<String> {
        Some(match self.segments.list_of(slot)? {
            PROBATION => "on probation: not hit since it came or was let down".to_owned(),
            _ => "protected: it was hit".to_owned(),
        })
    }
}

impl Segments {
    fn demote(&mut self) {
        while self.segments.weight(PROTECTED) > self.protected_max {
            let Some(slot) = self.segments.front(PROTECTED) else { break };
            self.segments.move_to_back(PROBATION, slot);
        }
    }
}
