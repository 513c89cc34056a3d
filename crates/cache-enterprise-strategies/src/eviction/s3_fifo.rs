//! Three queues without moves on hits: a small one for newcomers, a main one, and names of what
//! left the small one.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause,
    Result, Slot, Verdict,
};

use super::ghosts::Ghosts;
use super::lists::{Lists, Named};
use super::parameters::{number, whole};

const NAME: &str = "s3-fifo";
/// Hits beyond this are not counted; the main queue gives as many further rounds.
const MOST_HITS: u8 = 3;

/// S3-FIFO (`s3-fifo`): newcomers pass a small queue and reach the main one only if they were hit
/// there, or if they come back while their name is remembered. The main queue gives what was hit
/// another round.
///
/// From J. Yang et al., "FIFO Queues are All You Need for Cache Eviction", SOSP 2023. The queues
/// are bounded by weight. Before the first eviction, newcomers that find the small queue full go
/// to the main one. A victim takes a constant number of steps on average, and four looks at each
/// entry at worst. 20 bytes a slot, and at most 16 for each remembered name, of which there are
/// at most `ghost_share` times as many as entries.
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory};
/// use cache_enterprise_strategies::eviction::S3Fifo;
///
/// let for_scans = S3Fifo::default().small_share(0.05)?.ghost_share(2.0)?;
/// assert_eq!(for_scans.name(), "s3-fifo");
/// assert!(S3Fifo::default().small_share(f64::NAN).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct S3Fifo {
    small_share: f64,
    ghost_share: f64,
    promote_at: u8,
}

impl Default for S3Fifo {
    fn default() -> Self {
        Self { small_share: 0.1, ghost_share: 0.9, promote_at: 2 }
    }
}

impl S3Fifo {
    /// The share of the capacity that newcomers pass through, 0.001 to 0.9. Default: 0.1.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn small_share(mut self, share: f64) -> Result<Self> {
        self.small_share = number(NAME, "small_share", share, 0.001..=0.9)?;
        Ok(self)
    }

    /// How many names of what left the small queue are remembered, as a share of the entries,
    /// 0.01 to 4. Default: 0.9.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn ghost_share(mut self, share: f64) -> Result<Self> {
        self.ghost_share = number(NAME, "ghost_share", share, 0.01..=4.0)?;
        Ok(self)
    }

    /// Hits in the small queue that lead to the main one, 1 to 3. Default: 2.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn promote_at(mut self, hits: u8) -> Result<Self> {
        self.promote_at =
            whole(NAME, "promote_at", u64::from(hits), 1..=u64::from(MOST_HITS))? as u8;
        Ok(self)
    }
}

impl PolicyFactory for S3Fifo {
    fn name(&self) -> &str {
        NAME
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        let mut queues = Queues {
            parameters: *self,
            queues: Lists::new(2, shape.entries),
            ghosts: Ghosts::default(),
            small_max: 0,
            main_max: 0,
            filling: true,
            returning: None,
        };
        queues.resize(shape.capacity);
        Box::new(queues)
    }
}

const SMALL: usize = 0;
const MAIN: usize = 1;

#[derive(Debug)]
struct Queues {
    parameters: S3Fifo,
    queues: Lists<Named>,
    ghosts: Ghosts<()>,
    small_max: u64,
    main_max: u64,
    /// Nothing was evicted yet, or not since the capacity grew.
    filling: bool,
    /// The newcomer whose name was found among the ghosts.
    returning: Option<u64>,
}

impl EvictionPolicy for Queues {
    fn recording(&self) -> Recording {
        Recording::Marks { max: MOST_HITS }
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        // Now, not when it is in: making room for it may push its name out.
        self.returning = self.ghosts.take(newcomer.hash).map(|()| newcomer.hash);
    }

    fn victim(&mut self, _: Option<&Candidate>, marks: &dyn HitMarks) -> Verdict {
        self.filling = false;
        let entries = self.queues.len(SMALL) + self.queues.len(MAIN);
        // Enough for every entry to leave the small queue and to use up its rounds in the main
        // one. Hits that come while this runs cannot make it run on.
        for _ in 0..entries.saturating_mul(usize::from(MOST_HITS) + 1) {
            let from_main = self.queues.weight(MAIN) > self.main_max || self.queues.len(SMALL) == 0;
            let list = if from_main { MAIN } else { SMALL };
            let Some(slot) = self.queues.front(list) else { break };
            let hits = marks.take(slot);
            match list {
                SMALL if hits < self.parameters.promote_at => return Verdict::Evict(slot),
                MAIN if hits == 0 => return Verdict::Evict(slot),
                MAIN => marks.set(slot, hits - 1),
                _ => {}
            }
            self.queues.move_to_back(MAIN, slot);
        }
        let oldest = self.queues.front(MAIN).or_else(|| self.queues.front(SMALL));
        oldest.map_or(Verdict::Refuse, Verdict::Evict)
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        let returns = self.returning.take() == Some(newcomer.hash);
        let overflows = self.filling && self.queues.weight(SMALL) >= self.small_max;
        let list = if returns || overflows { MAIN } else { SMALL };
        self.queues.push_back(list, slot, Named::from(newcomer));
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        self.queues.set(slot, Named::from(candidate));
    }

    fn remove(&mut self, slot: Slot, cause: RemovalCause) {
        let entries = self.queues.len(SMALL) + self.queues.len(MAIN);
        let Some((list, entry)) = self.queues.remove(slot) else { return };
        if list == SMALL && cause == RemovalCause::Evicted {
            let limit = (entries as f64 * self.parameters.ghost_share) as usize;
            self.ghosts.push(entry.name, (), limit);
        }
    }

    fn resize(&mut self, capacity: u64) {
        let small = (capacity as f64 * self.parameters.small_share) as u64;
        self.filling |= small > self.small_max;
        self.small_max = small.max(1);
        self.main_max = capacity.saturating_sub(self.small_max);
    }

    fn account(&self, slot: Slot) -> Option<String> {
        let hits = self.parameters.promote_at;
        Some(match self.queues.list_of(slot)? {
            SMALL => format!("among the newcomers: it stays if it is hit {hits} times in its turn"),
            _ => "in the main queue: each hit keeps it for one more round".to_owned(),
        })
    }
}
