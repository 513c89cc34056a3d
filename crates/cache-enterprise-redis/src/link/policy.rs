//! When a read goes by itself and when it travels with others.

/// Bytes of replies that one batch may bring.
const BATCH_BYTES: usize = 64 * 1024;
/// Fewer keys than this are no batch worth waiting for.
const BATCH_KEYS_MIN: usize = 8;
/// A reply from here on goes over the second connection, where it holds up no small one.
pub(crate) const LARGE_BYTES: usize = 64 * 1024;

/// How the reads of one connection travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Keys of one batch.
    pub(crate) keys_max: usize,
    /// Batches on their way at once.
    pub(crate) batches_max: usize,
    /// Up to so many callers at once are no crowd: their reads go by themselves.
    pub(crate) direct_max: usize,
    /// A command may name keys of one slot only.
    pub(crate) by_slot: bool,
}

impl Policy {
    /// What was measured to be best with values of 128 B and 1 KiB on a machine with nothing else
    /// to do: 16 callers lose by waiting for each other, 32 gain.
    pub(crate) fn new(pipeline_size: usize, by_slot: bool) -> Self {
        Self { keys_max: pipeline_size, batches_max: 8, direct_max: 24, by_slot }
    }

    /// Whether a read whose reply is expected to be of `reply_bytes` leaves with the next batch,
    /// for one of so many callers.
    pub(crate) fn gathers(&self, reply_bytes: usize, callers: usize) -> bool {
        callers > self.direct_max && self.keys(reply_bytes) >= BATCH_KEYS_MIN
    }

    /// Keys of one batch of replies of that size.
    pub(crate) fn keys(&self, reply_bytes: usize) -> usize {
        (BATCH_BYTES / reply_bytes.max(1)).clamp(1, self.keys_max)
    }

    /// With how many keys a batch leaves at once while there are so many callers. Half of them: the
    /// server has work while the other half is at ours.
    pub(crate) fn enough(&self, callers: usize) -> usize {
        (callers / 2).clamp(1, self.keys_max)
    }

    /// How many of the reads that wait leave together; `expected` are the bytes of their replies.
    pub(crate) fn together(&self, expected: impl Iterator<Item = usize>) -> usize {
        let mut bytes = 0_usize;
        let fits = expected.take(self.keys_max).take_while(|reply| {
            let before = bytes;
            bytes = before.saturating_add(*reply);
            before == 0 || bytes <= BATCH_BYTES
        });
        fits.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_reads_of_a_crowd_travel_together_and_others_do_not() {
        let policy = Policy::new(100, false);
        assert!(policy.gathers(0, 25));
        assert!(!policy.gathers(0, 24), "no crowd");
        assert!(policy.gathers(8 * 1024, 25));
        assert!(!policy.gathers(9 * 1024, 1_000), "too few to be worth it");
        assert!(!Policy::new(1, false).gathers(128, 25), "nobody wants pipelines");
    }

    #[test]
    fn half_of_the_callers_are_enough_for_a_batch() {
        let policy = Policy::new(100, false);
        assert_eq!([0, 1, 2, 65, 1_000].map(|callers| policy.enough(callers)), [1, 1, 1, 32, 100]);
    }

    #[test]
    fn a_batch_is_bounded_by_count_and_by_bytes() {
        let policy = Policy::new(100, false);
        assert_eq!([0, 128, 1024, 1 << 20].map(|bytes| policy.keys(bytes)), [100, 100, 64, 1]);
        let together = |replies: &[usize]| policy.together(replies.iter().copied());
        assert_eq!(together(&[0; 200]), 100);
        assert_eq!(together(&[1024; 200]), 64);
        assert_eq!(together(&[60 * 1024, 4 * 1024, 1]), 2);
        assert_eq!(together(&[1 << 20, 1]), 1, "an estimate that has grown since");
        assert_eq!(together(&[]), 0);
    }
}
