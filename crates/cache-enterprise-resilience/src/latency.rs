//! How long reads took lately, as a quantile.
//!
//! Times are counted in buckets that grow by a quarter octave, so a quantile is told to within a
//! fifth. Counts are halved as they add up, so that a change shows after a few thousand reads.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The first bucket ends at 2^4 microseconds.
const FIRST_OCTAVE: u32 = 4;

/// Buckets to an octave.
const STEPS: u32 = 4;

/// From 16 us to about 67 s.
const BUCKETS: usize = (22 * STEPS) as usize;

/// Reads before a quantile is told at all.
const READS_MIN: u64 = 100;

/// Reads after which all counts are halved.
const READS_MAX: u64 = 4_096;

/// The quantile is worked out anew after so many reads.
const EVERY: u64 = 64;

/// Latencies of one backend's reads. Noting one is two atomic updates; each 64th works the
/// quantile out.
#[derive(Debug)]
pub(crate) struct Latencies {
    quantile: f64,
    buckets: Box<[AtomicU32]>,
    noted: AtomicU64,
    /// The quantile in microseconds; zero while it is not known.
    known: AtomicU64,
}

impl Latencies {
    /// Follows a quantile between 0 and 1.
    pub(crate) fn new(quantile: f64) -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU32::new(0)).collect();
        let quantile = if quantile.is_nan() { 1.0 } else { quantile.clamp(0.0, 1.0) };
        Self { quantile, buckets, noted: AtomicU64::new(0), known: AtomicU64::new(0) }
    }

    /// The quantile; `None` until enough reads were noted.
    pub(crate) fn quantile(&self) -> Option<Duration> {
        match self.known.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    pub(crate) fn note(&self, took: Duration) {
        self.buckets[bucket(took)].fetch_add(1, Ordering::Relaxed);
        let noted = self.noted.fetch_add(1, Ordering::Relaxed) + 1;
        if noted >= READS_MIN && noted.is_multiple_of(EVERY) {
            self.work_out(noted);
        }
    }

    /// Counts may move meanwhile; the quantile is then that of some moment in between.
    fn work_out(&self, noted: u64) {
        let counts: Vec<u32> = self.buckets.iter().map(|one| one.load(Ordering::Relaxed)).collect();
        let sum: u64 = counts.iter().copied().map(u64::from).sum();
        let wanted = (sum as f64 * self.quantile).ceil() as u64;
        let mut below = 0;
        let place = counts.iter().position(|&count| {
            below += u64::from(count);
            below >= wanted.max(1)
        });
        self.known.store(ceiling(place.unwrap_or(BUCKETS - 1)), Ordering::Relaxed);
        if noted.is_multiple_of(READS_MAX) {
            for (bucket, count) in self.buckets.iter().zip(counts) {
                bucket.fetch_sub(count - count / 2, Ordering::Relaxed);
            }
        }
    }
}

/// The bucket that counts this time: the first that ends no sooner.
fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let Some(above) = micros.checked_sub(1).filter(|above| above >> FIRST_OCTAVE > 0) else {
        return 0;
    };
    let octave = above.ilog2();
    let step = ((above - (1 << octave)) >> (octave - STEPS.ilog2())) as u32;
    let place = (octave - FIRST_OCTAVE) * STEPS + step + 1;
    BUCKETS.min(place as usize + 1) - 1
}

/// The longest time a bucket counts, in microseconds.
fn ceiling(place: usize) -> u64 {
    let place = place as u32;
    let octave = 1_u64 << (FIRST_OCTAVE + place / STEPS);
    octave + octave * u64::from(place % STEPS) / u64::from(STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(quantile: f64, times: impl IntoIterator<Item = u64>) -> Latencies {
        let latencies = Latencies::new(quantile);
        times.into_iter().for_each(|micros| latencies.note(Duration::from_micros(micros)));
        latencies
    }

    #[test]
    fn a_quantile_is_told_within_a_quarter_of_its_own_size() {
        for quantile in [0.5, 0.9, 0.95, 0.99] {
            let latencies = noted(quantile, (0..40_000).map(|read| read * 7_919 % 10_000 + 1));
            let told = latencies.quantile().expect("many reads").as_micros() as f64;
            let exact = 10_000.0 * quantile;
            assert!(told >= exact * 0.99 && told <= exact * 1.26, "{quantile}: {told}");
        }
    }

    #[test]
    fn nothing_is_told_of_a_few_reads() {
        assert_eq!(noted(0.95, [500; 99]).quantile(), None);
        assert!(noted(0.95, [500; 128]).quantile().is_some());
    }

    #[test]
    fn it_follows_a_backend_that_changed() {
        let latencies = noted(0.95, std::iter::repeat_n(500, 40_000));
        assert!(latencies.quantile().is_some_and(|told| told < Duration::from_millis(1)));
        (0..READS_MAX).for_each(|_| latencies.note(Duration::from_millis(20)));
        assert!(latencies.quantile().is_some_and(|told| told >= Duration::from_millis(20)));
    }

    #[test]
    fn extremes_have_a_bucket() {
        for took in [Duration::ZERO, Duration::MAX] {
            assert!(bucket(took) < BUCKETS);
        }
        for place in 1..BUCKETS {
            let (from, to) = (ceiling(place - 1) + 1, ceiling(place));
            for micros in [from, (from + to) / 2, to] {
                assert_eq!(bucket(Duration::from_micros(micros)), place, "{micros} us");
            }
        }
    }
}
