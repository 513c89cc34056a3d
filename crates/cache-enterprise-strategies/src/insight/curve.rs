//! Misses by size.

/// The share of requests that an LRU cache of each size misses. Never rises with the size.
///
/// ```
/// use cache_enterprise_strategies::insight::Shards;
///
/// let mut shards = Shards::new(1_024);
/// for n in 0..1_000_u64 {
///     shards.record((n % 60).wrapping_mul(0x9e37_79b9_7f4a_7c15), 1);
/// }
/// let curve = shards.curve();
/// assert_eq!(curve.capacity_for(0.5), Some(60));
/// assert_eq!(curve.capacity_for(0.01), None);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MissRatioCurve {
    /// Sizes and miss ratios where the curve falls, sizes ascending.
    steps: Vec<(u64, f64)>,
}

impl MissRatioCurve {
    pub(super) fn new(steps: Vec<(u64, f64)>) -> Self {
        Self { steps }
    }

    /// The miss ratio of a cache that holds this weight; 1 without any request. Costs a binary
    /// search.
    pub fn miss_ratio(&self, capacity: u64) -> f64 {
        let after = self.steps.partition_point(|(size, _)| *size <= capacity);
        after.checked_sub(1).map_or(1.0, |step| self.steps[step].1)
    }

    /// The least size whose miss ratio is no higher than this, if any size has one.
    pub fn capacity_for(&self, miss_ratio: f64) -> Option<u64> {
        let first = self.steps.partition_point(|(_, ratio)| *ratio > miss_ratio);
        self.steps.get(first).map(|(size, _)| *size)
    }

    /// The sizes at which the miss ratio falls, and to what; sizes ascending.
    pub fn steps(&self) -> &[(u64, f64)] {
        &self.steps
    }
}
