//! Durations of one kind of answer.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest duration told apart, in nanoseconds; longer ones count as this.
const LONGEST_NS: u64 = 120_000_000_000;

/// A histogram of durations in nanoseconds, to three digits.
#[derive(Clone, Debug)]
pub(crate) struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, 3);
        Self(histogram.expect("one to 120 s with three digits is a valid range"))
    }
}

impl Latency {
    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(LONGEST_NS).max(1));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The duration in microseconds that this share of the answers did not exceed; zero when
    /// there was none.
    pub(crate) fn micros(&self, share: f64) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.value_at_quantile(share) as f64 / 1_000.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_microseconds_and_survive_a_merge() {
        let (mut fast, mut slow) = (Latency::default(), Latency::default());
        (0..99).for_each(|_| fast.record(Duration::from_micros(10)));
        slow.record(Duration::from_millis(5));
        fast.add(&slow);
        assert_eq!(fast.count(), 100);
        assert!((fast.micros(0.5) - 10.0).abs() < 0.1);
        assert!((fast.micros(0.999) - 5_000.0).abs() < 10.0);
        assert!(Latency::default().micros(0.99).abs() < f64::EPSILON);
    }
}
