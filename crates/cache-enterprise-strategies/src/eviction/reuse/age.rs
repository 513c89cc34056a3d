//! Ages in requests, told apart the more coarsely the higher they are: one by one up to 4, then
//! four buckets to an octave. Integer arithmetic only, for a hit computes one.

/// Buckets of all ages that 32 bits can hold.
pub(super) const AGES: usize = 124;

/// The bucket of an age.
pub(super) const fn bucket(age: u32) -> u8 {
    if age < 4 {
        return age as u8;
    }
    let octave = 31 - age.leading_zeros();
    (4 * (octave - 1) + ((age >> (octave - 2)) & 3)) as u8
}

/// The least age in a bucket; that of the bucket after the last is one more than any age.
pub(super) fn least(bucket: usize) -> f64 {
    if bucket < 4 {
        return bucket as f64;
    }
    let quarter = (4 + bucket % 4) as f64;
    quarter * f64::from(1u32 << (bucket / 4 - 1))
}

/// How many ages the bucket holds.
pub(super) fn width(bucket: usize) -> f64 {
    least(bucket + 1) - least(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_meet_without_gap_or_overlap() {
        for place in 0..AGES {
            let least = least(place) as u32;
            assert_eq!(usize::from(bucket(least)), place);
            assert!(place == 0 || usize::from(bucket(least - 1)) == place - 1);
        }
        assert_eq!(usize::from(bucket(u32::MAX)), AGES - 1);
        assert_eq!(least(AGES), f64::from(u32::MAX) + 1.0);
    }
}
