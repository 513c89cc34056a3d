//! What may be changed, and how far.

use std::time::Duration;

use cache_enterprise_core::{Error, Result, hours};
use cache_enterprise_strategies::tune::{Knob, TuneRules, Tuner};

use super::subject::Subject;
use crate::options::Life;
use crate::strategy::{Policies, Strategy};

/// The least a shadow holds: of fewer entries, or of fewer bytes, hits are a matter of luck.
const SHADOW_ENTRIES_MIN: f64 = 32.0;
const SHADOW_BYTES_MIN: f64 = 16.0 * 1024.0;

/// The knobs by name.
pub(super) const STRATEGY: &str = "strategy";
pub(super) const TTL: &str = "ttl";
pub(super) const CAPACITY: &str = "capacity";

/// What a tuner may change of a cache, within which bounds, and when a change counts as a gain.
///
/// ```
/// use cache_enterprise_core::mins;
/// use cache_enterprise_engine::Tune;
///
/// let how = Tune::new().strategies(["s3-fifo"]).ttl(mins(1), mins(10)).sample(0.25);
/// # drop(how);
/// ```
#[derive(Clone, Debug)]
pub struct Tune {
    pub(super) strategies: Vec<String>,
    pub(super) ttl: Option<(Duration, Duration)>,
    pub(super) capacity: Option<(u64, u64)>,
    pub(super) sample: f64,
    pub(super) rules: TuneRules,
    pub(super) every: Duration,
    pub(super) seed: u64,
}

impl Default for Tune {
    fn default() -> Self {
        Self::new()
    }
}

impl Tune {
    /// Nothing may be changed yet.
    pub fn new() -> Self {
        Self {
            strategies: Vec::new(),
            ttl: None,
            capacity: None,
            sample: 1.0 / 16.0,
            rules: TuneRules::default(),
            every: hours(1),
            seed: 0,
        }
    }

    /// Strategies of level 1 to try beside the one in use, by name. Not where `quick` decides: it
    /// cannot be exchanged while it serves. Default: none.
    #[must_use]
    pub fn strategies<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.strategies = names.into_iter().map(Into::into).collect();
        self
    }

    /// Bounds of the life that the cache gives entries; the present one lies within them. A life
    /// that a call, a loader or a strategy names stands. Longer ones hit more, and serve what is
    /// older: a step is made where it pays. Default: the life stays.
    #[must_use]
    pub fn ttl(mut self, min: Duration, max: Duration) -> Self {
        self.ttl = Some((min, max));
        self
    }

    /// Bounds of the capacity, of a cache that has one of its own in entries; where a manager
    /// divides bytes it does so by use already. Default: the capacity stays.
    #[must_use]
    pub fn capacity(mut self, min: u64, max: u64) -> Self {
        self.capacity = Some((min, max));
        self
    }

    /// The share of the keys whose requests are told to the shadows, above 0 and at most 1. A
    /// shadow is so much of the cache. Default: a sixteenth.
    #[must_use]
    pub fn sample(mut self, share: f64) -> Self {
        self.sample = share;
        self
    }

    /// When a change counts as a gain. Nothing is judged before `min_data_points` requests of the
    /// sample warmed the shadows up and as many were counted. Default: [`TuneRules::default`].
    #[must_use]
    pub fn rules(mut self, rules: TuneRules) -> Self {
        self.rules = rules;
        self
    }

    /// How long everything rests when no change pays any more, before all is tried again. Default:
    /// 1 h.
    #[must_use]
    pub fn every(mut self, rest: Duration) -> Self {
        self.every = rest;
        self
    }

    /// Draws which keys are in the sample. Default: 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The strategies that a choice is between, that in use first.
    pub(super) fn choices(&self, subject: &dyn Subject) -> Result<Vec<Policies>> {
        if self.strategies.is_empty() {
            return Ok(Vec::new());
        }
        let Some(present) = subject.policies() else {
            let text = "level 1 is under `quick`, which cannot be exchanged while it serves: choose \
                        another strategy for it";
            return Err(Error::config(text).operation("tune").with("cache", subject.name()));
        };
        let mut choices = vec![present];
        for name in &self.strategies {
            let Some(policies) = Strategy::from(name.clone()).resolve()? else {
                let text = "`quick` cannot take over while level 1 serves";
                return Err(Error::config(text).operation("tune"));
            };
            if choices.iter().all(|choice| choice.name() != policies.name()) {
                choices.push(policies);
            }
        }
        Ok(choices)
    }

    /// The controller of what may be changed.
    pub(super) fn tuner(&self, subject: &dyn Subject, choices: usize) -> Result<Tuner> {
        let refused =
            |text| Err(Error::config(text).operation("tune").with("cache", subject.name()));
        if !(self.sample > 0.0 && self.sample <= 1.0) {
            return refused("the sample is a share of the keys, above 0 and at most 1");
        }
        let least = if subject.counts_entries() { SHADOW_ENTRIES_MIN } else { SHADOW_BYTES_MIN };
        if (subject.stats().capacity as f64) * self.sample < least {
            return refused("a shadow of this sample would hold too little: take more of the keys");
        }
        let mut knobs = Vec::new();
        if choices > 1 {
            knobs.push(Knob::choice(STRATEGY, choices, 0)?);
        }
        if let Some((min, max)) = self.ttl {
            let Life::For(ttl) = subject.life() else {
                return refused("entries of this cache live for ever: no life can be tuned");
            };
            let seconds = [min, max, ttl].map(|time| time.as_secs_f64());
            knobs.push(Knob::new(TTL, seconds[0], seconds[1], seconds[2])?);
        }
        if let Some((min, max)) = self.capacity {
            if !subject.has_own_capacity() {
                return refused("this cache has no capacity of its own in entries");
            }
            let present = subject.stats().capacity as f64;
            knobs.push(Knob::new(CAPACITY, min as f64, max as f64, present)?.whole());
        }
        if knobs.is_empty() {
            return refused("nothing may be changed: name strategies, a life or a capacity");
        }
        Tuner::new(knobs, self.rules)
    }
}
