//! Which keys are looked at: those whose hash lies under a threshold that sinks while keys are
//! too many. A key is sampled on all its requests or on none.

use std::collections::BinaryHeap;

/// Ranks lie below this; a threshold of this samples every key.
const RANKS: u64 = 1 << 32;

/// A sample of at most so many keys.
#[derive(Debug)]
pub(super) struct Sample {
    /// The keys held, the one to go first on top.
    ranks: BinaryHeap<(u32, u64)>,
    keys_max: usize,
    threshold: u64,
}

impl Sample {
    pub(super) fn new(keys_max: usize) -> Self {
        let keys_max = keys_max.max(1);
        Self { ranks: BinaryHeap::new(), keys_max, threshold: RANKS }
    }

    pub(super) fn keys_max(&self) -> usize {
        self.keys_max
    }

    /// Whether requests for this key are looked at.
    #[inline]
    pub(super) fn admits(&self, hash: u64) -> bool {
        u64::from(rank(hash)) < self.threshold
    }

    /// For how many requests one that is looked at stands; at least 1.
    pub(super) fn scale(&self) -> f64 {
        RANKS as f64 / self.threshold.max(1) as f64
    }

    /// Adds a key that is admitted and not yet held. Calls `dropped` for every key that is held no
    /// longer because the sample was full; the new one may be among them.
    pub(super) fn add(&mut self, hash: u64, mut dropped: impl FnMut(u64)) {
        self.ranks.push((rank(hash), hash));
        if self.ranks.len() <= self.keys_max {
            return;
        }
        self.threshold = self.ranks.peek().map_or(self.threshold, |(rank, _)| u64::from(*rank));
        while let Some((rank, hash)) = self.ranks.peek().copied()
            && u64::from(rank) >= self.threshold
        {
            self.ranks.pop();
            dropped(hash);
        }
    }
}

/// Mixed once more, so that the sample is no part of what other users of the hash divide by.
fn rank(hash: u64) -> u32 {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_sample_holds_the_lowest_ranks_and_no_more_than_its_bound() {
        let mut sample = Sample::new(100);
        let mut held = HashSet::new();
        for hash in (0..10_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            if sample.admits(hash) {
                held.insert(hash);
                sample.add(hash, |gone| assert!(held.remove(&gone)));
            }
            assert!(held.len() <= 100);
        }
        assert!(held.iter().all(|hash| sample.admits(*hash)));
        // 100 of 10,000 keys: one request stands for about a hundred.
        assert!((60.0..160.0).contains(&sample.scale()), "{}", sample.scale());
    }
}
