//! How often keys were asked for lately, roughly, in four bits a counter.
//!
//! The crate has another for admission, which threads share. This one stands under the lock of its
//! shard, and keeps to one line of memory a request.

/// Counts of a key lie in one block of eight words, so that a request touches one line of memory.
type Block = [u64; 8];

/// The most one counter holds.
const COUNT_MAX: u64 = 15;
/// The low three bits of each counter.
const HALVED: u64 = 0x7777_7777_7777_7777;
/// Entries for which there is room at once: what a user expects beyond is no reason to take all of
/// memory before anything is in it.
const ENTRIES_FIRST: usize = 1 << 22;

/// A count-min sketch: each key has four counters of its block, shared with other keys; the least
/// of them bounds its count from above. When ten counts have come for each entry, all are halved,
/// so that the past fades.
///
/// From G. Cormode and S. Muthukrishnan, "An Improved Data Stream Summary", 2005, with the ageing
/// of G. Einziger et al., "TinyLFU", 2017. Eight to sixteen bytes an entry.
#[derive(Debug)]
pub(super) struct Sketch {
    blocks: Vec<Block>,
    counted: usize,
    counted_max: usize,
}

impl Sketch {
    /// For a cache that expects so many entries.
    pub(super) fn new(entries: usize) -> Self {
        let mut sketch = Self { blocks: Vec::new(), counted: 0, counted_max: 0 };
        sketch.make_room(entries.min(ENTRIES_FIRST));
        sketch
    }

    /// Makes room for so many entries. What was counted is forgotten if that takes more memory.
    pub(super) fn make_room(&mut self, entries: usize) {
        let blocks = entries.clamp(64, 1 << 30).next_power_of_two() / 8;
        if blocks > self.blocks.len() {
            self.blocks = vec![[0; 8]; blocks];
            self.counted = 0;
        }
        self.counted_max = self.counted_max.max(entries.clamp(16, 1 << 30) * 10);
    }

    /// Counts a request for the key of this hash.
    pub(super) fn count(&mut self, hash: u64) {
        let (block, hash) = self.block_of(hash);
        let block = &mut self.blocks[block];
        let mut grew = false;
        for row in 0..4 {
            let (word, shift) = counter(hash, row);
            if (block[word] >> shift) & COUNT_MAX < COUNT_MAX {
                block[word] += 1 << shift;
                grew = true;
            }
        }
        self.counted += usize::from(grew);
        if self.counted >= self.counted_max {
            self.halve();
        }
    }

    /// About how often the key was asked for, at most 15.
    pub(super) fn estimate(&self, hash: u64) -> u64 {
        let (block, hash) = self.block_of(hash);
        let block = &self.blocks[block];
        (0..4)
            .map(|row| counter(hash, row))
            .map(|(word, shift)| (block[word] >> shift) & COUNT_MAX)
            .min()
            .unwrap_or(0)
    }

    fn halve(&mut self) {
        for word in self.blocks.iter_mut().flatten() {
            *word = (*word >> 1) & HALVED;
        }
        self.counted /= 2;
    }

    fn block_of(&self, hash: u64) -> (usize, u64) {
        // Stores choose shards and buckets by bits of the hash: they are mixed before others are
        // taken here.
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let block = (mixed >> 32) as usize & (self.blocks.len() - 1);
        (block, mixed ^ (mixed >> 29))
    }
}

/// The word and the shift of a counter: each row has two words of the block for itself.
fn counter(hash: u64, row: usize) -> (usize, u32) {
    let bits = (hash >> (row * 8)) as usize;
    (row * 2 + (bits & 1), ((bits >> 1) & 15) as u32 * 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_never_too_low_and_seldom_too_high() {
        let mut sketch = Sketch::new(1_000);
        let hash = |key: u64| key.wrapping_mul(0x2545_f491_4f6c_dd1d);
        for key in 0..1_000u64 {
            for _ in 0..key % 5 {
                sketch.count(hash(key));
            }
        }
        let over = (0..1_000u64)
            .map(|key| (sketch.estimate(hash(key)), key % 5))
            .inspect(|(estimate, count)| assert!(estimate >= count))
            .filter(|(estimate, count)| estimate > count)
            .count();
        assert!(over < 100, "{over} of 1000 keys are counted too high");
    }

    #[test]
    fn what_is_expected_takes_no_memory_before_it_comes() {
        let mut sketch = Sketch::new(usize::MAX);
        assert!(sketch.blocks.len() * size_of::<Block>() <= 64 << 20);
        assert!(sketch.counted_max <= ENTRIES_FIRST * 10);
        let as_before = Sketch::new(ENTRIES_FIRST);
        assert_eq!(sketch.blocks.len(), as_before.blocks.len());
        sketch.make_room(2 * ENTRIES_FIRST);
        assert_eq!(sketch.blocks.len(), 2 * as_before.blocks.len());
        assert_eq!(sketch.counted_max, 20 * ENTRIES_FIRST);
    }

    #[test]
    fn counts_stop_at_fifteen_and_are_halved_with_time() {
        let mut sketch = Sketch::new(100);
        for _ in 0..50 {
            sketch.count(7);
        }
        assert_eq!(sketch.estimate(7), 15);
        for key in 1_000..2_000 {
            sketch.count(key << 40);
        }
        assert!(sketch.estimate(7) <= 8);
    }
}
