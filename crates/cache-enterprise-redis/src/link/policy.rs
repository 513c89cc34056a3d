//! When a read goes by itself and when it waits to travel with others.

/// Bytes of replies that one batch may bring.
const BATCH_BYTES: usize = 64 * 1024;
/// Fewer keys than this are no batch worth waiting for.
const BATCH_KEYS_MIN: usize = 8;
/// A reply from here on goes over the second connection, where it holds up no small one.
pub(crate) const LARGE_BYTES: usize = 64 * 1024;

/// Limits of the reads that share a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Keys of one batch.
    pub(crate) keys_max: usize,
    /// Batches on their way at once.
    pub(crate) batches_max: u32,
    /// With so many reads on their way by themselves, the next ones are gathered.
    pub(crate) direct_max: u32,
    /// Batches of fewer keys, in the mean of the latest, end the gathering.
    pub(crate) gather_min: u32,
}

/// Keys of the latest batches: a running mean in sixteenths. One small batch says that a scheduler
/// hesitated, a row of them that few readers are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latest(pub(crate) u32);

impl Latest {
    const UNIT: u32 = 16;

    /// The mean after one more batch, which replaces an eighth of it.
    pub(crate) fn and(self, keys: usize) -> Self {
        let keys = u32::try_from(keys).unwrap_or(u32::MAX).min(1 << 16);
        Self(self.0 - self.0 / 8 + keys * Self::UNIT / 8)
    }
}

/// What a read does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Goes straight out.
    Direct,
    /// Over the second connection.
    Aside,
    /// Leaves with the next batch, of at most so many keys.
    Batch(usize),
}

impl Policy {
    /// What was measured to be best on one server with values of 128 B: with 16 reads on their way
    /// a batch costs more than it saves, with 32 it saves more.
    pub(crate) fn new(pipeline_size: usize) -> Self {
        Self { keys_max: pipeline_size, batches_max: 2, direct_max: 20, gather_min: 8 }
    }

    /// The way of a read whose reply is expected to be of `reply_bytes`, while so many others go
    /// by themselves and `gathers` says whether reads are gathered already.
    pub(crate) fn way(&self, reply_bytes: usize, direct: u32, gathers: bool) -> Way {
        if reply_bytes >= LARGE_BYTES {
            return Way::Aside;
        }
        if !gathers && direct < self.direct_max {
            return Way::Direct;
        }
        match self.keys(reply_bytes) {
            keys if keys >= BATCH_KEYS_MIN => Way::Batch(keys),
            _ => Way::Direct,
        }
    }

    /// Whether reads are gathered while the latest batches had so many keys.
    pub(crate) fn gathers(&self, latest: Latest) -> bool {
        latest.0 >= self.gather_min * Latest::UNIT
    }

    /// What gathering starts with: enough that the first batches, which leave with whoever is
    /// there, do not end it at once.
    pub(crate) fn first(&self) -> Latest {
        Latest(2 * self.gather_min * Latest::UNIT)
    }

    /// Keys of one batch of replies of that size.
    pub(crate) fn keys(&self, reply_bytes: usize) -> usize {
        (BATCH_BYTES / reply_bytes.max(1)).clamp(1, self.keys_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_reads_go_straight_out_and_many_are_gathered() {
        let policy = Policy::new(100);
        assert_eq!(policy.way(128, 0, false), Way::Direct);
        assert_eq!(policy.way(128, 19, false), Way::Direct);
        assert_eq!(policy.way(128, 20, false), Way::Batch(100));
        assert_eq!(policy.way(128, 0, true), Way::Batch(100));
    }

    #[test]
    fn a_row_of_small_batches_ends_the_gathering_and_a_single_one_does_not() {
        let policy = Policy::new(100);
        assert!(!policy.gathers(Latest::default()));
        let small = |batches| (0..batches).fold(policy.first(), |latest, _| latest.and(1));
        assert!(policy.gathers(small(1)) && policy.gathers(small(4)));
        assert!(!policy.gathers(small(8)));
        let steady = (0..100).fold(policy.first(), |latest, _| latest.and(12));
        assert!(policy.gathers(steady));
        assert!(policy.gathers(Latest::default().and(usize::MAX)));
    }

    #[test]
    fn a_batch_is_bounded_by_count_and_by_bytes() {
        let policy = Policy::new(100);
        assert_eq!(policy.way(0, 50, false), Way::Batch(100));
        assert_eq!(policy.way(1024, 50, false), Way::Batch(64));
        assert_eq!(policy.way(8 * 1024, 50, false), Way::Batch(8));
        assert_eq!(policy.way(9 * 1024, 50, true), Way::Direct, "too few to be worth it");
        assert_eq!(policy.way(LARGE_BYTES, 0, false), Way::Aside);
        assert_eq!(Policy::new(1).way(128, 50, true), Way::Direct, "nobody wants pipelines");
    }
}
