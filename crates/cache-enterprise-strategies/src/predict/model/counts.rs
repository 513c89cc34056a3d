//! Decayed counts of keys by context.
//!
//! A key's share in a context is its count there, smoothed by what is expected of it: its share in
//! each part of the context, and behind that its share overall (a Dirichlet prior at each step, as
//! in D. MacKay and L. Peto, "A hierarchical Dirichlet language model", 1995). How many requests
//! the prior weighs is not guessed: several weights are scored by their log loss on each request
//! before it is learned, and the best speaks. Where context says nothing, that is the heaviest, and
//! the model ranks as plain popularity does.
//!
//! Counts by key are kept for a bounded set of keys. Counts by key and context are in a count-min
//! sketch with conservative update (C. Estan and G. Varghese, 2002), which decays by letting new
//! requests weigh more and more (G. Cormode et al., "Forward decay", ICDE 2009).

use std::time::Duration;

use cache_enterprise_core::{Millis, Result, days, secs};

use super::candidates::{Candidate, Candidates};
use super::wire::{Reader, Writer, corrupt};
use super::{Access, ModelContext, PredictionModel, Ranked};
use crate::{bounds, hash};

pub(super) const KIND: &str = "context-counts";

const ROWS: usize = 4;
/// In half-lives: when new requests weigh 2^40, all counts are scaled down.
const RESCALE_AFTER: f64 = 40.0;
/// Requests that a prior may weigh. The last leaves a context hardly anything to say.
const PRIORS: [f64; 5] = [30.0, 200.0, 1_500.0, 12_000.0, 1e9];
/// The loss of a prior is a mean over about so many requests.
const LOSS_SPAN: f64 = 5_000.0;
/// The share of a key nobody knows.
const UNKNOWN: f64 = 1e-9;
/// Stands for all keys of a context.
const ANY_KEY: u64 = 0;

/// How much a [`ContextCounts`] remembers, and for how long.
///
/// ```
/// use cache_enterprise_strategies::predict::model::CountsLimits;
///
/// assert_eq!(CountsLimits::default().keys, 20_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountsLimits {
    /// Keys that may be ranked: about 120 bytes each and the key. The default is 20 000.
    pub keys: usize,
    /// Counters in each of the sketch's four rows, of 4 bytes each, rounded up to a power of two.
    /// The default is 131 072: 2 MiB.
    pub counters: usize,
    /// After this time a request counts half. The default is 7 days.
    pub half_life: Duration,
}

impl Default for CountsLimits {
    fn default() -> Self {
        Self { keys: 20_000, counters: 131_072, half_life: days(7) }
    }
}

/// Popularity by context with back-off (`context-counts`).
///
/// Cost of a request: four counters for the context and for each of its parts, read and written.
/// Cost of a ranking: as many reads for each key. Memory: see [`CountsLimits`].
///
/// ```
/// use cache_enterprise_strategies::predict::model::{
///     Access, ContextCounts, CountsLimits, ModelContext, PredictionModel,
/// };
///
/// let mut model = ContextCounts::new(CountsLimits::default())?;
/// let friday = ModelContext::new([("time", "friday_evening")])?;
/// let monday = ModelContext::new([("time", "monday_morning")])?;
/// for at in 0..1_000 {
///     model.learn(&Access::new("dance", &friday, at));
///     model.learn(&Access::new("focus", &monday, at));
/// }
/// assert_eq!(&*model.rank(&friday, 1_000, 1)[0].key, "dance");
/// assert_eq!(&*model.rank(&monday, 1_000, 1)[0].key, "focus");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ContextCounts {
    limits: CountsLimits,
    candidates: Candidates,
    counters: Box<[f32]>,
    /// When a request weighs 1.
    landmark: Millis,
    /// The latest request.
    now: Millis,
    /// The mean log loss of each prior.
    losses: [f64; PRIORS.len()],
    learned: u64,
}

/// What the sketch says of one context or a part of one: the key's count and that of all keys.
#[derive(Clone, Copy)]
struct Cell {
    key: f64,
    all: f64,
}

impl ContextCounts {
    /// A model that has learned nothing.
    ///
    /// # Errors
    /// When `keys` does not lie in 1 to 2^22, `counters` not in 64 to 2^24, or `half_life` not in
    /// 1 s to 3 650 days.
    pub fn new(limits: CountsLimits) -> Result<Self> {
        bounds::within("keys", limits.keys, 1..=1 << 22)?;
        bounds::within("counters", limits.counters, 64..=1 << 24)?;
        bounds::lasting("half_life", limits.half_life, secs(1)..=days(3_650))?;
        let width = limits.counters.next_power_of_two();
        let half_life_ms = limits.half_life.as_millis() as f64;
        Ok(Self {
            limits,
            candidates: Candidates::new(limits.keys, half_life_ms),
            counters: vec![0.0; width * ROWS].into_boxed_slice(),
            landmark: 0,
            now: 0,
            losses: [0.0; PRIORS.len()],
            learned: 0,
        })
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let limits = CountsLimits {
            keys: input.u32()? as usize,
            counters: input.u32()? as usize,
            half_life: Duration::from_millis(input.u64()?),
        };
        let width = limits.counters.checked_next_power_of_two();
        let counters = width.and_then(|width| width.checked_mul(ROWS));
        // Before anything is allocated for them.
        input.holds(counters.ok_or_else(|| corrupt("a model claims too many counters"))?, 4)?;
        let mut made = Self::new(limits).map_err(|error| {
            corrupt("a model holds parameters out of range").source_error(error)
        })?;
        (made.landmark, made.now, made.learned) = (input.u64()?, input.u64()?, input.u64()?);
        if made.landmark > made.now {
            return Err(corrupt("a model holds dates in disorder"));
        }
        for loss in &mut made.losses {
            *loss = input.count64()?;
        }
        for counter in &mut made.counters {
            *counter = input.count32()?;
        }
        let half_life_ms = limits.half_life.as_millis() as f64;
        made.candidates = Candidates::read(input, limits.keys, half_life_ms)?;
        Ok(made)
    }

    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let width = self.counters.len() / ROWS;
        let (first, step) = (hash::mix(hash), hash::mix(!hash) | 1);
        (0..ROWS as u64).map(move |row| {
            let drawn = first.wrapping_add(step.wrapping_mul(row));
            row as usize * width + (drawn >> 20) as usize % width
        })
    }

    fn halves_since_landmark(&self, now: Millis) -> f64 {
        now.saturating_sub(self.landmark) as f64 / self.limits.half_life.as_millis() as f64
    }

    fn add(&mut self, hash: u64, weight: f64) {
        let least = self.places(hash).map(|at| self.counters[at]).fold(f32::MAX, f32::min);
        let count = (f64::from(least) + weight) as f32;
        for at in self.places(hash) {
            self.counters[at] = self.counters[at].max(count);
        }
    }

    /// As of `now`, where `decay` is what a request at the landmark still counts.
    fn count(&self, hash: u64, decay: f64) -> f64 {
        let least = self.places(hash).map(|at| self.counters[at]).fold(f32::MAX, f32::min);
        f64::from(least) * decay
    }

    fn cell(&self, part: u64, key: u64, decay: f64) -> Cell {
        let all = self.count(hash::pair(part, ANY_KEY), decay);
        let key = self.count(hash::pair(part, key), decay);
        Cell { key: key.min(all), all }
    }

    /// The parts of a context, each a pair of it, and the context as a whole as the last.
    fn cells(&self, context: &ModelContext, key: u64, decay: f64, into: &mut Vec<Cell>) {
        into.clear();
        if context.single.len() > 1 {
            into.extend(context.single.iter().map(|part| self.cell(*part, key, decay)));
        }
        if !context.single.is_empty() {
            into.push(self.cell(context.cell, key, decay));
        }
    }

    fn overall(&self, candidate: Option<&Candidate>, now: Millis) -> f64 {
        let count = candidate.map_or(0.0, |known| self.candidates.count_of(known, now));
        (count / self.candidates.total_count(now).max(1.0)).max(UNKNOWN)
    }

    fn best_prior(&self) -> f64 {
        let losses = self.losses.iter().zip(PRIORS);
        let best = losses.min_by(|(a, _), (b, _)| a.total_cmp(b));
        best.expect("there are priors").1
    }

    /// Brings the weight of new requests back to 1.
    fn rescale(&mut self, now: Millis) {
        let decay = (-self.halves_since_landmark(now).min(200.0)).exp2() as f32;
        self.counters.iter_mut().for_each(|counter| *counter *= decay);
        self.landmark = now;
    }

    fn judge_priors(&mut self, cells: &[Cell], overall: f64) {
        self.learned = self.learned.saturating_add(1);
        let share = 1.0 / (self.learned as f64).min(LOSS_SPAN);
        for (loss, prior) in self.losses.iter_mut().zip(PRIORS) {
            let surprise = -smoothed(cells, overall, prior).max(UNKNOWN).ln();
            *loss += (surprise - *loss) * share;
        }
    }
}

/// A key's share in a context, from its share overall through the parts to the whole.
fn smoothed(cells: &[Cell], overall: f64, prior: f64) -> f64 {
    let share = |cell: &Cell, expected: f64| (cell.key + prior * expected) / (cell.all + prior);
    let Some((whole, parts)) = cells.split_last() else { return overall };
    if parts.is_empty() {
        return share(whole, overall);
    }
    let sum: f64 = parts.iter().map(|part| share(part, overall)).sum();
    share(whole, sum / parts.len() as f64)
}

impl PredictionModel for ContextCounts {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn learn(&mut self, access: &Access<'_>) {
        let key = hash::bytes(access.key.as_bytes());
        if self.learned == 0 {
            self.landmark = access.at;
        }
        self.now = self.now.max(access.at);
        if self.halves_since_landmark(self.now) > RESCALE_AFTER {
            self.rescale(self.now);
        }
        let weight = self.halves_since_landmark(self.now).exp2();
        let mut cells = Vec::with_capacity(access.context.single.len() + 1);
        self.cells(access.context, key, 1.0 / weight, &mut cells);
        let overall = self.overall(self.candidates.get(key), self.now);
        self.judge_priors(&cells, overall);
        self.candidates.count(access, key);
        if access.context.single.len() > 1 {
            for part in &access.context.single {
                self.add(hash::pair(*part, key), weight);
                self.add(hash::pair(*part, ANY_KEY), weight);
            }
        }
        if !access.context.single.is_empty() {
            self.add(hash::pair(access.context.cell, key), weight);
            self.add(hash::pair(access.context.cell, ANY_KEY), weight);
        }
    }

    fn score(&self, key: &str, context: &ModelContext, at: Millis) -> f64 {
        let now = self.now.max(at);
        let (key, mut cells) = (hash::bytes(key.as_bytes()), Vec::new());
        self.cells(context, key, (-self.halves_since_landmark(now)).exp2(), &mut cells);
        smoothed(&cells, self.overall(self.candidates.get(key), now), self.best_prior())
    }

    fn rank(&self, context: &ModelContext, at: Millis, most: usize) -> Vec<Ranked> {
        let now = self.now.max(at);
        let (decay, prior) = ((-self.halves_since_landmark(now)).exp2(), self.best_prior());
        let mut cells = Vec::new();
        self.candidates.rank(most, |candidate| {
            self.cells(context, candidate.hash, decay, &mut cells);
            smoothed(&cells, self.overall(Some(candidate), now), prior)
        })
    }

    fn fresh(&self) -> Box<dyn PredictionModel> {
        Box::new(Self::new(self.limits).expect("these limits were checked"))
    }

    fn payload(&self) -> Result<Vec<u8>> {
        let mut out = Writer::default();
        out.u32(self.limits.keys as u32);
        out.u32(self.limits.counters as u32);
        out.u64(self.limits.half_life.as_millis() as u64);
        out.u64(self.landmark);
        out.u64(self.now);
        out.u64(self.learned);
        self.losses.iter().for_each(|loss| out.f64(*loss));
        self.counters.iter().for_each(|counter| out.f32(*counter));
        self.candidates.write(&mut out);
        Ok(out.0)
    }
}
