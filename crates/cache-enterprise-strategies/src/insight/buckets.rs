//! Numbers of any size in few buckets: exact up to 64, within 1/32 above.

/// Buckets for each power of two.
const STEPS: u64 = 32;

/// Buckets in all: 64 for the numbers below 64, 32 for each power of two above.
pub(super) const BUCKETS: usize = 64 + 58 * STEPS as usize;

/// The bucket of a number.
pub(super) fn bucket_of(number: u64) -> usize {
    if number < 2 * STEPS {
        return number as usize;
    }
    let shift = u64::from(number.ilog2() - STEPS.ilog2());
    (shift * STEPS + (number >> shift)) as usize
}

/// The largest number of a bucket.
pub(super) fn bucket_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    let first = (bucket % STEPS + STEPS) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_join_without_gaps() {
        for bucket in 1..BUCKETS {
            assert_eq!(bucket_of(bucket_end(bucket - 1) + 1), bucket);
            assert_eq!(bucket_of(bucket_end(bucket)), bucket);
        }
        assert_eq!(bucket_end(BUCKETS - 1), u64::MAX);
    }
}
