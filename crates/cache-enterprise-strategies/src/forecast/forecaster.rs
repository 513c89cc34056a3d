//! Holt-Winters and its baseline, scored on what they said before they knew.

use std::collections::VecDeque;

use cache_enterprise_core::{Error, Result};

use super::holt_winters::{HoltWinters, SMOOTHINGS};
use crate::bounds;

/// An error counts half after about so many measurements more.
const ERROR_SHARE: f64 = 0.02;
/// Errors by which intervals are drawn.
const ERRORS: usize = 256;
/// Nothing but the baseline speaks before so many scored forecasts.
const TRIALS: u64 = 8;

/// Who made a forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Smoothing by level, trend and season.
    HoltWinters,
    /// What was measured a season before.
    SeasonalNaive,
}

/// A value to come.
///
/// [`Forecaster`] has an example.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Forecast {
    /// The value expected.
    pub value: f64,
    /// Nine of ten values fell between this and `high` when forecasts were scored.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// Who made it.
    pub method: Method,
}

/// Forecasts a series at one fixed distance.
///
/// Memory: seven numbers for each measurement of a season and of the distance, and 2 KiB. Cost of a
/// measurement: six smoothings; of a forecast: one sort of 256 errors.
///
/// ```
/// use cache_enterprise_strategies::forecast::Forecaster;
///
/// let mut load = Forecaster::new(24, 1)?;
/// for hour in 0..240_u32 {
///     load.observe(if hour % 24 < 8 { 10.0 } else { 100.0 });
/// }
/// // The next hour is the first of a day.
/// let next = load.forecast().expect("ten days are enough");
/// assert!((next.value - 10.0).abs() < 1.0 && next.low <= next.value);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Forecaster {
    season: usize,
    ahead: usize,
    seen: usize,
    /// The last two seasons and the distance, the oldest first.
    past: VecDeque<f64>,
    smoothed: Vec<Scored>,
    naive: Scored,
}

/// A way to forecast, with what it said and how that came out.
#[derive(Clone, Debug)]
struct Scored {
    series: Option<HoltWinters>,
    /// What it said of measurements still to come, the next first.
    said: VecDeque<f64>,
    /// The mean absolute error.
    error: f64,
    scored: u64,
    /// Measured less forecast, the oldest first.
    errors: VecDeque<f64>,
}

impl Forecaster {
    /// Forecasts measurements `ahead` steps after the last, of a series that repeats itself every
    /// `season` measurements, or of one without a season, where `season` is 1.
    ///
    /// # Errors
    /// When `season` does not lie in 1 to 100 000 or `ahead` not in 1 to 100 000.
    pub fn new(season: usize, ahead: usize) -> Result<Self> {
        let season = bounds::within("season", season, 1..=100_000)?;
        let ahead = bounds::within("ahead", ahead, 1..=100_000)?;
        Ok(Self {
            season,
            ahead,
            seen: 0,
            past: VecDeque::new(),
            smoothed: Vec::new(),
            naive: Scored::new(None),
        })
    }

    /// Takes in the next measurement. One that is not finite counts as missing: the one a season
    /// before stands in for it.
    pub fn observe(&mut self, value: f64) {
        let stand_in = self.ago(self.season).unwrap_or(0.0);
        let value = if value.is_finite() { value.clamp(-1e100, 1e100) } else { stand_in };
        let phase = self.seen % self.season;
        self.seen += 1;
        self.past.push_back(value);
        if self.past.len() > 2 * self.season + self.ahead {
            self.past.pop_front();
        }
        self.naive.settle(value, self.ahead);
        for way in &mut self.smoothed {
            way.settle(value, self.ahead);
            if let Some(series) = &mut way.series {
                series.observe(value, phase);
            }
        }
        if self.seen == 2 * self.season {
            self.start();
        }
        self.say();
    }

    /// The measurement `ahead` steps after the last; nothing within the first two seasons.
    pub fn forecast(&self) -> Option<Forecast> {
        let (way, method) = self.speaker();
        let value = *way.said.back()?;
        let (low, high) = way.interval();
        Some(Forecast { value, low: value + low, high: value + high, method })
    }

    /// The mean absolute error of the best smoothing over that of the baseline at the same
    /// distance (R. Hyndman and A. Koehler, "Another look at measures of forecast accuracy",
    /// 2006): below 1 the smoothing is better. Nothing before both were scored.
    pub fn mase(&self) -> Option<f64> {
        let best = self.best()?;
        let is_scored = self.naive.scored >= TRIALS && best.scored >= TRIALS;
        is_scored.then(|| if self.naive.error > 0.0 { best.error / self.naive.error } else { 1.0 })
    }

    fn best(&self) -> Option<&Scored> {
        self.smoothed.iter().min_by(|a, b| a.error.total_cmp(&b.error))
    }

    fn speaker(&self) -> (&Scored, Method) {
        match (self.mase(), self.best()) {
            (Some(mase), Some(best)) if mase < 1.0 => (best, Method::HoltWinters),
            _ => (&self.naive, Method::SeasonalNaive),
        }
    }

    fn ago(&self, steps: usize) -> Option<f64> {
        self.past.len().checked_sub(steps).map(|at| self.past[at])
    }

    fn start(&mut self) {
        let first: Vec<f64> = self.past.iter().copied().take(2 * self.season).collect();
        let ways = SMOOTHINGS
            .iter()
            .map(|smoothing| Scored::new(Some(HoltWinters::new(*smoothing, &first))));
        self.smoothed = ways.collect();
    }

    /// Lets every way say what comes `ahead` steps on.
    fn say(&mut self) {
        if self.smoothed.is_empty() {
            return;
        }
        let seasons = self.ahead.div_ceil(self.season);
        let before = self.ago(seasons * self.season - self.ahead + 1);
        let last = self.past.back().copied().unwrap_or(0.0);
        self.naive.say(before.unwrap_or(last), self.ahead);
        let phase = (self.seen - 1 + self.ahead) % self.season;
        for way in &mut self.smoothed {
            if let Some(series) = &way.series {
                let value = series.ahead(self.ahead, phase);
                way.say(value, self.ahead);
            }
        }
    }
}

impl Scored {
    fn new(series: Option<HoltWinters>) -> Self {
        Self { series, said: VecDeque::new(), error: 0.0, scored: 0, errors: VecDeque::new() }
    }

    fn say(&mut self, value: f64, ahead: usize) {
        self.said.push_back(if value.is_finite() { value } else { 0.0 });
        debug_assert!(self.said.len() <= ahead);
    }

    /// Scores what was said of this measurement, once the first forecast is due.
    fn settle(&mut self, value: f64, ahead: usize) {
        if self.said.len() < ahead {
            return;
        }
        let Some(said) = self.said.pop_front() else { return };
        let error = value - said;
        self.scored += 1;
        let share = (1.0 / self.scored as f64).max(ERROR_SHARE);
        self.error += share * (error.abs() - self.error);
        if self.errors.len() == ERRORS {
            self.errors.pop_front();
        }
        self.errors.push_back(error);
    }

    /// Where the middle nine of ten errors lie.
    fn interval(&self) -> (f64, f64) {
        let mut sorted: Vec<f64> = self.errors.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return (0.0, 0.0) };
        let at = |share: f64| sorted[(share * last as f64).round() as usize];
        (at(0.05).min(0.0), at(0.95).max(0.0))
    }
}

/// How a forecaster would have done on a series.
///
/// [`backtest`] has an example.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Backtest {
    /// The mean absolute error of the forecasts given, over that of the baseline.
    pub mase: f64,
    /// The share of measurements that fell into their interval.
    pub covered: f64,
    /// The share of forecasts that the baseline made.
    pub naive: f64,
    /// Forecasts scored.
    pub scored: u64,
}

/// Runs a new [`Forecaster`] over a series and scores each forecast against what then came.
///
/// ```
/// use cache_enterprise_strategies::forecast::backtest;
///
/// let rising: Vec<f64> = (0..400).map(|at| f64::from(at) + [5.0, -5.0][at as usize % 2]).collect();
/// let outcome = backtest(&rising, 2, 4)?;
/// assert!(outcome.mase < 1.0, "the baseline does not rise");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
///
/// # Errors
/// Those of [`Forecaster::new`], and when the series is too short for any forecast to be scored.
pub fn backtest(series: &[f64], season: usize, ahead: usize) -> Result<Backtest> {
    let mut forecaster = Forecaster::new(season, ahead)?;
    let mut given: VecDeque<(Forecast, f64)> = VecDeque::new();
    let (mut error, mut naive_error, mut covered, mut naive, mut scored) = (0.0, 0.0, 0, 0, 0_u64);
    for value in series.iter().copied() {
        if given.len() == ahead
            && let Some((forecast, baseline)) = given.pop_front()
            && value.is_finite()
        {
            scored += 1;
            error += (value - forecast.value).abs();
            naive_error += (value - baseline).abs();
            covered += u64::from((forecast.low..=forecast.high).contains(&value));
            naive += u64::from(forecast.method == Method::SeasonalNaive);
        }
        forecaster.observe(value);
        if let Some(forecast) = forecaster.forecast() {
            let baseline = forecaster.naive.said.back().copied().unwrap_or(forecast.value);
            given.push_back((forecast, baseline));
        }
    }
    if scored == 0 {
        return Err(Error::invalid("the series is too short to score a forecast")
            .with("measurements", series.len())
            .with("needed", 2 * season + ahead));
    }
    let share = |count: u64| count as f64 / scored as f64;
    let mase = if naive_error > 0.0 { error / naive_error } else { 1.0 };
    Ok(Backtest { mase, covered: share(covered), naive: share(naive), scored })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        assert!(Forecaster::new(0, 1).unwrap_err().to_string().contains("season"));
        assert!(Forecaster::new(1, 0).unwrap_err().to_string().contains("ahead"));
        assert!(backtest(&[1.0; 7], 2, 4).unwrap_err().to_string().contains("too short"));
    }

    #[test]
    fn the_baseline_says_what_was_a_season_ago() {
        for (season, ahead) in [(4, 1), (4, 3), (4, 4), (4, 5), (4, 9), (1, 1), (1, 3)] {
            let mut forecaster = Forecaster::new(season, ahead).unwrap();
            for at in 0..40 {
                forecaster.observe(f64::from(at));
            }
            // The last of the same phase as the one forecast, which is 39 + ahead.
            let wanted = (39 + ahead - ahead.div_ceil(season) * season) as f64;
            assert_eq!(forecaster.naive.said.back(), Some(&wanted), "{season} {ahead}");
        }
    }

    #[test]
    fn where_nothing_is_to_learn_the_baseline_speaks() {
        // A season that repeats itself exactly: nothing beats the season before.
        let series: Vec<f64> = (0..200).map(|at| [1.0, 9.0, 4.0, 7.0][at % 4]).collect();
        let outcome = backtest(&series, 4, 1).unwrap();
        assert!((outcome.mase - 1.0).abs() < 1e-9 && outcome.covered > 0.99, "{outcome:?}");
    }

    proptest! {
        #[test]
        fn forecasts_are_finite_whatever_the_series(
            values in prop::collection::vec(any::<f64>(), 0..200),
            season in 1_usize..10,
            ahead in 1_usize..10,
        ) {
            let mut forecaster = Forecaster::new(season, ahead).unwrap();
            for value in values {
                forecaster.observe(value);
                prop_assert!(forecaster.naive.said.len() <= ahead);
                if let Some(forecast) = forecaster.forecast() {
                    prop_assert!(forecast.value.is_finite());
                    prop_assert!(forecast.low <= forecast.value && forecast.value <= forecast.high);
                }
            }
        }
    }
}
