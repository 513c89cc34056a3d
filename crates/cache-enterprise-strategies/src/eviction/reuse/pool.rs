//! What the shards of one store learn together.
//!
//! A shard sees a part of the keys, and so much longer takes it to know how soon keys come back.
//! But keys of all shards come back alike: so each notes the uses it sees, and hands them in from
//! time to time. When new tables are due a bell is rung, a number that every shard looks at with
//! each request: all hand in once more, with a census of their keys, and whoever comes last makes
//! the tables. Then it is rung again, and all take them with their next request. Without the bell,
//! tables were made from uses of long ago and were followed late: a short trace was over by then.
//! Nobody waits: who finds another handing in tries again with the next request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_enterprise_core::sync::Mutex;

use super::history::History;
use super::index::Index;
use super::past::{Cell, Past, Scale};
use super::residents::Residents;
use super::tables::Tables;
use super::{LEAST_ENTRIES, Settings};

/// The first tables are made after this many requests, later ones in twice the time each until
/// the regular interval is reached.
const FIRST_INTERVAL: u64 = 256;
/// Requests of a shard between two reports, at least.
const LEAST_DUE: u64 = 32;
/// A census looks at about so many keys of either kind in all shards, and each stands for the
/// others.
const CENSUS: usize = 8_192;
/// Where a shard is not asked for anything, tables are made without its census after another such
/// part of the interval.
const PATIENCE: u64 = 4;
/// How many times fewer requests than its even share a shard is taken to get at most. Keys are dealt
/// out by hash: a shard further behind was not asked for a while, and its clock must not race.
const RAREST: u64 = 4;
/// Requests of each shard that are taken to have come before the first.
const FIRST_REQUESTS: f64 = 64.0;

/// Parts of a request that clocks count.
pub(super) const STEP: u64 = 256;

/// Where the shards of one store meet.
#[derive(Debug)]
pub(super) struct Pool {
    /// How often it was rung. What it calls to lies in the lessons.
    bell: AtomicU32,
    lessons: Mutex<Lessons>,
}

/// What a shard saw since its last report, and what it knows of its keys.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) shard: usize,
    pub(super) requests: u64,
    /// Where in the tables each use counts.
    pub(super) uses: &'a [Cell],
    /// Entries that fit into the shard.
    pub(super) entries: usize,
    pub(super) residents: &'a Residents,
    pub(super) history: &'a History,
    pub(super) now: u32,
}

/// What a shard takes home.
#[derive(Debug)]
pub(super) struct Lesson {
    pub(super) index: Arc<Index>,
    /// Requests of the shard until its next report.
    pub(super) due: u64,
    /// How far the shard's clock goes on with a request of its own, in 1 / [`STEP`] of a request
    /// to the store.
    pub(super) stride: u64,
    /// Whether enough was seen for fine classes.
    pub(super) is_fine: bool,
    /// Whether uses are remembered for longer than the entries ask for.
    pub(super) is_small: bool,
    /// How often the bell was rung until now.
    pub(super) bell: u32,
}

#[derive(Debug)]
struct Lessons {
    settings: Settings,
    tables: Tables,
    index: Arc<Index>,
    parts: Vec<Part>,
    /// Requests since the tables were made, and after how many they are made next.
    since: u64,
    interval: u64,
    /// What classes of the next tables are made by, once a census is taken for them.
    next_scale: Option<Scale>,
    /// Uses of known keys so far.
    data_points: u64,
    is_fine: bool,
}

/// What is known of one shard.
#[derive(Debug)]
struct Part {
    entries: usize,
    /// Its requests, the older the less they count.
    requests: f64,
    /// How far its clock goes on with each, in 1 / [`STEP`] of a request to the store.
    stride: u64,
    /// Whether the census for the next tables is taken.
    is_counted: bool,
    residents: Sample,
    gone: Sample,
}

/// Where keys wait, each for so many.
#[derive(Debug, Default)]
struct Sample {
    cells: Vec<Cell>,
    step: usize,
}

impl Pool {
    /// For shards that hold so many entries each.
    pub(super) fn new(settings: Settings, entries: impl IntoIterator<Item = usize>) -> Arc<Self> {
        let mut parts: Vec<_> = entries.into_iter().map(Part::new).collect();
        let stride = STEP * parts.len() as u64;
        parts.iter_mut().for_each(|part| part.stride = stride);
        let mut tables = Tables::new();
        let scale = Scale::new(all_entries(&parts), settings.both_gaps);
        let index = Arc::new(tables.index(scale, f64::INFINITY, true));
        let lessons = Lessons {
            settings,
            tables,
            index,
            parts,
            since: 0,
            interval: FIRST_INTERVAL,
            next_scale: None,
            data_points: 0,
            is_fine: false,
        };
        Arc::new(Self { bell: AtomicU32::new(0), lessons: Mutex::new(lessons) })
    }

    /// How often the bell was rung; who has heard less hands in.
    pub(super) fn bell(&self) -> u32 {
        self.bell.load(Ordering::Relaxed)
    }

    /// What a shard begins with.
    pub(super) fn first(&self, shard: usize) -> Lesson {
        self.lessons.lock().lesson(shard, self.bell())
    }

    /// Takes in what a shard saw; nothing while another shard hands in.
    pub(super) fn hand_in(&self, report: &Report<'_>) -> Option<Lesson> {
        let mut lessons = self.lessons.try_lock()?;
        let rings = lessons.take(report);
        let bell = self.bell.fetch_add(rings, Ordering::Relaxed).wrapping_add(rings);
        Some(lessons.lesson(report.shard, bell))
    }
}

impl Lessons {
    /// How often the bell must be rung after this report.
    fn take(&mut self, report: &Report<'_>) -> u32 {
        self.tables.add(report.uses);
        self.data_points += report.uses.len() as u64;
        self.since += report.requests;
        let shards = self.parts.len();
        let part = &mut self.parts[report.shard];
        part.requests += report.requests as f64;
        part.entries = report.entries;
        self.set_clock(report.shard);
        if self.since < self.interval {
            return 0;
        }
        let is_first = self.next_scale.is_none();
        let entries = all_entries(&self.parts);
        let scale =
            *self.next_scale.get_or_insert_with(|| Scale::new(entries, self.settings.both_gaps));
        self.parts[report.shard].count(report, scale, CENSUS / shards);
        let is_late = self.since >= self.interval + self.interval / PATIENCE;
        let is_done = is_late || self.parts.iter().all(|part| part.is_counted);
        if is_done {
            self.learn(scale);
        }
        u32::from(is_first) + u32::from(is_done)
    }

    /// Sets how fast the shard's clock goes, from its part of all requests.
    fn set_clock(&mut self, shard: usize) {
        let most = STEP * self.parts.len() as u64 * RAREST;
        let requests = self.parts.iter().map(|part| part.requests).sum::<f64>();
        let part = &mut self.parts[shard];
        part.stride = ((STEP as f64 * requests / part.requests) as u64).min(most);
    }

    fn learn(&mut self, scale: Scale) {
        let entries = all_entries(&self.parts).max(LEAST_ENTRIES);
        let memory = entries as f64 * 2.0 / self.settings.learning_rate;
        let kept = (-(self.since as f64) / memory).exp();
        self.is_fine = self.data_points >= self.settings.min_data_points;
        self.tables.forget_waiting();
        for sample in self.parts.iter().flat_map(|part| [&part.residents, &part.gone]) {
            self.tables.add_waiting(&sample.cells, sample.step);
        }
        self.index = Arc::new(self.tables.index(scale, memory, !self.is_fine));
        self.tables.fade(kept);
        for part in &mut self.parts {
            part.requests = (part.requests * kept).max(FIRST_REQUESTS);
            part.is_counted = false;
        }
        self.next_scale = None;
        self.since = 0;
        self.interval = (self.interval * 2).min(self.settings.interval);
    }

    fn lesson(&self, shard: usize, bell: u32) -> Lesson {
        let shards = self.parts.len() as u64;
        Lesson {
            index: Arc::clone(&self.index),
            due: self.interval.div_ceil(shards).max(LEAST_DUE.min(self.interval)),
            stride: self.parts[shard].stride,
            is_fine: self.is_fine,
            is_small: all_entries(&self.parts) <= LEAST_ENTRIES,
            bell,
        }
    }
}

impl Part {
    fn new(entries: usize) -> Self {
        Self {
            entries: entries.max(1),
            requests: FIRST_REQUESTS,
            stride: STEP,
            is_counted: false,
            residents: Sample::default(),
            gone: Sample::default(),
        }
    }

    /// A census of the shard's keys, at most about so many of either kind.
    fn count(&mut self, report: &Report<'_>, scale: Scale, most: usize) {
        let cell = |past: Past| scale.cell(past, report.now);
        let most = most.max(1);
        let residents = &mut self.residents;
        residents.step = report.residents.len().div_ceil(most).max(1);
        residents.cells.clear();
        residents.cells.extend(report.residents.sample(residents.step).map(cell));
        let gone = &mut self.gone;
        // Odd, so that no place of a set is preferred.
        gone.step = report.history.places().div_ceil(most) | 1;
        gone.cells.clear();
        gone.cells.extend(report.history.sample(gone.step).map(cell));
        self.is_counted = true;
    }
}

/// Entries that fit into all shards.
fn all_entries(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.entries).sum()
}
