//! The ordered counter.

use std::fmt;

use crate::sync::atomic::{AtomicU64, Ordering};

/// A number of a tenant's ordered counter. Numbers start from wall time in microseconds, so that
/// a counter that was lost restarts above every number it gave before.
///
/// ```
/// use cache_enterprise_core::Sequence;
///
/// let start = Sequence::from_wall_ms(1_800_000_000_000);
/// assert!(start > Sequence(7) && start > Sequence::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Below every number a counter gives.
    pub const ZERO: Self = Self(0);

    /// The first number of a counter started at this wall time.
    pub fn from_wall_ms(wall_ms: i64) -> Self {
        Self(u64::try_from(wall_ms).unwrap_or(0).saturating_mul(1_000).max(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Hands out a tenant's numbers within one process.
///
/// ```
/// use cache_enterprise_core::coherence::{Sequence, SequenceCounter};
///
/// let counter = SequenceCounter::starting_at(Sequence(10));
/// assert_eq!(counter.take(), Sequence(11));
/// counter.observe(Sequence(50));
/// assert_eq!(counter.newest(), Sequence(50));
/// assert_eq!(counter.take(), Sequence(51));
/// ```
#[derive(Debug)]
pub struct SequenceCounter {
    newest: AtomicU64,
}

impl SequenceCounter {
    /// A counter whose first number is the one after `start`.
    pub fn starting_at(start: Sequence) -> Self {
        Self { newest: AtomicU64::new(start.0) }
    }

    /// The newest number known. A load notes it before it reads.
    pub fn newest(&self) -> Sequence {
        Sequence(self.newest.load(Ordering::Acquire))
    }

    /// Takes the next number.
    pub fn take(&self) -> Sequence {
        Sequence(self.newest.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Learns of a number that somebody else gave, and says which was the newest before.
    pub fn observe(&self, seen: Sequence) -> Sequence {
        Sequence(self.newest.fetch_max(seen.0, Ordering::AcqRel))
    }
}
