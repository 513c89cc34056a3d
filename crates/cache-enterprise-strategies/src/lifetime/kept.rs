//! The life each key has now: a table that never grows.

use crate::hash;

/// What is remembered of a key, in 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// The upper half of the hash; what its lower half chose is the bucket. A false match, one in
    /// 2^30 look-ups, gives a key the life of another.
    tag: u32,
    /// Milliseconds; 0 marks a record that is free.
    ttl_ms: f32,
    /// When the record was written last, in writes of the table.
    written: u64,
}

const FREE: Record = Record { tag: 0, ttl_ms: 0.0, written: 0 };

/// Records a key may stand in.
const WAYS: usize = 4;

/// Lives by hash, in buckets of four of which the least recently written gives way.
#[derive(Debug)]
pub(super) struct Kept {
    records: Box<[Record]>,
    writes: u64,
}

impl Kept {
    /// Room for at least `keys`, rounded up to a power of two of buckets.
    pub(super) fn new(keys: usize) -> Self {
        let buckets = keys.div_ceil(WAYS).next_power_of_two();
        Self { records: vec![FREE; buckets * WAYS].into_boxed_slice(), writes: 0 }
    }

    pub(super) fn get(&self, hash: u64) -> Option<f32> {
        let (bucket, tag) = self.place(hash);
        let found = self.records[bucket].iter().find(|record| record.is(tag))?;
        Some(found.ttl_ms)
    }

    pub(super) fn set(&mut self, hash: u64, ttl_ms: f32) {
        self.writes += 1;
        let (bucket, tag) = self.place(hash);
        let bucket = &mut self.records[bucket];
        let at = bucket.iter().position(|record| record.is(tag)).unwrap_or_else(|| {
            let oldest = (0..WAYS).min_by_key(|at| bucket[*at].written);
            oldest.expect("a bucket has records")
        });
        bucket[at] = Record { tag, ttl_ms, written: self.writes };
    }

    fn place(&self, hash: u64) -> (std::ops::Range<usize>, u32) {
        // Mixed once more: the caller chose this table by bits of the hash.
        let hash = hash::mix(hash);
        let buckets = self.records.len() / WAYS;
        let first = (hash as usize & (buckets - 1)) * WAYS;
        (first..first + WAYS, (hash >> 32) as u32)
    }
}

impl Record {
    fn is(&self, tag: u32) -> bool {
        self.tag == tag && self.ttl_ms > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_takes_sixteen_bytes() {
        assert_eq!(size_of::<Record>(), 16);
    }

    #[test]
    fn the_newest_keys_stay_and_the_table_does_not_grow() {
        let mut kept = Kept::new(1_024);
        assert_eq!(kept.records.len(), 1_024);
        for key in 0..10_000_u64 {
            kept.set(key, key as f32 + 1.0);
        }
        assert_eq!(kept.records.len(), 1_024);
        let known = (9_700..10_000).filter(|key| kept.get(*key) == Some(*key as f32 + 1.0)).count();
        assert!(known > 280, "{known} of the newest 300");
        assert!((0..5_000).all(|key| kept.get(key).is_none()));
    }
}
