//! Vectors that lie where few have lain.
//!
//! S. Tan, K. Ting and T. Liu, "Fast anomaly detection for streaming data", IJCAI 2011. Each of
//! many random trees halves the space along random dimensions; its nodes count how many vectors of
//! the last window fell into them. A vector whose nodes are almost empty is unusual. Instead of
//! known ranges, each dimension is brought to -1 to 1 by its running mean and deviation.

use cache_enterprise_core::Result;

use super::quantile::Quantile;
use crate::{bounds, hash};

/// A node this empty is as unusual as it gets: its children are not asked.
const EMPTY: u32 = 3;
/// The share of a vector in the running mean and deviation.
const RANGE_SHARE: f64 = 0.001;

/// Size and memory of a [`HalfSpaceTrees`].
///
/// ```
/// use cache_enterprise_strategies::anomaly::TreeLimits;
///
/// assert_eq!(TreeLimits::default().trees, 25);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeLimits {
    /// The default is 25.
    pub trees: usize,
    /// Halvings from the root to a leaf. The default is 10.
    pub depth: u32,
    /// Vectors after which what was counted becomes what is compared with. The default is 256.
    pub window: u32,
    /// Earlier vectors that a score is a share of. The default is 2 048.
    pub remembered: usize,
    /// Makes the trees.
    pub seed: u64,
}

impl Default for TreeLimits {
    fn default() -> Self {
        Self { trees: 25, depth: 10, window: 256, remembered: 2_048, seed: 0 }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    dimension: u32,
    split: f32,
    /// Vectors of the last window, and of this one.
    mass: u32,
    next: u32,
}

/// Scores vectors of measurements, such as hit ratio, latency and evictions of a minute together.
///
/// A score above 0.95 goes by how fast the largest five in a hundred thin out: of ordinary vectors
/// about one in 10 000 scores above 0.9999, though only the last 2 048 are remembered.
///
/// Memory: 16 bytes a node, 800 KiB at the defaults. Cost of a vector: `trees * depth` nodes.
///
/// ```
/// use cache_enterprise_strategies::anomaly::{HalfSpaceTrees, TreeLimits};
///
/// let mut trees = HalfSpaceTrees::new(2, TreeLimits::default())?;
/// for at in 0..2_000_u32 {
///     // Both rise and fall together, which neither says alone.
///     let both = f64::from(at.wrapping_mul(2_654_435_761) >> 16) / 65_536.0;
///     trees.observe(&[both, both * 10.0]);
/// }
/// assert!(trees.observe(&[0.05, 9.5]).is_some_and(|score| score > 0.95));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HalfSpaceTrees {
    limits: TreeLimits,
    /// Mean and variance of each dimension.
    ranges: Vec<(f64, f64)>,
    /// Each tree as a heap: the children of `n` are `2n + 1` and `2n + 2`.
    nodes: Vec<Node>,
    seen: u64,
    scores: Quantile,
    scaled: Vec<f32>,
}

impl HalfSpaceTrees {
    /// Trees over vectors of `dimensions` numbers that have seen nothing.
    ///
    /// # Errors
    /// When `dimensions` does not lie in 1 to 64, `trees` not in 1 to 100, `depth` not in 1 to 12,
    /// `window` not in 32 to 65 536, or `remembered` not in 64 to 65 536.
    pub fn new(dimensions: usize, limits: TreeLimits) -> Result<Self> {
        bounds::within("dimensions", dimensions, 1..=64)?;
        bounds::within("trees", limits.trees, 1..=100)?;
        bounds::within("depth", limits.depth, 1..=12)?;
        bounds::within("window", limits.window, 32..=65_536)?;
        bounds::within("remembered", limits.remembered, 64..=65_536)?;
        let mut made = Self {
            limits,
            ranges: vec![(0.0, 0.0); dimensions],
            nodes: Vec::new(),
            seen: 0,
            scores: Quantile::new(limits.remembered),
            scaled: vec![0.0; dimensions],
        };
        for tree in 0..limits.trees {
            made.plant(hash::pair(limits.seed, tree as u64));
        }
        Ok(made)
    }

    /// Takes in a vector, and says how unusual it is: from 0 to 1, nothing within the first two
    /// windows, nor for a vector of another length or with numbers that are not finite, which are
    /// not taken in.
    pub fn observe(&mut self, vector: &[f64]) -> Option<f64> {
        if vector.len() != self.ranges.len() || !vector.iter().all(|value| value.is_finite()) {
            return None;
        }
        self.seen += 1;
        self.scale(vector);
        let window = u64::from(self.limits.window);
        // The first window only finds out the ranges.
        if self.seen <= window {
            return None;
        }
        let mass = self.descend();
        if self.seen.is_multiple_of(window) {
            self.nodes.iter_mut().for_each(|node| node.mass = std::mem::take(&mut node.next));
        }
        if self.seen <= 2 * window {
            return None;
        }
        let raw = -((mass + 1.0).ln()) as f32;
        let score = self.scores.place_in_tail(raw);
        self.scores.keep(raw);
        (self.scores.len() > 32).then_some(score)
    }

    fn nodes_per_tree(&self) -> usize {
        (1 << (self.limits.depth + 1)) - 1
    }

    /// Adds a tree. Each halves a work space that reaches a random way beyond the ranges, so that
    /// no two halve at the same places.
    fn plant(&mut self, seed: u64) {
        let dimensions = self.ranges.len();
        let first = self.nodes.len();
        let mut spaces: Vec<Vec<(f32, f32)>> = Vec::with_capacity(self.nodes_per_tree());
        let reach = |dimension: usize| {
            let middle = (hash::unit(hash::pair(seed, dimension as u64)) as f32 - 0.5) * 0.6;
            (middle - 1.3, middle + 1.3)
        };
        spaces.push((0..dimensions).map(reach).collect());
        for at in 0..self.nodes_per_tree() {
            let dimension = (hash::pair(seed, (at + 64) as u64) % dimensions as u64) as usize;
            let (low, high) = spaces[at][dimension];
            let split = (low + high) / 2.0;
            self.nodes.push(Node { dimension: dimension as u32, split, mass: 0, next: 0 });
            if spaces.len() < self.nodes_per_tree() {
                let (mut left, mut right) = (spaces[at].clone(), spaces[at].clone());
                left[dimension].1 = split;
                right[dimension].0 = split;
                spaces.extend([left, right]);
            }
        }
        debug_assert_eq!(self.nodes.len() - first, self.nodes_per_tree());
    }

    /// Brings each dimension to -1 to 1: the mean to 0, three deviations near the ends.
    fn scale(&mut self, vector: &[f64]) {
        let share = (1.0 / self.seen as f64).max(RANGE_SHARE);
        for ((value, range), scaled) in vector.iter().zip(&mut self.ranges).zip(&mut self.scaled) {
            let value = value.clamp(-1e150, 1e150);
            let away = value - range.0;
            range.0 += share * away;
            range.1 += share * (away * away - range.1);
            let deviation = range.1.sqrt().max(range.0.abs() * 1e-6).max(1e-12);
            *scaled = ((value - range.0) / (deviation * 2.0)).tanh() as f32;
        }
    }

    /// Counts the vector in every tree, and gives how full its nodes were: the mass of the deepest
    /// one asked, times how often space was halved to get there.
    fn descend(&mut self) -> f64 {
        let per_tree = self.nodes_per_tree();
        let mut sum = 0.0;
        for tree in self.nodes.chunks_exact_mut(per_tree) {
            let (mut at, mut depth, mut found) = (0, 0, None);
            while at < per_tree {
                let node = &mut tree[at];
                node.next = node.next.saturating_add(1);
                if found.is_none() && (node.mass <= EMPTY || depth == self.limits.depth) {
                    found = Some(f64::from(node.mass) * f64::from(1_u32 << depth));
                }
                let goes_right = self.scaled[node.dimension as usize] >= node.split;
                at = 2 * at + 1 + usize::from(goes_right);
                depth += 1;
            }
            sum += found.unwrap_or(0.0);
        }
        sum / self.limits.trees as f64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_out_of_range_are_refused_by_name() {
        let named =
            |dimensions, limits| HalfSpaceTrees::new(dimensions, limits).unwrap_err().to_string();
        let limits = TreeLimits::default();
        assert!(named(0, limits).contains("dimensions, range: 1..=64"));
        assert!(named(1, TreeLimits { trees: 0, ..limits }).contains("trees"));
        assert!(named(1, TreeLimits { depth: 13, ..limits }).contains("depth"));
        assert!(named(1, TreeLimits { window: 1, ..limits }).contains("window"));
        assert!(named(1, TreeLimits { remembered: 0, ..limits }).contains("remembered"));
    }

    proptest! {
        #[test]
        fn scores_are_shares_whatever_the_numbers(
            vectors in prop::collection::vec(prop::array::uniform3(any::<f64>()), 0..400),
        ) {
            let limits = TreeLimits { trees: 5, depth: 4, window: 32, ..TreeLimits::default() };
            let mut trees = HalfSpaceTrees::new(3, limits).unwrap();
            for vector in vectors {
                if let Some(score) = trees.observe(&vector) {
                    prop_assert!((0.0..=1.0).contains(&score));
                }
            }
            prop_assert_eq!(trees.observe(&[1.0]), None);
        }
    }
}
