//! A window for newcomers, a main part that only the more frequent enter, and a border between the
//! two that moves.

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyFactory, PolicyShape, Recording, RemovalCause,
    Result, Slot, Verdict,
};

use super::ghosts::{Ghosts, Name};
use super::lists::{Lists, Resident};
use super::parameters::number;
use super::sketch::Sketch;

const NAME: &str = "w-tinylfu";
/// Between these shares of the capacity the border moves.
const WINDOW_LEAST: f64 = 0.01;
const WINDOW_MOST: f64 = 0.95;
/// The share of the main part whose entries were hit there.
const PROTECTED_SHARE: f64 = 0.8;
/// How far a returning key moves the border, in its own weight.
const STEP: u64 = 2;

/// W-TinyLFU (`w-tinylfu`) with a border that moves: newcomers stand in a window by use; what falls
/// out of it enters the main part, a segmented LRU, only if a sketch of past requests has seen it
/// more often than the entry it would replace.
///
/// After G. Einziger et al., "TinyLFU: A Highly Efficient Cache Admission Policy", 2017. A fixed
/// window of one percent fails wherever recency decides, and the window that climbs by hit rate
/// ("Adaptive Software Cache Management", 2018) needs long samples. Here the border moves as that of
/// ARC does: the names of what the window let go and of what the main part let go are remembered
/// apart, and a key that comes back enlarges the part that let it go.
///
/// Each call takes a constant number of steps, on average where weights differ; once in ten
/// requests for each entry the sketch is halved in one pass. 32 bytes a slot, 8 to 16 an entry for
/// the sketch, and at most 16 for each remembered name, of which there are at most `ghost_share`
/// times as many as entries of each kind.
///
/// ```
/// use cache_enterprise_core::{Error, PolicyFactory};
/// use cache_enterprise_strategies::eviction::WTinyLfu;
///
/// assert_eq!(WTinyLfu::default().window_share(0.5)?.ghost_share(1.0)?.name(), "w-tinylfu");
/// assert!(WTinyLfu::default().window_share(0.0).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WTinyLfu {
    window_share: f64,
    ghost_share: f64,
}

impl Default for WTinyLfu {
    fn default() -> Self {
        Self { window_share: 0.2, ghost_share: 0.25 }
    }
}

impl WTinyLfu {
    /// The share of the capacity that the window has at first, 0.01 to 0.95, which are also the
    /// bounds between which it moves. Default: 0.2.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn window_share(mut self, share: f64) -> Result<Self> {
        self.window_share = number(NAME, "window_share", share, WINDOW_LEAST..=WINDOW_MOST)?;
        Ok(self)
    }

    /// How many names of what has left are remembered of each part, as a share of the entries,
    /// 0.01 to 2. Default: 0.25.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) outside of the range.
    pub fn ghost_share(mut self, share: f64) -> Result<Self> {
        self.ghost_share = number(NAME, "ghost_share", share, 0.01..=2.0)?;
        Ok(self)
    }
}

impl PolicyFactory for WTinyLfu {
    fn name(&self) -> &str {
        NAME
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        let mut parts = Parts {
            ghost_share: self.ghost_share,
            lists: Lists::new(3, shape.entries),
            sketch: Sketch::new(shape.entries),
            rejected: Ghosts::default(),
            displaced: Ghosts::default(),
            capacity: shape.capacity,
            window_max: 0,
            protected_max: 0,
        };
        parts.move_border(share_of(shape.capacity, self.window_share));
        Box::new(parts)
    }
}

const WINDOW: usize = 0;
/// The main part: what has not been hit there, and what has.
const PROBATION: usize = 1;
const PROTECTED: usize = 2;

#[derive(Debug)]
struct Parts {
    ghost_share: f64,
    lists: Lists<Resident>,
    sketch: Sketch,
    /// Names of what left from the window.
    rejected: Ghosts<()>,
    /// Names of what left from the main part.
    displaced: Ghosts<()>,
    capacity: u64,
    window_max: u64,
    protected_max: u64,
}

impl EvictionPolicy for Parts {
    fn recording(&self) -> Recording {
        Recording::Queue
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        self.sketch.count(newcomer.hash);
        let (rejected, displaced) = (self.rejected.len() as u64, self.displaced.len() as u64);
        // Where a part has fewer names, each of them says more.
        let step = |own: u64, other: u64| {
            let most = newcomer.weight.saturating_mul(STEP);
            most.saturating_mul(own.max(other)) / own.max(1)
        };
        if self.rejected.take(newcomer.hash).is_some() {
            self.move_border(self.window_max.saturating_add(step(rejected, displaced)));
        } else if self.displaced.take(newcomer.hash).is_some() {
            self.move_border(self.window_max.saturating_sub(step(displaced, rejected)));
        }
    }

    fn victim(&mut self, newcomer: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        let oldest = self.lists.front(WINDOW);
        let main = self.lists.front(PROBATION).or_else(|| self.lists.front(PROTECTED));
        let (oldest, main) = match (oldest, main) {
            (Some(oldest), Some(main)) => (oldest, main),
            (one, other) => return one.or(other).map_or(Verdict::Refuse, Verdict::Evict),
        };
        let weight = newcomer.map_or(0, |newcomer| newcomer.weight);
        if self.lists.weight(WINDOW).saturating_add(weight) <= self.window_max {
            return Verdict::Evict(main);
        }
        if self.requests(oldest) <= self.requests(main) {
            return Verdict::Evict(oldest);
        }
        self.lists.move_to_back(PROBATION, oldest);
        Verdict::Evict(main)
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        self.lists.push_back(WINDOW, slot, Resident::from(newcomer));
        self.sketch.make_room(self.entries());
        self.overflow(WINDOW, self.window_max);
    }

    fn hit(&mut self, slot: Slot) {
        let Some(resident) = self.lists.get(slot) else { return };
        self.sketch.count(resident.hash);
        if self.lists.list_of(slot) == Some(WINDOW) {
            self.lists.move_to_back(WINDOW, slot);
        } else {
            self.lists.move_to_back(PROTECTED, slot);
            self.overflow(PROTECTED, self.protected_max);
        }
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        self.lists.set(slot, Resident::from(candidate));
        self.hit(slot);
    }

    fn remove(&mut self, slot: Slot, cause: RemovalCause) {
        let limit = (self.entries() as f64 * self.ghost_share) as usize;
        let Some((list, resident)) = self.lists.remove(slot) else { return };
        if cause == RemovalCause::Evicted {
            let names = if list == WINDOW { &mut self.rejected } else { &mut self.displaced };
            names.push(Name::of(resident.hash), (), limit);
        }
    }

    fn resize(&mut self, capacity: u64) {
        let share = self.window_max as f64 / self.capacity.max(1) as f64;
        self.capacity = capacity;
        self.move_border(share_of(capacity, share));
    }

    fn account(&self, slot: Slot) -> Option<String> {
        let part = match self.lists.list_of(slot)? {
            WINDOW => "in the window of newcomers",
            PROBATION => "on probation",
            _ => "protected",
        };
        Some(format!("{part}, about {} requests of late", self.requests(slot)))
    }
}

impl Parts {
    fn entries(&self) -> usize {
        self.lists.len(WINDOW) + self.lists.len(PROBATION) + self.lists.len(PROTECTED)
    }

    fn requests(&self, slot: Slot) -> u64 {
        self.lists.get(slot).map_or(0, |resident| self.sketch.estimate(resident.hash))
    }

    /// Sets the size of the window. What is in moves only as newcomers come.
    fn move_border(&mut self, window: u64) {
        let least = share_of(self.capacity, WINDOW_LEAST).max(1);
        let most = share_of(self.capacity, WINDOW_MOST).max(least);
        self.window_max = window.clamp(least, most);
        let main = self.capacity.saturating_sub(self.window_max);
        self.protected_max = share_of(main, PROTECTED_SHARE);
    }

    /// Moves what is over the bound of a list to probation.
    fn overflow(&mut self, list: usize, most: u64) {
        while self.lists.weight(list) > most {
            let Some(slot) = self.lists.front(list) else { break };
            self.lists.move_to_back(PROBATION, slot);
        }
    }
}

fn share_of(capacity: u64, share: f64) -> u64 {
    (capacity as f64 * share) as u64
}
