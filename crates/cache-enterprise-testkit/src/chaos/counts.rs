//! What was called, and what was done to it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A method of [`Backend`](cache_enterprise_core::Backend) that does work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// One value was asked for.
    Get,
    /// Several values were asked for in one call.
    GetMany,
    /// One value was put.
    Put,
    /// Several values were put in one call.
    PutMany,
    /// One key was removed.
    Remove,
    /// Several keys were removed in one call.
    RemoveMany,
    /// One value was put if what stood there was still the same.
    Swap,
    /// A life was changed.
    Touch,
    /// A page of keys was asked for.
    Scan,
    /// A prefix was dropped.
    ClearPrefix,
    /// The backend was asked how it feels.
    Health,
    /// The backend was closed.
    Close,
}

impl Operation {
    /// The word for errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetMany => "get_many",
            Self::Put => "put",
            Self::PutMany => "put_many",
            Self::Remove => "remove",
            Self::RemoveMany => "remove_many",
            Self::Swap => "swap",
            Self::Touch => "touch",
            Self::Scan => "scan",
            Self::ClearPrefix => "clear_prefix",
            Self::Health => "health",
            Self::Close => "close",
        }
    }
}

/// What was done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It was answered with an error.
    Failed,
    /// It was held until the mode changed, or until its caller gave up.
    Hung,
    /// It was passed on late.
    Slowed,
    /// A value in its answer was changed.
    Corrupted,
}

const OPERATIONS: usize = Operation::Close as usize + 1;
const FAULTS: usize = Fault::Corrupted as usize + 1;

/// Counters that many tasks move; exact once they are done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    calls: [AtomicU64; OPERATIONS],
    faults: [AtomicU64; FAULTS],
    pub(super) read: AtomicU64,
    pub(super) written: AtomicU64,
}

impl Counts {
    pub(super) fn called(&self, operation: Operation) {
        self.calls[operation as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn suffered(&self, fault: Fault) {
        self.faults[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn calls(&self, operation: Operation) -> u64 {
        self.calls[operation as usize].load(Ordering::Relaxed)
    }

    pub(super) fn all_calls(&self) -> u64 {
        self.calls.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn faults(&self, fault: Fault) -> u64 {
        self.faults[fault as usize].load(Ordering::Relaxed)
    }

    pub(super) fn all_faults(&self) -> u64 {
        self.faults.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}
