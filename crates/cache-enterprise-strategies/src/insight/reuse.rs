//! How soon keys come back.

use std::collections::HashMap;

use super::sample::Sample;

/// Buckets, one for each power of two.
const BUCKETS: usize = 64;

/// A histogram of reuse times: how many requests pass between two uses of a key.
///
/// Keys are sampled by hash, no more than a given number at a time, and counted for as many as they
/// stand for; while no more keys come than that, the counts are exact. A request costs one
/// comparison where its key is not sampled, otherwise a look-up.
///
/// ```
/// use cache_enterprise_strategies::insight::ReuseTimes;
///
/// let mut reuse = ReuseTimes::new(1_024);
/// for n in 0..1_000_u64 {
///     reuse.record((n % 10).wrapping_mul(0x9e37_79b9_7f4a_7c15));
/// }
/// // Each key comes back after ten requests: between 8 and 15.
/// assert_eq!(reuse.within(7), 0.0);
/// assert_eq!(reuse.within(15), 0.99);
/// assert_eq!(reuse.counts(), [(15, 990.0)]);
/// ```
#[derive(Debug)]
pub struct ReuseTimes {
    sample: Sample,
    last_uses: HashMap<u64, u64>,
    counts: [f64; BUCKETS],
    first_uses: f64,
    requests: u64,
}

impl ReuseTimes {
    /// Looks at `keys_max` keys at a time, at least one.
    pub fn new(keys_max: usize) -> Self {
        Self {
            sample: Sample::new(keys_max),
            last_uses: HashMap::new(),
            counts: [0.0; BUCKETS],
            first_uses: 0.0,
            requests: 0,
        }
    }

    /// A request for the key of this hash.
    pub fn record(&mut self, hash: u64) {
        self.requests += 1;
        if !self.sample.admits(hash) {
            return;
        }
        let scale = self.sample.scale();
        match self.last_uses.insert(hash, self.requests) {
            Some(last) => self.counts[(self.requests - last).ilog2() as usize] += scale,
            None => {
                self.first_uses += scale;
                let last_uses = &mut self.last_uses;
                self.sample.add(hash, |gone| {
                    last_uses.remove(&gone);
                });
            }
        }
    }

    /// Requests so far, sampled or not.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// How many requests are estimated to come back after no more than so many requests, and after
    /// more than half of it: the last number of each power of two, ascending, empty ones left out.
    pub fn counts(&self) -> Vec<(u64, f64)> {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0.0);
        filled.map(|(bucket, count)| (last_of(bucket), *count)).collect()
    }

    /// The share of requests whose key was used no more than so many requests before, taken from
    /// whole powers of two: those that end above `time` do not count. 0 without any request.
    ///
    /// A sample may hold too many or too few of the keys asked for most. These come back soon, so
    /// what the sample is off by counts as returns within the shortest times.
    pub fn within(&self, time: u64) -> f64 {
        let all = self.counts.iter().sum::<f64>() + self.first_uses;
        let ended = self.counts.iter().enumerate().filter(|(bucket, _)| last_of(*bucket) <= time);
        let later = all - ended.map(|(_, count)| count).sum::<f64>();
        let requests = self.requests as f64;
        ((requests - later) / requests.max(1.0)).clamp(0.0, 1.0)
    }

    /// The share of requests for keys not seen before. 0 without any request.
    pub fn first_uses(&self) -> f64 {
        self.first_uses / (self.counts.iter().sum::<f64>() + self.first_uses).max(1.0)
    }
}

/// The last number of the bucket that begins with 2^`bucket`.
fn last_of(bucket: usize) -> u64 {
    u64::MAX >> (BUCKETS - 1 - bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bucket_ends_with_the_numbers() {
        assert_eq!((last_of(0), last_of(3), last_of(63)), (1, 15, u64::MAX));
    }
}
