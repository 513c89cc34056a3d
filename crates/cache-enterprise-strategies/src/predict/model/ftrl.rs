//! Online logistic regression over hashed features.
//!
//! FTRL-proximal with per-coordinate rates (H. McMahan et al., "Ad click prediction: a view from
//! the trenches", KDD 2013). Each request is an example of a key that was asked for; keys drawn
//! evenly from those known are examples of keys that were not. Features are hashed into a fixed
//! table of weights (K. Weinberger et al., "Feature hashing for large scale multitask learning",
//! ICML 2009): the key, the key in each part of the context and in the whole, how often and how
//! long ago it was asked for, its size and load time.

use std::time::Duration;

use cache_enterprise_core::{Millis, Result, days, secs};

use super::candidates::{Candidate, Candidates};
use super::wire::{Reader, Writer, corrupt};
use super::{Access, ModelContext, PredictionModel, Ranked};
use crate::{bounds, hash};

pub(super) const KIND: &str = "ftrl";

/// Keeps early steps small.
const BETA: f64 = 1.0;
const L1: f64 = 0.01;
const L2: f64 = 0.001;
/// No sum of gradients goes beyond, so that no chance is ever not a number.
const SUM_MAX: f64 = 1_073_741_824.0;

/// Parameters of an [`Ftrl`].
///
/// ```
/// use cache_enterprise_strategies::predict::model::FtrlLimits;
///
/// assert_eq!(FtrlLimits::default().learning_rate, 0.1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FtrlLimits {
    /// How far one example moves a weight at most. The default is 0.1.
    pub learning_rate: f64,
    /// The table holds 2 to this power weights of 8 bytes. The default is 18: 2 MiB.
    pub weights_log2: u32,
    /// Keys that may be ranked: about 120 bytes each and the key. The default is 20 000.
    pub keys: usize,
    /// Examples of keys not asked for, per request. The default is 3.
    pub negatives: u32,
    /// After this time a request counts half among the features. The default is 1 day.
    pub half_life: Duration,
}

impl Default for FtrlLimits {
    fn default() -> Self {
        Self {
            learning_rate: 0.1,
            weights_log2: 18,
            keys: 20_000,
            negatives: 3,
            half_life: days(1),
        }
    }
}

impl FtrlLimits {
    fn check(&self) -> Result<()> {
        bounds::within("learning_rate", self.learning_rate, 0.0001..=1.0)?;
        bounds::within("weights_log2", self.weights_log2, 10..=24)?;
        bounds::within("keys", self.keys, 1..=1 << 22)?;
        bounds::within("negatives", self.negatives, 1..=16)?;
        bounds::lasting("half_life", self.half_life, secs(1)..=days(3_650))?;
        Ok(())
    }
}

/// Sums of gradients and of their squares.
#[derive(Clone, Copy, Debug, Default)]
struct Coordinate {
    z: f32,
    n: f32,
}

/// Hashed logistic regression (`ftrl`).
///
/// A score is the chance that the key is the one asked for rather than one drawn evenly from those
/// known. Cost of a request: about ten weights read and written for each of its examples.
///
/// ```
/// use cache_enterprise_strategies::predict::model::{
///     Access, Ftrl, FtrlLimits, ModelContext, PredictionModel,
/// };
///
/// let mut model = Ftrl::new(FtrlLimits::default())?;
/// let context = ModelContext::new([("region", "EU")])?;
/// for at in 0..2_000 {
///     model.learn(&Access::new(if at % 10 == 0 { "seldom" } else { "often" }, &context, at));
/// }
/// assert!(model.score("often", &context, 2_000) > model.score("seldom", &context, 2_000));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ftrl {
    limits: FtrlLimits,
    candidates: Candidates,
    weights: Box<[Coordinate]>,
    now: Millis,
    /// Places of the features of one example, kept to spare an allocation each time.
    places: Vec<u32>,
}

impl Ftrl {
    /// A model that has learned nothing.
    ///
    /// # Errors
    /// When `learning_rate` does not lie in 0.0001 to 1, `weights_log2` not in 10 to 24, `keys`
    /// not in 1 to 2^22, `negatives` not in 1 to 16, or `half_life` not in 1 s to 3 650 days.
    pub fn new(limits: FtrlLimits) -> Result<Self> {
        limits.check()?;
        Ok(Self {
            limits,
            candidates: Candidates::new(limits.keys, limits.half_life.as_millis() as f64),
            weights: vec![Coordinate::default(); 1 << limits.weights_log2].into_boxed_slice(),
            now: 0,
            places: Vec::new(),
        })
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let limits = FtrlLimits {
            learning_rate: input.f64()?,
            weights_log2: input.u32()?,
            keys: input.u32()? as usize,
            negatives: input.u32()?,
            half_life: Duration::from_millis(input.u64()?),
        };
        limits.check().map_err(|error| {
            corrupt("a model holds parameters out of range").source_error(error)
        })?;
        input.holds(1 << limits.weights_log2, 8)?;
        let mut made = Self::new(limits)?;
        made.now = input.u64()?;
        for weight in &mut made.weights {
            *weight = Coordinate { z: input.f32()?, n: input.count32()? };
            if f64::from(weight.z.abs().max(weight.n)) > SUM_MAX {
                return Err(corrupt("a weight of a model is out of range"));
            }
        }
        let half_life_ms = limits.half_life.as_millis() as f64;
        made.candidates = Candidates::read(input, limits.keys, half_life_ms)?;
        Ok(made)
    }

    /// Features of a key in a context, as places in the table.
    fn features(
        &self,
        key: u64,
        candidate: Option<&Candidate>,
        context: &ModelContext,
        now: Millis,
        places: &mut Vec<u32>,
    ) {
        let mask = self.weights.len() as u64 - 1;
        let mut feature = |kind: u64, value: u64| {
            places.push((hash::pair(hash::mix(kind), value) & mask) as u32);
        };
        feature(0, 0);
        feature(1, key);
        feature(2, hash::pair(context.cell, key));
        if context.single.len() > 1 {
            for part in &context.single {
                feature(3, hash::pair(*part, key));
            }
        }
        if let Some(known) = candidate {
            let count = self.candidates.count_of(known, now);
            feature(4, half_octave(count));
            feature(5, half_octave(Candidates::idle_ms(known, now) as f64));
            feature(6, half_octave(known.bytes as f64));
            feature(7, half_octave(f64::from(known.load_micros)));
        }
    }

    fn weight(&self, place: u32) -> f64 {
        let Coordinate { z, n } = self.weights[place as usize];
        let (z, n) = (f64::from(z), f64::from(n));
        if z.abs() <= L1 {
            return 0.0;
        }
        -(z - L1.copysign(z)) / ((BETA + n.sqrt()) / self.limits.learning_rate + L2)
    }

    fn chance(&self, places: &[u32]) -> f64 {
        let sum: f64 = places.iter().map(|place| self.weight(*place)).sum();
        1.0 / (1.0 + (-sum.clamp(-35.0, 35.0)).exp())
    }

    fn teach(&mut self, places: &[u32], was_asked: bool) {
        let gradient = self.chance(places) - f64::from(u8::from(was_asked));
        let squared = gradient * gradient;
        for place in places {
            let weight = self.weight(*place);
            let coordinate = &mut self.weights[*place as usize];
            let n = f64::from(coordinate.n);
            let sigma = ((n + squared).sqrt() - n.sqrt()) / self.limits.learning_rate;
            let z = f64::from(coordinate.z) + gradient - sigma * weight;
            coordinate.z = z.clamp(-SUM_MAX, SUM_MAX) as f32;
            coordinate.n = (n + squared).min(SUM_MAX) as f32;
        }
    }
}

fn half_octave(value: f64) -> u64 {
    ((value.max(0.0) + 1.0).log2() * 2.0) as u64
}

impl PredictionModel for Ftrl {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn learn(&mut self, access: &Access<'_>) {
        self.now = self.now.max(access.at);
        let (now, key) = (self.now, hash::bytes(access.key.as_bytes()));
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        // The key as it was known before this request: its count must not give the answer away.
        self.features(key, self.candidates.get(key), access.context, now, &mut places);
        self.teach(&places, true);
        for _ in 0..self.limits.negatives {
            let Some(drawn) = self.candidates.draw() else { break };
            let other = self.candidates.at(drawn);
            if other.hash == key {
                continue;
            }
            places.clear();
            self.features(other.hash, Some(other), access.context, now, &mut places);
            self.teach(&places, false);
        }
        self.places = places;
        self.candidates.count(access, key);
    }

    fn score(&self, key: &str, context: &ModelContext, at: Millis) -> f64 {
        let (key, now) = (hash::bytes(key.as_bytes()), self.now.max(at));
        let mut places = Vec::new();
        self.features(key, self.candidates.get(key), context, now, &mut places);
        self.chance(&places)
    }

    fn rank(&self, context: &ModelContext, at: Millis, most: usize) -> Vec<Ranked> {
        let now = self.now.max(at);
        let mut places = Vec::new();
        self.candidates.rank(most, |candidate| {
            places.clear();
            self.features(candidate.hash, Some(candidate), context, now, &mut places);
            self.chance(&places)
        })
    }

    fn fresh(&self) -> Box<dyn PredictionModel> {
        Box::new(Self::new(self.limits).expect("these limits were checked"))
    }

    fn payload(&self) -> Result<Vec<u8>> {
        let mut out = Writer::default();
        out.f64(self.limits.learning_rate);
        out.u32(self.limits.weights_log2);
        out.u32(self.limits.keys as u32);
        out.u32(self.limits.negatives);
        out.u64(self.limits.half_life.as_millis() as u64);
        out.u64(self.now);
        for weight in &self.weights {
            out.f32(weight.z);
            out.f32(weight.n);
        }
        self.candidates.write(&mut out);
        Ok(out.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let named = |limits| Ftrl::new(limits).unwrap_err().to_string();
        for learning_rate in [f64::NAN, 0.0, -0.1, 1.5, f64::INFINITY] {
            let text = named(FtrlLimits { learning_rate, ..FtrlLimits::default() });
            assert!(text.contains("learning_rate, range: 0.0001..=1"), "{text}");
        }
        let limits = FtrlLimits::default();
        assert!(named(FtrlLimits { weights_log2: 40, ..limits }).contains("weights_log2"));
        assert!(named(FtrlLimits { keys: 0, ..limits }).contains("keys"));
        assert!(named(FtrlLimits { negatives: 0, ..limits }).contains("negatives"));
        assert!(named(FtrlLimits { half_life: Duration::ZERO, ..limits }).contains("half_life"));
    }

    #[test]
    fn it_learns_what_a_context_asks_for() {
        let mut model = Ftrl::new(FtrlLimits { keys: 100, ..FtrlLimits::default() }).unwrap();
        let at_home = ModelContext::new([("place", "home")]).unwrap();
        let at_work = ModelContext::new([("place", "work")]).unwrap();
        for at in 0..3_000_u64 {
            let (context, own) = if at % 2 == 0 { (&at_home, "home") } else { (&at_work, "work") };
            let key = if at % 3 == 0 { format!("other:{}", at % 50) } else { own.to_owned() };
            model.learn(&Access::new(&key, context, at * 10));
        }
        assert_eq!(&*model.rank(&at_home, 30_000, 1)[0].key, "home");
        assert_eq!(&*model.rank(&at_work, 30_000, 1)[0].key, "work");
        assert!(model.score("home", &at_home, 30_000) > model.score("home", &at_work, 30_000));
    }
}
