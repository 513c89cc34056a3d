//! What was used least often leaves first, and old counts fade.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause,
    Result, Slot, Verdict,
};

use super::lists::{Lists, Weighed};
use super::parameters::whole;

const NAME: &str = "lfu";
/// One list for each rank that can occur at a time.
const LISTS: u64 = 256;

/// Least frequently used with ageing (`lfu`): an entry's rank is its number of uses plus the rank
/// of the last victim at the time of its last use. The lowest rank leaves, and among equals what
/// was used longest ago. A favourite of the past is overtaken once as many victims' ranks have
/// gone by as it had uses.
///
/// From M. Arlitt et al., "Evaluating Content Management Techniques for Web Proxy Caches", 2000
/// (LFU-DA), with counts up to `uses_max`, which makes each call but [`victim`] a constant number
/// of steps; a victim looks at 256 lists at most. 16 bytes a slot.
///
/// [`victim`]: EvictionPolicy::victim
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory};
/// use cache_enterprise_strategies::eviction::Lfu;
///
/// assert_eq!(Lfu::default().uses_max(16)?.name(), "lfu");
/// assert!(Lfu::default().uses_max(0).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Lfu {
    uses_max: u8,
}

impl Default for Lfu {
    fn default() -> Self {
        Self { uses_max: 255 }
    }
}

impl Lfu {
    /// Uses beyond this are not counted, 2 to 255: the fewer, the faster the past is forgotten.
    /// Default: 255.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn uses_max(mut self, uses: u8) -> Result<Self> {
        self.uses_max = whole(NAME, "uses_max", u64::from(uses), 2..=LISTS - 1)? as u8;
        Ok(self)
    }
}

impl PolicyFactory for Lfu {
    fn name(&self) -> &str {
        NAME
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        let lists = Lists::new(LISTS as usize, shape.entries);
        Box::new(ByUses { lists, uses_max: self.uses_max, floor: 0 })
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    uses: u8,
}

impl Weighed for Used {
    fn weight(&self) -> u64 {
        1
    }
}

#[derive(Debug)]
struct ByUses {
    /// The list of a rank has its number modulo [`LISTS`]. No rank lies under the floor or more
    /// than `uses_max` above it, so that no two share a list.
    lists: Lists<Used>,
    uses_max: u8,
    /// The rank of the last victim.
    floor: u64,
}

impl EvictionPolicy for ByUses {
    fn recording(&self) -> Recording {
        Recording::Queue
    }

    fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        for rank in self.floor..self.floor + LISTS {
            if let Some(slot) = self.lists.front((rank % LISTS) as usize) {
                self.floor = rank;
                return Verdict::Evict(slot);
            }
        }
        Verdict::Refuse
    }

    fn insert(&mut self, slot: Slot, _: &Candidate) {
        self.place(slot, 1);
    }

    fn hit(&mut self, slot: Slot) {
        if let Some(used) = self.lists.get(slot) {
            self.place(slot, used.uses.saturating_add(1).min(self.uses_max));
        }
    }

    fn update(&mut self, slot: Slot, _: &Candidate) {
        self.hit(slot);
    }

    fn remove(&mut self, slot: Slot, _: RemovalCause) {
        self.lists.remove(slot);
    }

    fn account(&self, slot: Slot) -> Option<String> {
        let Used { uses } = self.lists.get(slot)?;
        Some(format!("{uses} uses count for it, {} at most", self.uses_max))
    }
}

impl ByUses {
    fn place(&mut self, slot: Slot, uses: u8) {
        let rank = self.floor + u64::from(uses);
        self.lists.push_back((rank % LISTS) as usize, slot, Used { uses });
    }
}
