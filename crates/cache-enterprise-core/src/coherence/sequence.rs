//! The ordered counter.

use std::fmt;

use crate::mutant;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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

    /// Above every number a counter gives.
    pub const MAX: Self = Self(u64::MAX);

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
    /// Whether a number was taken here, which seeing those of others is not.
    has_taken: AtomicBool,
    /// The lowest number that this process took by itself although others number too.
    provisional_from: AtomicU64,
    /// The highest of them.
    provisional_to: AtomicU64,
}

impl SequenceCounter {
    /// A counter whose first number is the one after `start`.
    pub fn starting_at(start: Sequence) -> Self {
        Self {
            newest: AtomicU64::new(start.0),
            has_taken: AtomicBool::new(false),
            provisional_from: AtomicU64::new(u64::MAX),
            provisional_to: AtomicU64::new(0),
        }
    }

    /// The newest number known. A load notes it before it reads.
    pub fn newest(&self) -> Sequence {
        Sequence(self.newest.load(Ordering::Acquire))
    }

    /// Takes the next number.
    pub fn take(&self) -> Sequence {
        self.note_taken();
        Sequence(self.newest.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Takes the next number where a store gives them to all processes, and does not answer. It
    /// orders what this process does; others may get the same.
    pub fn take_provisional(&self) -> Sequence {
        self.note_taken();
        loop {
            let newest = self.newest.load(Ordering::Acquire);
            // Noted first: nobody sees the number and takes it for the store's.
            self.provisional_from.fetch_min(newest + 1, Ordering::AcqRel);
            self.provisional_to.fetch_max(newest + 1, Ordering::AcqRel);
            let taken = self.newest.compare_exchange(
                newest,
                newest + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if taken.is_ok() {
                return Sequence(newest + 1);
            }
        }
    }

    /// Whether this process may have taken `number` by itself. What was loaded under it must not
    /// reach a tier that others read.
    pub fn is_provisional(&self, number: Sequence) -> bool {
        number.0 >= self.provisional_from.load(Ordering::Acquire)
            && number.0 <= self.provisional_to.load(Ordering::Acquire)
    }

    /// How high a number that another process was given stands here: inside a range of
    /// provisional numbers its place is not known, so that it ends all of them. Where it stands
    /// then no store has given a number: that one is provisional too.
    pub fn placed(&self, foreign: Sequence) -> Sequence {
        if self.is_provisional(foreign) && !mutant::breaks("foreign numbers end provisional ones") {
            Sequence(self.provisional_to.fetch_add(1, Ordering::AcqRel) + 1)
        } else {
            foreign
        }
    }

    /// Learns of a number that somebody else gave.
    pub fn observe(&self, seen: Sequence) {
        self.newest.fetch_max(seen.0, Ordering::AcqRel);
    }

    /// Learns of the number that a store was at, and says whether one may have been taken here
    /// before: one that is taken later is above.
    pub fn observe_store(&self, at: Sequence) -> bool {
        self.observe(at);
        self.has_taken.load(Ordering::Acquire)
    }

    /// Noted before the number is taken, so that whoever sees the number sees the note.
    fn note_taken(&self) {
        if !self.has_taken.load(Ordering::Acquire) {
            self.has_taken.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_seen_are_none_that_were_taken() {
        let counter = SequenceCounter::starting_at(Sequence(1));
        counter.observe(Sequence(50));
        assert!(!counter.observe_store(Sequence(60)));
        counter.take();
        assert!(counter.observe_store(Sequence(70)));
        let counter = SequenceCounter::starting_at(Sequence(1));
        counter.take_provisional();
        assert!(counter.observe_store(Sequence(70)));
    }

    #[test]
    fn a_foreign_number_among_provisional_ones_ends_them_all() {
        let counter = SequenceCounter::starting_at(Sequence(100));
        assert_eq!(counter.placed(Sequence(101)), Sequence(101));
        let (first, last) = (counter.take_provisional(), counter.take_provisional());
        assert_eq!((first, last), (Sequence(101), Sequence(102)));
        assert_eq!(counter.placed(Sequence(101)), Sequence(103));
        assert!(counter.is_provisional(Sequence(103)), "no store gave it");
        assert_eq!(counter.placed(Sequence(104)), Sequence(104));
        assert_eq!(counter.placed(Sequence(100)), Sequence(100));
        counter.observe(Sequence(200));
        assert!(!counter.is_provisional(counter.newest()));
    }
}
