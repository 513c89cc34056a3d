//! Values residence by what is known of keys that were used alike: tables of how soon they came
//! back, made anew while the cache runs.
//!
//! Every key, resident or lately gone, has a [`Past`]: when it was used last, the two gaps
//! before, and how often. Keys of about the same count and gaps make a class, and
//! for each class [`Tables`] count at which age the next use came, and how many keys wait still.
//! From that follows the index of J. C. Gittins for each class and age, the most uses per request
//! of residence that it promises. What leaves is the lowest of a few residents drawn at random,
//! the worst left over from the draws before, and the newcomer itself, which then does not come
//! in.
//!
//! The parts are known: hit density by class and age (LHD: Beckmann, Chen, Cidon, NSDI 2018), the
//! economic value of residence as the right rank under uncertainty (EVA: Beckmann, Sanchez, HPCA
//! 2017), sampled victims with a few left over (as in Redis and Hyperbolic, ATC 2017). What is
//! added is learning from keys that are gone, so that what was evicted too early is found out, and
//! from keys that wait, so that no class looks better for those of it that are forgotten.

#[cfg(test)]
mod adversary;
mod age;
mod history;
mod index;
mod past;
mod pool;
mod progress;
mod residents;
mod rival;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use progress::Progress;

use std::sync::Arc;

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyShape, Recording, RemovalCause, Slot, Verdict,
};

use history::{History, Name};
use index::Index;
use past::{Cell, Past};
use pool::{Lesson, Pool, Report, STEP};
use residents::{Resident, Residents};
use rival::{Asked, Rival};

/// Losers of a draw that take part in the next.
const LEFT_OVER: usize = 2;
/// Fewer entries do not make the memory of uses shorter.
const LEAST_ENTRIES: usize = 1_024;
/// Uses that are noted until they are handed in; more are lost while others are in the way.
const USES: usize = 8_192;
/// Requests after which a shard that found another handing in tries again.
const RETRY: u64 = 64;

/// What distinguishes the policies made of reuse tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Keys whose past is known, residents among them, as a multiple of the entries, and at least
    /// so many.
    pub(super) history: usize,
    pub(super) history_least: usize,
    /// Residents drawn for a victim.
    pub(super) drawn: usize,
    /// Whether the gap before the last makes classes too.
    pub(super) both_gaps: bool,
    /// The weight of what the last requests, twice as many as entries, showed against all before.
    pub(super) learning_rate: f64,
    /// Requests between two tables.
    pub(super) interval: u64,
    /// Uses that must have been seen before the gap before the last counts.
    pub(super) min_data_points: u64,
}

/// The policy of one shard.
#[derive(Debug)]
pub(super) struct ReusePolicy {
    settings: Settings,
    seed: u64,
    random: u64,
    /// Requests to the store so far, in 1 / [`STEP`], as far as the shard can tell from its own:
    /// ages are counted by it.
    clock: u64,
    stride: u64,
    residents: Residents,
    history: History,
    /// The key that arrived and is neither in nor refused.
    newcomer: Option<(Name, Past)>,
    left_over: [Slot; LEFT_OVER],
    /// What all shards learned, and where they meet.
    index: Arc<Index>,
    pool: Arc<Pool>,
    shard: usize,
    /// How often the bell of the pool had rung when this shard came there last.
    heard: u32,
    /// Uses that were not handed in yet.
    uses: Vec<Cell>,
    /// Requests since the last report, and at how many the next is due.
    since: u64,
    due: u64,
    progress: Arc<Progress>,
    told: bool,
    /// Recency beside few entries.
    rival: Option<Box<Rival>>,
    /// Entries that fit: as expected when made or resized, and as found since room was missing.
    entries: usize,
    /// Entries for each unit of capacity, by the same.
    density: f64,
    capacity: u64,
    /// The weight of what is resident.
    weight: u64,
    full: bool,
    /// The mean of the loads that were measured, in microseconds.
    mean_load: f32,
}

impl ReusePolicy {
    /// The policies of the shards of one store, which learn together.
    pub(super) fn of_store(
        settings: Settings,
        shapes: &[PolicyShape],
        progress: &Arc<Progress>,
    ) -> Vec<Box<dyn EvictionPolicy>> {
        let pool = Pool::new(settings, shapes.iter().map(|shape| shape.entries));
        let history_least = settings.history_least / shapes.len().max(1);
        let settings = Settings { history_least, ..settings };
        let policy = |(shard, shape)| {
            let meets = (Arc::clone(&pool), shard);
            Box::new(Self::new(settings, shape, meets, Arc::clone(progress))) as _
        };
        shapes.iter().enumerate().map(policy).collect()
    }

    /// The policy of a shard that learns alone.
    pub(super) fn alone(settings: Settings, shape: &PolicyShape, progress: Arc<Progress>) -> Self {
        Self::new(settings, shape, (Pool::new(settings, [shape.entries]), 0), progress)
    }

    /// The policy of the shard of this number, among those that meet in `pool`.
    fn new(
        settings: Settings,
        shape: &PolicyShape,
        (pool, shard): (Arc<Pool>, usize),
        progress: Arc<Progress>,
    ) -> Self {
        progress.joined();
        let entries = shape.entries.max(1);
        let Lesson { index, due, stride, is_small, bell, .. } = pool.first(shard);
        Self {
            seed: shape.seed,
            random: shape.seed | 1,
            clock: 0,
            stride,
            residents: Residents::with_capacity(entries),
            history: History::new(history_most(&settings, entries)),
            newcomer: None,
            left_over: [Slot(u32::MAX); LEFT_OVER],
            index,
            pool,
            shard,
            heard: bell,
            uses: Vec::new(),
            since: 0,
            due,
            progress,
            told: false,
            rival: is_small.then(Box::default),
            entries,
            density: entries as f64 / shape.capacity.max(1) as f64,
            capacity: shape.capacity,
            weight: 0,
            full: false,
            mean_load: 0.0,
            settings,
        }
    }

    const fn now(&self) -> u32 {
        (self.clock / STEP) as u32
    }

    /// A request: time goes on, and what was seen is handed in.
    fn tick(&mut self) {
        self.clock = self.clock.wrapping_add(self.stride);
        self.since += 1;
        if self.since >= self.due || self.pool.bell() != self.heard {
            self.hand_in();
        }
    }

    fn hand_in(&mut self) {
        if self.full && self.residents.len() > 0 {
            self.entries = self.residents.len();
            // By their own weight: in a tiny capacity a heavy one may stand beyond it.
            self.density = self.entries as f64 / self.weight.max(1) as f64;
        }
        let report = Report {
            shard: self.shard,
            requests: self.since,
            uses: &self.uses,
            entries: self.entries,
            residents: &self.residents,
            history: &self.history,
            now: self.now(),
        };
        let Some(lesson) = self.pool.hand_in(&report) else {
            self.due = self.since + RETRY;
            return;
        };
        if lesson.is_fine {
            self.progress.learned(&mut self.told);
        }
        if lesson.is_small != self.rival.is_some() {
            self.rival = lesson.is_small.then(Box::default);
        }
        self.index = lesson.index;
        self.heard = lesson.bell;
        self.stride = lesson.stride;
        self.due = lesson.due;
        self.since = 0;
        self.uses.clear();
    }

    fn used(&mut self, past: &mut Past) {
        if self.uses.len() < USES {
            self.uses.push(self.index.scale().cell(*past, self.now()));
        }
        past.used(self.now());
    }

    /// The past of a key that arrived, also where another arrived since, while a store made room in
    /// other shards; that one's past is remembered for it.
    fn recall(&mut self, name: Name) -> Past {
        match self.newcomer.take() {
            Some((arrived, past)) if arrived == name => return past,
            Some((other, past)) => self.history.put(other, past, self.now()),
            None => {}
        }
        self.history.take(name).unwrap_or(Past::new(self.now()))
    }

    fn worth(&self, past: Past, factor: f32) -> f32 {
        if self.rival.as_ref().is_some_and(|rival| rival.leads()) {
            return factor / (past.age(self.now()) as f32 + 1.0);
        }
        self.index.worth(past, self.now()) * factor
    }

    /// Shows a request to the rival.
    fn compare(&mut self, name: Name, factor: f32, weight: u32, hit: bool) {
        if let Some(rival) = &mut self.rival {
            let worth = factor * weight as f32;
            let room = if self.full { self.weight } else { self.capacity };
            rival.asked(Asked { name, weight, worth, hit }, self.entries, room);
        }
    }

    /// What a use is worth over a use of others, for each unit of weight.
    fn factor(&mut self, candidate: &Candidate) -> f32 {
        let mut factor = candidate.worth / candidate.weight.max(1) as f32;
        if candidate.load_micros > 0 {
            let load = candidate.load_micros as f32;
            if self.mean_load == 0.0 {
                self.mean_load = load;
            }
            self.mean_load += (load - self.mean_load) / 256.0;
            factor *= load / self.mean_load;
        }
        // Far from where products of it would be infinite.
        factor.clamp(1e-20, 1e20)
    }

    fn take_out(&mut self, slot: Slot) -> Option<Resident> {
        let removed = self.residents.remove(slot)?;
        self.weight -= u64::from(removed.weight);
        Some(removed)
    }

    /// A place among residents, each equally likely (xorshift of Marsaglia, 2003).
    fn draw(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (((self.random >> 32) * self.residents.len() as u64) >> 32) as usize
    }
}

fn history_most(settings: &Settings, entries: usize) -> usize {
    entries.saturating_mul(settings.history).max(settings.history_least).saturating_sub(entries)
}

impl Drop for ReusePolicy {
    fn drop(&mut self) {
        self.progress.left(self.told);
    }
}

impl EvictionPolicy for ReusePolicy {
    fn recording(&self) -> Recording {
        Recording::Queue
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        // One that was neither taken in nor refused, such as one too heavy for the shard.
        if let Some((name, past)) = self.newcomer.take() {
            self.history.put(name, past, self.now());
        }
        self.tick();
        let name = Name::new(newcomer.hash, self.seed);
        let past = match self.history.take(name) {
            Some(mut past) => {
                self.used(&mut past);
                past
            }
            None => Past::new(self.now()),
        };
        let factor = self.factor(newcomer);
        self.compare(name, factor, weight_of(newcomer), false);
        self.newcomer = Some((name, past));
    }

    fn victim(&mut self, newcomer: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        if self.residents.len() == 0 {
            return Verdict::Refuse;
        }
        self.full = newcomer.is_some();
        let mut lowest = Lowest::default();
        for slot in self.left_over {
            if let Some(resident) = self.residents.of(slot) {
                lowest.offer(slot, self.worth(resident.past, resident.factor));
            }
        }
        for _ in 0..self.settings.drawn {
            let place = self.draw();
            let resident = self.residents.at(place);
            lowest.offer(resident.slot, self.worth(resident.past, resident.factor));
        }
        if let (Some(candidate), Some(_)) = (newcomer, self.newcomer) {
            let name = Name::new(candidate.hash, self.seed);
            let past = self.recall(name);
            self.newcomer = Some((name, past));
            let factor = self.factor(candidate);
            if self.worth(past, factor) < lowest.worths[0] {
                self.newcomer = None;
                self.history.put(name, past, self.now());
                self.left_over.copy_from_slice(&lowest.slots[..LEFT_OVER]);
                return Verdict::Refuse;
            }
        }
        self.left_over.copy_from_slice(&lowest.slots[1..]);
        Verdict::Evict(lowest.slots[0])
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        let name = Name::new(newcomer.hash, self.seed);
        let past = self.recall(name);
        let factor = self.factor(newcomer);
        self.take_out(slot);
        let weight = weight_of(newcomer);
        self.weight += u64::from(weight);
        self.residents.insert(Resident { slot, name, past, factor, weight });
    }

    fn hit(&mut self, slot: Slot) {
        self.tick();
        let Some(resident) = self.residents.of(slot) else { return };
        let Resident { name, mut past, factor, weight, .. } = *resident;
        self.compare(name, factor, weight, true);
        self.used(&mut past);
        if let Some(resident) = self.residents.of_mut(slot) {
            resident.past = past;
        }
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        let factor = self.factor(candidate);
        let weight = weight_of(candidate);
        if let Some(resident) = self.residents.of_mut(slot) {
            resident.factor = factor;
            self.weight = self.weight + u64::from(weight) - u64::from(resident.weight);
            resident.weight = weight;
        }
    }

    fn remove(&mut self, slot: Slot, cause: RemovalCause) {
        if let Some(removed) = self.take_out(slot)
            && cause == RemovalCause::Evicted
        {
            self.history.put(removed.name, removed.past, self.now());
        }
    }

    fn resize(&mut self, capacity: u64) {
        self.entries = ((self.density * capacity as f64) as usize).max(1);
        self.capacity = capacity;
        self.due = self.since;
        self.history.resize(history_most(&self.settings, self.entries), self.now());
    }

    fn account(&self, slot: Slot) -> Option<String> {
        let resident = self.residents.of(slot)?;
        let (uses, age) = (resident.past.uses(), resident.past.age(self.now()));
        // What leaves is about the worst of those that are drawn.
        let own = self.worth(resident.past, resident.factor);
        let all = (0..self.residents.len()).map(|place| self.residents.at(place));
        let below = all.filter(|other| self.worth(other.past, other.factor) < own).count();
        let percent = below * 100 / self.residents.len().max(1);
        Some(format!(
            "{uses} uses, the last {age} requests ago; it promises more than {percent} % do"
        ))
    }
}

/// A weight as it is kept of a resident.
fn weight_of(candidate: &Candidate) -> u32 {
    u32::try_from(candidate.weight).unwrap_or(u32::MAX)
}

/// The lowest of what was offered, and those after it, lowest first.
struct Lowest {
    worths: [f32; LEFT_OVER + 1],
    slots: [Slot; LEFT_OVER + 1],
}

impl Default for Lowest {
    fn default() -> Self {
        Self { worths: [f32::INFINITY; LEFT_OVER + 1], slots: [Slot(u32::MAX); LEFT_OVER + 1] }
    }
}

impl Lowest {
    fn offer(&mut self, slot: Slot, worth: f32) {
        if worth >= self.worths[LEFT_OVER] || self.slots.contains(&slot) {
            return;
        }
        let mut place = LEFT_OVER;
        while place > 0 && worth < self.worths[place - 1] {
            self.worths[place] = self.worths[place - 1];
            self.slots[place] = self.slots[place - 1];
            place -= 1;
        }
        self.worths[place] = worth;
        self.slots[place] = slot;
    }
}
