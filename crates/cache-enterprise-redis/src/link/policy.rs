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
    /// Reads on their way by themselves from which on the next ones wait for a batch.
    pub(crate) direct_max: u32,
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
    pub(crate) fn new(pipeline_size: usize) -> Self {
        Self { keys_max: pipeline_size, batches_max: 2, direct_max: 1 }
    }

    /// The way of a read whose reply is expected to be of `reply_bytes`, while so many are on
    /// their way and `waits` says whether others wait already.
    pub(crate) fn way(&self, reply_bytes: usize, direct: u32, waits: bool) -> Way {
        if reply_bytes >= LARGE_BYTES {
            return Way::Aside;
        }
        let keys = self.keys(reply_bytes);
        if keys < BATCH_KEYS_MIN.min(self.keys_max) || keys < 2 {
            return Way::Direct;
        }
        match !waits && direct < self.direct_max {
            true => Way::Direct,
            false => Way::Batch(keys),
        }
    }

    /// Keys of one batch of replies of that size.
    pub(crate) fn keys(&self, reply_bytes: usize) -> usize {
        (BATCH_BYTES / reply_bytes.max(1)).clamp(1, self.keys_max)
    }
}
