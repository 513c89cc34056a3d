//! One series against its own past.
//!
//! A measurement is compared with what its phase of the season was before (an exponentially
//! weighted mean of each phase) and with the level since. The rest is put in units of its usual
//! spread by median and median absolute deviation, which outliers do not move (P. Rousseeuw and C.
//! Croux, 1993). Two things are unusual: a rest that is large by itself, and a mean of rests that
//! wandered off (S. Roberts, "Control chart tests based on geometric moving averages", 1959).

use cache_enterprise_core::Result;

use super::quantile::Quantile;
use crate::bounds;

/// The share of a new measurement in the mean of its phase.
const PHASE_SHARE: f64 = 0.2;
/// In the level that seasons ride on, which follows slowly so that drifts show.
const LEVEL_SHARE: f64 = 0.005;
/// In the mean of rests.
const DRIFT_SHARE: f64 = 0.1;
/// Rests by which spread is judged.
const SPREAD_ROOM: usize = 512;
/// Before so many nothing is said of spread.
const SPREAD_LEAST: usize = 16;
/// The ratio of deviation to median absolute deviation of the normal law.
const NORMAL: f64 = 1.482_6;
/// Seasons before the first score: by then each phase has a mean.
const SEASONS_FIRST: usize = 3;
/// What is further off than ever by chance is remembered as this far, so that one trouble does not
/// hide the next.
const KEPT_MAX: f32 = 6.0;
/// A rest teaches no more than so many deviations.
const CLIP: f64 = 3.0;

/// What a [`SeriesDetector`] assumes.
///
/// ```
/// use cache_enterprise_strategies::anomaly::SeriesLimits;
///
/// assert_eq!(SeriesLimits::default().season, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesLimits {
    /// Measurements in a season, such as 168 for a week of hours; 1 for none, the default.
    pub season: usize,
    /// Earlier measurements that a score is a share of. The default is 2 048.
    pub remembered: usize,
    /// No score is given before so many measurements, and never within the first three seasons. The
    /// default is 64.
    pub warm_up: usize,
}

impl Default for SeriesLimits {
    fn default() -> Self {
        Self { season: 1, remembered: 2_048, warm_up: 64 }
    }
}

/// Scores each measurement of a series as it comes.
///
/// Memory: 8 bytes for each measurement of a season and each remembered one, and 8 KiB. Cost of a
/// measurement: three binary searches.
///
/// ```
/// use cache_enterprise_strategies::anomaly::{SeriesDetector, SeriesLimits};
///
/// let mut latency = SeriesDetector::new(SeriesLimits::default())?;
/// for minute in 0..500 {
///     latency.observe(5.0 + f64::from(minute % 7) * 0.1);
/// }
/// assert!(latency.observe(50.0).is_some_and(|score| score > 0.99));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SeriesDetector {
    limits: SeriesLimits,
    /// What each phase lies above the level; not a number where all of it was missing so far.
    phases: Vec<f64>,
    level: f64,
    seen: u64,
    /// Measurements of the first season that were not missing.
    first: u32,
    rests: Quantile,
    deviations: Quantile,
    drift: f64,
    scores: Quantile,
}

impl SeriesDetector {
    /// A detector that has seen nothing.
    ///
    /// # Errors
    /// When `season` does not lie in 1 to 100 000, `remembered` not in 64 to 65 536, or `warm_up`
    /// not in 16 to 65 536.
    pub fn new(limits: SeriesLimits) -> Result<Self> {
        bounds::within("season", limits.season, 1..=100_000)?;
        bounds::within("remembered", limits.remembered, 64..=65_536)?;
        bounds::within("warm_up", limits.warm_up, 16..=65_536)?;
        Ok(Self {
            limits,
            phases: vec![f64::NAN; limits.season],
            level: 0.0,
            seen: 0,
            first: 0,
            rests: Quantile::new(SPREAD_ROOM),
            deviations: Quantile::new(SPREAD_ROOM),
            drift: 0.0,
            scores: Quantile::new(limits.remembered),
        })
    }

    /// Takes in the next measurement, and says how unusual it is: from 0 to 1, nothing while too
    /// little is known. What is not finite counts as missing: its place in the season passes.
    pub fn observe(&mut self, value: f64) -> Option<f64> {
        let seasons = (self.seen / self.limits.season as u64) as usize;
        let phase = (self.seen % self.limits.season as u64) as usize;
        self.seen += 1;
        if seasons == 0 {
            self.begin(phase, value);
            return None;
        }
        if !value.is_finite() {
            return None;
        }
        if self.phases[phase].is_nan() {
            // The first of its phase is taken as it comes too.
            self.phases[phase] = value - self.level;
            return None;
        }
        let rest = value - self.level - self.phases[phase];
        let (z, taught) = self.deviations_of(rest);
        if self.limits.season > 1 {
            let share = (1.0 / (seasons + 1) as f64).max(PHASE_SHARE);
            self.phases[phase] += share * taught;
        }
        self.level += LEVEL_SHARE * taught;
        self.drift += DRIFT_SHARE * (z.clamp(-2.0 * CLIP, 2.0 * CLIP) - self.drift);
        // What strays widens the spread a little: a new way of being becomes usual in time.
        let usual = taught.clamp(-1e30, 1e30) as f32;
        self.deviations.keep((usual - self.rests.median()).abs());
        self.rests.keep(usual);
        let wandered = self.drift.abs() * ((2.0 - DRIFT_SHARE) / DRIFT_SHARE).sqrt();
        if seasons < SEASONS_FIRST {
            return None;
        }
        let raw = z.abs().max(wandered) as f32;
        let score = self.scores.place(raw);
        self.scores.keep(raw.min(KEPT_MAX));
        (self.scores.len() > self.limits.warm_up).then_some(score)
    }

    /// The first season is taken as it comes; it is the first of which anything is known.
    fn begin(&mut self, phase: usize, value: f64) {
        if value.is_finite() {
            self.first += 1;
            self.level += (value - self.level) / f64::from(self.first);
            self.phases[phase] = value;
        }
        if phase + 1 < self.limits.season {
            return;
        }
        match self.first {
            0 => self.seen = 0,
            _ => self.phases.iter_mut().for_each(|first| *first -= self.level),
        }
    }

    /// A rest in deviations, and as much of it as may teach.
    fn deviations_of(&self, rest: f64) -> (f64, f64) {
        if self.deviations.len() < SPREAD_LEAST {
            return (0.0, rest);
        }
        let (middle, spread) = (f64::from(self.rests.median()), self.spread());
        let z = ((rest - middle) / spread).clamp(-1e6, 1e6);
        (z, middle + z.clamp(-CLIP, CLIP) * spread)
    }

    /// The usual deviation of rests. Never zero: a series that stood still may move a little.
    fn spread(&self) -> f64 {
        let least = (self.level.abs() * 1e-3).max(1e-9);
        (f64::from(self.deviations.median()) * NORMAL).max(least)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_out_of_range_are_refused_by_name() {
        let named = |limits| SeriesDetector::new(limits).unwrap_err().to_string();
        let limits = SeriesLimits::default();
        assert!(named(SeriesLimits { season: 0, ..limits }).contains("season, range: 1..=100000"));
        assert!(named(SeriesLimits { remembered: 0, ..limits }).contains("remembered"));
        assert!(named(SeriesLimits { warm_up: 1, ..limits }).contains("warm_up"));
    }

    #[test]
    fn what_the_season_explains_is_usual() {
        let limits = SeriesLimits { season: 24, ..SeriesLimits::default() };
        let mut detector = SeriesDetector::new(limits).unwrap();
        let of_hour = |hour: u32| {
            let wobble = hash_of(hour) - 0.5;
            100.0 + wobble + if hour % 24 == 20 { 80.0 } else { 0.0 }
        };
        for hour in 0..960 {
            detector.observe(of_hour(hour));
        }
        // The evening peak is nothing; the same height at four in the morning is.
        let mut scores = Vec::new();
        for hour in 960..984 {
            let value = if hour % 24 == 4 { 180.0 } else { of_hour(hour) };
            scores.push(detector.observe(value).unwrap());
        }
        assert!(scores[4] > 0.99 && scores[20] < 0.99, "{scores:?}");
    }

    #[test]
    fn what_is_missing_in_the_first_season_raises_no_alarm_later() {
        let limits = SeriesLimits { season: 24, ..SeriesLimits::default() };
        let is_missing: [fn(u32) -> bool; 4] = [
            |hour| hour == 3,
            |hour| hour == 23,
            |hour| hour < 24,
            |hour| hour < 24 && hour % 2 == 0,
        ];
        for (case, is_missing) in is_missing.iter().enumerate() {
            let mut detector = SeriesDetector::new(limits).unwrap();
            let mut alarms = [0; 24];
            for hour in 0..24 * 40 {
                let value = 100.0 + hash_of(hour);
                let value = if is_missing(hour) { f64::NAN } else { value };
                let is_alarm = detector.observe(value).is_some_and(|score| score > 0.99);
                alarms[hour as usize % 24] += u32::from(is_alarm);
            }
            assert!((detector.level - 100.5).abs() < 0.5, "{case}: {}", detector.level);
            assert!(alarms.iter().all(|alarms| *alarms <= 3), "{case}: {alarms:?}");
        }
    }

    #[test]
    fn a_series_without_seasons_begins_with_what_is_not_missing() {
        let mut detector = SeriesDetector::new(SeriesLimits::default()).unwrap();
        for value in [f64::NAN, f64::INFINITY, 100.0] {
            assert_eq!(detector.observe(value), None);
        }
        assert_eq!(detector.level, 100.0);
    }

    fn hash_of(hour: u32) -> f64 {
        crate::hash::unit(crate::hash::mix(hour.into()))
    }

    proptest! {
        #[test]
        fn scores_are_shares_whatever_the_series(
            values in prop::collection::vec(any::<f64>(), 0..600),
            season in 1_usize..30,
        ) {
            let limits = SeriesLimits { season, remembered: 64, warm_up: 16 };
            let mut detector = SeriesDetector::new(limits).unwrap();
            for value in values {
                if let Some(score) = detector.observe(value) {
                    prop_assert!((0.0..=1.0).contains(&score));
                }
            }
        }
    }
}
