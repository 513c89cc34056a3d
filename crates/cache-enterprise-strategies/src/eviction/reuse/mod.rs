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
mod progress;
mod residents;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use progress::Progress;

use std::sync::Arc;

use cache_enterprise_core::{
    Candidate, EvictionPolicy, HitMarks, PolicyShape, Recording, RemovalCause, Slot, Verdict,
};

use history::{History, Name};
use past::{Past, Scale};
use residents::{Resident, Residents};
use tables::Tables;

/// Losers of a draw that take part in the next.
const LEFT_OVER: usize = 2;
/// The first tables are made after this many requests, later ones in twice the time each until
/// the regular interval is reached.
const FIRST_INTERVAL: u64 = 256;
/// Fewer entries do not make the memory of uses shorter.
const LEAST_ENTRIES: usize = 1_024;
/// A census looks at about so many keys of either kind, and each stands for the others.
const CENSUS: usize = 8_192;

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
    /// Requests so far, by which ages are counted.
    now: u32,
    residents: Residents,
    history: History,
    /// The key that arrived and is neither in nor refused.
    newcomer: Option<(Name, Past)>,
    left_over: [Slot; LEFT_OVER],
    tables: Tables,
    scale: Scale,
    /// Requests since the tables were made, and when they are made next.
    since: u64,
    interval: u64,
    /// Uses of known keys so far, and who is told of them.
    data_points: u64,
    progress: Arc<Progress>,
    told: bool,
    /// Entries that fit: as expected when made or resized, and as found since room was missing.
    entries: usize,
    capacity: u64,
    full: bool,
    /// The mean of the loads that were measured, in microseconds.
    mean_load: f32,
}

impl ReusePolicy {
    pub(super) fn new(settings: Settings, shape: &PolicyShape, progress: Arc<Progress>) -> Self {
        progress.joined();
        let entries = shape.entries.max(1);
        Self {
            seed: shape.seed,
            random: shape.seed | 1,
            now: 0,
            residents: Residents::with_capacity(entries),
            history: History::new(history_most(&settings, entries)),
            newcomer: None,
            left_over: [Slot(u32::MAX); LEFT_OVER],
            tables: Tables::new(),
            scale: Scale::new(entries, settings.both_gaps),
            since: 0,
            interval: FIRST_INTERVAL,
            data_points: 0,
            progress,
            told: false,
            entries,
            capacity: shape.capacity,
            full: false,
            mean_load: 0.0,
            settings,
        }
    }

    /// A request: time goes on, and tables grow old.
    fn tick(&mut self) {
        self.now = self.now.wrapping_add(1);
        self.since += 1;
        if self.since >= self.interval {
            self.learn();
        }
    }

    fn learn(&mut self) {
        if self.full && self.residents.len() > 0 {
            self.entries = self.residents.len();
            self.scale = Scale::new(self.entries, self.settings.both_gaps);
        }
        let Self { tables, residents, history, scale, now, .. } = self;
        let (scale, now) = (*scale, *now);
        let memory = self.entries.max(LEAST_ENTRIES) as f64 * 2.0 / self.settings.learning_rate;
        let kept = (-(self.since as f64) / memory).exp();
        let coarse = self.data_points < self.settings.min_data_points;
        tables.rebuild(memory, coarse, |census| {
            let step = residents.len().div_ceil(CENSUS).max(1);
            for past in residents.sample(step) {
                census.count(scale.class(past), past.age(now), step);
            }
            // Odd, so that no place of a set is preferred.
            let step = history.places().div_ceil(CENSUS) | 1;
            for past in history.sample(step) {
                census.count(scale.class(past), past.age(now), step);
            }
        });
        tables.fade(kept);
        if !coarse {
            self.progress.learned(&mut self.told);
        }
        self.since = 0;
        self.interval = (self.interval * 2).min(self.settings.interval);
    }

    fn used(&mut self, past: &mut Past) {
        self.tables.used(self.scale.class(*past), past.age(self.now));
        self.data_points += 1;
        past.used(self.now);
    }

    fn worth(&self, past: Past, factor: f32) -> f32 {
        self.tables.worth(self.scale, past, self.now) * factor
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
            self.history.put(name, past, self.now);
        }
        self.tick();
        let name = Name::new(newcomer.hash, self.seed);
        let past = match self.history.take(name) {
            Some(mut past) => {
                self.used(&mut past);
                past
            }
            None => Past::new(self.now),
        };
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
        if let (Some(candidate), Some((name, past))) = (newcomer, self.newcomer) {
            let factor = self.factor(candidate);
            if self.worth(past, factor) < lowest.worths[0] {
                self.newcomer = None;
                self.history.put(name, past, self.now);
                self.left_over.copy_from_slice(&lowest.slots[..LEFT_OVER]);
                return Verdict::Refuse;
            }
        }
        self.left_over.copy_from_slice(&lowest.slots[1..]);
        Verdict::Evict(lowest.slots[0])
    }

    fn insert(&mut self, slot: Slot, newcomer: &Candidate) {
        let name = Name::new(newcomer.hash, self.seed);
        let arrived = self.newcomer.take().filter(|(arrived, _)| *arrived == name);
        let past = arrived.map_or(Past::new(self.now), |(_, past)| past);
        let factor = self.factor(newcomer);
        self.residents.remove(slot);
        self.residents.insert(Resident { slot, name, past, factor });
    }

    fn hit(&mut self, slot: Slot) {
        self.tick();
        let Some(resident) = self.residents.of(slot) else { return };
        let mut past = resident.past;
        self.used(&mut past);
        if let Some(resident) = self.residents.of_mut(slot) {
            resident.past = past;
        }
    }

    fn update(&mut self, slot: Slot, candidate: &Candidate) {
        let factor = self.factor(candidate);
        if let Some(resident) = self.residents.of_mut(slot) {
            resident.factor = factor;
        }
    }

    fn remove(&mut self, slot: Slot, cause: RemovalCause) {
        if let Some(removed) = self.residents.remove(slot)
            && cause == RemovalCause::Evicted
        {
            self.history.put(removed.name, removed.past, self.now);
        }
    }

    fn resize(&mut self, capacity: u64) {
        let share = capacity as f64 / self.capacity.max(1) as f64;
        self.entries = ((self.entries as f64 * share) as usize).max(1);
        self.capacity = capacity;
        self.scale = Scale::new(self.entries, self.settings.both_gaps);
        self.history.resize(history_most(&self.settings, self.entries), self.now);
    }

    fn account(&self, slot: Slot) -> Option<String> {
        let resident = self.residents.of(slot)?;
        let (uses, age) = (resident.past.uses(), resident.past.age(self.now));
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
