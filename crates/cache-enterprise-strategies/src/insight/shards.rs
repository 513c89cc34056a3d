//! Miss-ratio curves from a hashed sample.

use super::MissRatioCurve;
use super::buckets::{BUCKETS, bucket_end, bucket_of};
use super::recency::Recency;
use super::sample::Sample;

/// Estimates the miss ratios of LRU caches of all sizes from one pass over the requests: SHARDS in
/// its variant of fixed size (Waldspurger, Park, Garthwaite & Ahmad, FAST 2015).
///
/// Keys are sampled by their hash, no more than a given number at a time; among them distances are
/// exact, and each distance stands for so many requests and objects as the rate of sampling says.
/// What the sample over- or under-represents is made up for at distance 0, as the paper's adjusted
/// variant does. While no more keys come than may be sampled the curve is exact, up to the width of
/// its steps: 1/32 of a size above 64.
///
/// A request costs one comparison where its key is not sampled, otherwise a look-up and two walks
/// of a tree of the sampled keys.
///
/// ```
/// use cache_enterprise_strategies::insight::Shards;
///
/// let mut shards = Shards::new(256);
/// for n in 0..100_000_u64 {
///     shards.record((n % 10_000).wrapping_mul(0x9e37_79b9_7f4a_7c15), 4_096);
/// }
/// // Each key weighs 4 KiB: a loop over 10,000 of them fits in 39 MiB and never in 30 MiB.
/// let curve = shards.curve();
/// assert!(curve.miss_ratio(30 << 20) > 0.9);
/// assert!(curve.miss_ratio(60 << 20) < 0.2);
/// ```
#[derive(Debug)]
pub struct Shards {
    sample: Sample,
    recency: Recency,
    /// Requests by distance, each counted for as many as it stands for.
    distances: Box<[f64]>,
    first_uses: f64,
    requests: u64,
}

impl Shards {
    /// Looks at `keys_max` keys at a time, at least one. The paper finds 8,192 enough for a mean
    /// error of 0.01.
    pub fn new(keys_max: usize) -> Self {
        let sample = Sample::new(keys_max);
        Self {
            recency: Recency::new(sample.keys_max()),
            sample,
            distances: vec![0.0; BUCKETS].into_boxed_slice(),
            first_uses: 0.0,
            requests: 0,
        }
    }

    /// A request for the key of this hash, whose entry weighs so much in the unit of the sizes
    /// asked about: 1 for objects, else bytes.
    pub fn record(&mut self, hash: u64, weight: u64) {
        self.requests += 1;
        if !self.sample.admits(hash) {
            return;
        }
        let scale = self.sample.scale();
        let is_new = !self.recency.contains(hash);
        match self.recency.touch(hash, weight) {
            // The key itself is no sample of others: only what lies between is scaled.
            Some(distance) => {
                let weight = weight.max(1);
                let between = (distance - weight) as f64 * scale;
                self.distances[bucket_of(weight.saturating_add(between as u64))] += scale;
            }
            None => self.first_uses += scale,
        }
        if is_new {
            let recency = &mut self.recency;
            self.sample.add(hash, |gone| {
                recency.forget(gone);
            });
        }
    }

    /// Requests so far, sampled or not.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The share of keys that is looked at now.
    pub fn rate(&self) -> f64 {
        1.0 / self.sample.scale()
    }

    /// The curve as the requests so far show it. Costs a pass over 1,920 steps.
    pub fn curve(&self) -> MissRatioCurve {
        let seen = self.distances.iter().sum::<f64>() + self.first_uses;
        let requests = self.requests as f64;
        let mut misses = seen;
        let mut steps: Vec<(u64, f64)> = Vec::new();
        let mut lowest = 1.0;
        for (bucket, count) in self.distances.iter().enumerate().filter(|(_, count)| **count > 0.0)
        {
            misses -= count;
            let ratio = (misses / requests).clamp(0.0, lowest);
            if ratio < lowest {
                lowest = ratio;
                steps.push((bucket_end(bucket), ratio));
            }
        }
        MissRatioCurve::new(steps)
    }
}
