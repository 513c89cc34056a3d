//! Where a policy stands between the least recently used and perfect foresight.

use super::{CAPACITY_MIN, Run};

/// Cells where the two ends differ by less than this share of the requests leave no gap to close.
const GAP_MIN: f64 = 0.02;

/// Objects that a cache of this fraction of `unique` objects holds; nothing where a cell would be
/// too small to say anything.
///
/// ```
/// use cache_enterprise_workload::simulate::capacity_of;
///
/// assert_eq!(capacity_of(0.01, 20_484), Some(205));
/// assert_eq!(capacity_of(0.001, 20_484), None);
/// ```
pub fn capacity_of(fraction: f64, unique: usize) -> Option<usize> {
    let capacity = (fraction * unique as f64).round() as usize;
    (capacity >= CAPACITY_MIN).then_some(capacity)
}

/// The two ends of the scale in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What perfect foresight misses.
    pub opt: u64,
    /// What the least recently used misses.
    pub lru: u64,
    /// All requests of the cell.
    pub requests: u64,
}

impl Bounds {
    /// The share of the gap that so many misses close: 0 is LRU, 1 perfect foresight. Nothing where
    /// the gap is under 0.02 of the requests.
    ///
    /// ```
    /// use cache_enterprise_workload::simulate::Bounds;
    ///
    /// let bounds = Bounds { opt: 40, lru: 60, requests: 100 };
    /// assert_eq!(bounds.gap_closed(55), Some(0.25));
    /// assert_eq!(Bounds { opt: 59, ..bounds }.gap_closed(59), None);
    /// ```
    pub fn gap_closed(&self, misses: u64) -> Option<f64> {
        let gap = self.lru as f64 - self.opt as f64;
        let counts = gap >= GAP_MIN * self.requests as f64 && gap > 0.0;
        counts.then(|| (self.lru as f64 - misses as f64) / gap)
    }
}

/// What a policy came to over many cells.
///
/// ```
/// use cache_enterprise_workload::simulate::{Bounds, Run, Score};
///
/// let bounds = Bounds { opt: 40, lru: 60, requests: 100 };
/// let mut score = Score::default();
/// for misses in [50, 62] {
///     score.add(&Run { requests: 100, misses, ..Run::default() }, &bounds);
/// }
/// assert_eq!((score.cells(), score.mean_miss_ratio()), (2, 0.56));
/// assert_eq!((score.gap_closed(), score.worst_cell()), (0.2, -0.1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Score {
    cells: usize,
    miss_ratios: f64,
    nanos: f64,
    gaps: Vec<f64>,
}

impl Score {
    /// Counts one cell.
    pub fn add(&mut self, run: &Run, bounds: &Bounds) {
        self.cells += 1;
        self.miss_ratios += run.miss_ratio();
        self.nanos += run.ns_per_request();
        self.gaps.extend(bounds.gap_closed(run.misses));
    }

    /// Cells counted.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// Cells with a gap to close.
    pub fn gap_cells(&self) -> usize {
        self.gaps.len()
    }

    /// The mean of the cells' miss ratios; 0 without any.
    pub fn mean_miss_ratio(&self) -> f64 {
        self.miss_ratios / self.cells.max(1) as f64
    }

    /// The mean share of the gap that was closed; 0 where no cell has a gap.
    pub fn gap_closed(&self) -> f64 {
        // `sum` begins at -0.0, which would be shown with its sign.
        self.gaps.iter().fold(0.0, |sum, gap| sum + gap) / self.gaps.len().max(1) as f64
    }

    /// The least share of any cell; 0 where no cell has a gap.
    pub fn worst_cell(&self) -> f64 {
        self.gaps.iter().copied().reduce(f64::min).unwrap_or(0.0)
    }

    /// The mean of the cells' processor time of one request in nanoseconds; 0 without any.
    pub fn ns_per_request(&self) -> f64 {
        self.nanos / self.cells.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_without_a_gap_is_zero_without_a_sign() {
        let mut score = Score::default();
        score.add(
            &Run { requests: 9, misses: 4, ..Run::default() },
            &Bounds { opt: 4, lru: 4, requests: 9 },
        );
        let shown = format!("{:.4} {:.4}", score.gap_closed(), score.worst_cell());
        assert_eq!((score.gap_cells(), shown.as_str()), (0, "0.0000 0.0000"));
    }
}
