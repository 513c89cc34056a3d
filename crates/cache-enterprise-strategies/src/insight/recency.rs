//! Keys in the order of their last use, and how much was used since any of them.
//!
//! Each use takes the next position; a Fenwick tree sums the weights of the positions that are
//! still some key's last. When the positions run out, the live ones are numbered anew, which
//! happens once in at least as many uses as there may be keys.

use std::collections::HashMap;

/// Distances between uses of at most so many keys, by weight.
#[derive(Debug)]
pub(super) struct Recency {
    /// Where each key was used last.
    positions: HashMap<u64, u32>,
    /// The key and the weight of each position; a weight of 0 is a position nobody holds.
    uses: Vec<(u64, u64)>,
    /// The Fenwick tree over the weights, from index 1.
    sums: Vec<u64>,
    total: u64,
}

impl Recency {
    pub(super) fn new(keys_max: usize) -> Self {
        let positions = keys_max.saturating_mul(2) + 2;
        Self {
            positions: HashMap::new(),
            uses: Vec::with_capacity(positions),
            sums: vec![0; positions + 1],
            total: 0,
        }
    }

    pub(super) fn contains(&self, hash: u64) -> bool {
        self.positions.contains_key(&hash)
    }

    /// The key is used: gives the weight of all keys used since its last use, itself included, or
    /// nothing when this is its first.
    pub(super) fn touch(&mut self, hash: u64, weight: u64) -> Option<u64> {
        let weight = weight.max(1);
        let distance = self.forget(hash).map(|since| since.saturating_add(weight));
        if self.uses.len() + 1 == self.sums.len() {
            self.renumber();
        }
        self.positions.insert(hash, self.uses.len() as u32);
        self.uses.push((hash, weight));
        self.add(self.uses.len(), weight);
        self.total = self.total.saturating_add(weight);
        distance
    }

    /// Drops the key: gives the weight of the keys used since.
    pub(super) fn forget(&mut self, hash: u64) -> Option<u64> {
        let position = self.positions.remove(&hash)? as usize;
        let up_to = self.sum(position + 1);
        let weight = std::mem::take(&mut self.uses[position].1);
        self.add(position + 1, weight.wrapping_neg());
        let since = self.total.saturating_sub(up_to);
        self.total -= weight;
        Some(since)
    }

    /// Adds modulo 2^64, so that what was added can be taken away.
    fn add(&mut self, mut index: usize, weight: u64) {
        while let Some(sum) = self.sums.get_mut(index) {
            *sum = sum.wrapping_add(weight);
            index += index & index.wrapping_neg();
        }
    }

    fn sum(&self, mut index: usize) -> u64 {
        let mut sum = 0_u64;
        while index > 0 {
            sum = sum.wrapping_add(self.sums[index]);
            index &= index - 1;
        }
        sum
    }

    fn renumber(&mut self) {
        self.uses.retain(|(_, weight)| *weight > 0);
        self.sums.fill(0);
        for position in 0..self.uses.len() {
            let (hash, weight) = self.uses[position];
            self.positions.insert(hash, position as u32);
            self.add(position + 1, weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn distances_agree_with_a_list(
            steps in prop::collection::vec((0_u64..12, 1_u64..5, 0_u8..6), 1..300),
        ) {
            let mut recency = Recency::new(12);
            let mut list: Vec<(u64, u64)> = Vec::new();
            for (hash, weight, action) in steps {
                let place = list.iter().position(|(held, _)| *held == hash);
                let since = place.map(|place| list[..place].iter().map(|(_, weight)| weight).sum::<u64>());
                if let Some(place) = place {
                    list.remove(place);
                }
                if action == 0 {
                    prop_assert_eq!(recency.forget(hash), since);
                    prop_assert!(!recency.contains(hash));
                    continue;
                }
                list.insert(0, (hash, weight));
                prop_assert_eq!(recency.touch(hash, weight), since.map(|since| since + weight));
                prop_assert!(recency.contains(hash));
            }
        }
    }
}
