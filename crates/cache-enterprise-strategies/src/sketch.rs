//! How often keys were asked for lately, in a fixed number of bytes.
//!
//! G. Cormode and S. Muthukrishnan, "An improved data stream summary: the count-min sketch and its
//! applications", Journal of Algorithms 55(1), 2005; aged by halving as in G. Einziger, R.
//! Friedman and B. Manes, "TinyLFU", ACM Transactions on Storage 13(4), 2017.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::hash;

const ROWS: usize = 4;

/// Additions a counter stands for before all are halved: ten times the counters of a row.
const SAMPLE: u64 = 10;

/// Four rows of eight-bit counters. An estimate is never below the count since the last halvings,
/// save what saturates at 255 or is lost when two threads add at once while a third halves.
///
/// Memory: 4 bytes a counter of a row. Cost of an addition or an estimate: four loads in four
/// cache lines; every `10 * width` additions one pass over all counters.
#[derive(Debug)]
pub(crate) struct Sketch {
    counters: Box<[AtomicU8]>,
    mask: usize,
    added: AtomicU64,
}

impl Sketch {
    /// For about `keys` keys, rounded up to a power of two.
    pub(crate) fn new(keys: usize) -> Self {
        let width = keys.next_power_of_two().max(64);
        let counters = (0..width * ROWS).map(|_| AtomicU8::new(0)).collect();
        Self { counters, mask: width - 1, added: AtomicU64::new(0) }
    }

    /// Counts one more request and gives the estimate with it.
    pub(crate) fn add(&self, hash: u64) -> u32 {
        let mut least = u8::MAX;
        for at in self.places(hash) {
            let counter = &self.counters[at];
            let count = counter.load(Ordering::Relaxed).saturating_add(1);
            counter.store(count, Ordering::Relaxed);
            least = least.min(count);
        }
        let added = self.added.fetch_add(1, Ordering::Relaxed) + 1;
        if added.is_multiple_of(SAMPLE * (self.mask as u64 + 1)) {
            self.halve();
        }
        u32::from(least)
    }

    fn halve(&self) {
        for counter in &self.counters {
            counter.store(counter.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
    }

    fn places(&self, hash: u64) -> impl Iterator<Item = usize> {
        let (first, step) = (hash::mix(hash), hash::mix(!hash) | 1);
        let width = self.mask + 1;
        (0..ROWS).map(move |row| {
            let drawn = first.wrapping_add(step.wrapping_mul(row as u64));
            row * width + (drawn >> 20) as usize % width
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_never_too_low_and_seldom_too_high() {
        let sketch = Sketch::new(4_096);
        for round in 1..=5_u32 {
            for key in 0..2_000_u64 {
                assert!(sketch.add(key) >= round);
            }
        }
        let exact = (0..2_000_u64).filter(|key| sketch.add(*key) == 6).count();
        assert!(exact > 1_900, "{exact}");
    }

    #[test]
    fn what_is_asked_no_more_is_forgotten() {
        let sketch = Sketch::new(64);
        for _ in 0..200 {
            sketch.add(7);
        }
        for key in 0..64 * SAMPLE * 10 {
            sketch.add(1_000 + key);
        }
        assert!(sketch.add(7) < 60);
    }
}
