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
    /// A batch of fewer keys ends the gathering.
    pub(crate) gather_min: usize,
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

    /// Whether reads go on being gathered after a batch of so many keys.
    pub(crate) fn gathers_after(&self, keys: usize) -> bool {
        keys >= self.gather_min
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
        assert!(policy.gathers_after(8) && !policy.gathers_after(7));
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
