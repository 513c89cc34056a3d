//! Additive Holt-Winters smoothing with a damped trend.
//!
//! C. Holt, 1957; P. Winters, "Forecasting sales by exponentially weighted moving averages", 1960;
//! the damping of E. Gardner and E. McKenzie, "Forecasting trends in time series", 1985.

/// How fast level, trend and season follow, and what is left of the trend at each step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Smoothing {
    level: f64,
    trend: f64,
    season: f64,
    damping: f64,
}

/// From a series that stands still to one that changes its ways.
pub(super) const SMOOTHINGS: [Smoothing; 6] = [
    Smoothing { level: 0.05, trend: 0.0, season: 0.05, damping: 1.0 },
    Smoothing { level: 0.05, trend: 0.02, season: 0.1, damping: 0.98 },
    Smoothing { level: 0.2, trend: 0.0, season: 0.1, damping: 1.0 },
    Smoothing { level: 0.2, trend: 0.05, season: 0.2, damping: 0.95 },
    Smoothing { level: 0.5, trend: 0.0, season: 0.3, damping: 1.0 },
    Smoothing { level: 0.8, trend: 0.1, season: 0.3, damping: 0.9 },
];

#[derive(Clone, Debug)]
pub(super) struct HoltWinters {
    smoothing: Smoothing,
    level: f64,
    trend: f64,
    phases: Vec<f64>,
}

impl HoltWinters {
    /// Starts from the first two seasons, in order. With a season of 1 there are no phases.
    pub(super) fn new(smoothing: Smoothing, first: &[f64]) -> Self {
        let season = first.len() / 2;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let (one, two) = first.split_at(season);
        let trend =
            if smoothing.trend > 0.0 { (mean(two) - mean(one)) / season as f64 } else { 0.0 };
        let level = mean(first);
        let phases =
            (0..season).map(|phase| (one[phase] - mean(one) + two[phase] - mean(two)) / 2.0);
        // The level belongs to the end of the second season.
        Self { smoothing, level: level + trend * season as f64, trend, phases: phases.collect() }
    }

    /// Takes in the measurement of `phase`.
    pub(super) fn observe(&mut self, value: f64, phase: usize) {
        let Smoothing { level, trend, season, damping } = self.smoothing;
        let before = self.level;
        let expected = before + damping * self.trend;
        self.level = level * (value - self.phases[phase]) + (1.0 - level) * expected;
        self.trend = trend * (self.level - before) + (1.0 - trend) * damping * self.trend;
        if self.phases.len() > 1 {
            let rest = value - self.level;
            self.phases[phase] += season * (rest - self.phases[phase]);
        }
    }

    /// What it expects `ahead` steps after the last measurement, whose phase is then `phase`.
    pub(super) fn ahead(&self, ahead: usize, phase: usize) -> f64 {
        let damping = self.smoothing.damping;
        let steps = if damping >= 1.0 {
            ahead as f64
        } else {
            damping * (1.0 - damping.powi(ahead.min(1 << 20) as i32)) / (1.0 - damping)
        };
        self.level + self.trend * steps + self.phases[phase]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_season_on_a_straight_line_is_continued() {
        let value = |at: usize| at as f64 * 0.5 + [0.0, 3.0, -3.0, 0.0][at % 4];
        let first: Vec<f64> = (0..8).map(value).collect();
        let trending = Smoothing { level: 0.3, trend: 0.1, season: 0.1, damping: 1.0 };
        let mut series = HoltWinters::new(trending, &first);
        for at in 8..400 {
            series.observe(value(at), at % 4);
        }
        for ahead in 1..=8 {
            let at = 399 + ahead;
            assert!((series.ahead(ahead, at % 4) - value(at)).abs() < 0.05, "{ahead}");
        }
    }
}
