//! How a hit is noted: without the policy, without a lock of its own.
//!
//! A hit holds its shard's read lock, under which other hits run and no write does. What it writes
//! here may therefore lose to another hit, and never meets an eviction. All of it is relaxed loads
//! and stores: a read-modify-write would cost as much again as the rest of the note.
//!
//! A policy that wants to hear of hits gets a list of slots, but each slot is listed once between
//! two writes, with a count beside its entry: keys that are hit all the time would else make every
//! hit write to the one line of memory that says where the list ends.

use cache_enterprise_core::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use cache_enterprise_core::{Recording, Slot};

/// Slots a shard lists until the next write; the oldest are dropped.
const RING: usize = 128;

/// Hits of one slot between two writes that the policy is told of, at most.
const REPEATS: u16 = 3;

/// A stamp is the number of the drain it waits for, above a count of this many bits.
const COUNT_BITS: u32 = 2;

/// What the hits of a shard become.
#[derive(Debug)]
pub(super) enum Hits {
    Nothing,
    /// A count in each cell, up to this.
    Marks(u8),
    /// A list of slots.
    Queue(Ring),
}

impl Hits {
    pub(super) fn new(recording: Recording) -> Self {
        match recording {
            Recording::Nothing => Self::Nothing,
            Recording::Marks { max } => Self::Marks(max),
            Recording::Queue => Self::Queue(Ring::default()),
        }
    }

    /// Whether so many wait that more would soon be dropped.
    pub(super) fn is_filling(&self) -> bool {
        matches!(self, Self::Queue(ring) if ring.next.load(Ordering::Relaxed) as usize > RING / 2)
    }
}

/// The slots that were hit last. Two hits at once may take the same place: then one is lost.
#[derive(Debug)]
pub(super) struct Ring {
    /// Slots listed since the last drain.
    next: AtomicU32,
    /// The stamp of a slot that has just been listed: the number of this drain, and a count of 1.
    stamp: u16,
    slots: Box<[AtomicU32; RING]>,
}

impl Default for Ring {
    fn default() -> Self {
        let slots = Box::new([const { AtomicU32::new(0) }; RING]);
        Self { next: AtomicU32::new(0), stamp: 1 << COUNT_BITS | 1, slots }
    }
}

impl Ring {
    /// Notes a hit of the slot that `mark` belongs to.
    #[inline]
    pub(super) fn note(&self, slot: u32, mark: &AtomicU16) {
        let noted = mark.load(Ordering::Relaxed);
        if noted >> COUNT_BITS != self.stamp >> COUNT_BITS {
            mark.store(self.stamp, Ordering::Relaxed);
            let next = self.next.load(Ordering::Relaxed);
            self.slots[next as usize % RING].store(slot, Ordering::Relaxed);
            self.next.store(next.wrapping_add(1), Ordering::Relaxed);
        } else if noted & REPEATS < REPEATS {
            mark.store(noted + 1, Ordering::Relaxed);
        }
    }

    /// Hands on what was noted, slot by slot, the longest listed first. A mark whose number comes
    /// round again after 16384 drains hides one hit.
    pub(super) fn drain<'a>(
        &mut self,
        mark_of: impl Fn(Slot) -> Option<&'a AtomicU16>,
        mut hit: impl FnMut(Slot),
    ) {
        let end = self.next.load(Ordering::Relaxed) as usize;
        if end == 0 {
            return;
        }
        for at in end.saturating_sub(RING)..end {
            let slot = Slot(self.slots[at % RING].load(Ordering::Relaxed));
            let count = mark_of(slot).map_or(0, |mark| mark.load(Ordering::Relaxed) & REPEATS);
            (0..count).for_each(|_| hit(slot));
        }
        self.next.store(0, Ordering::Relaxed);
        self.stamp = self.stamp.wrapping_add(1 << COUNT_BITS);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    /// A ring and the marks of its slots.
    struct Noted(Ring, Vec<AtomicU16>);

    impl Noted {
        fn of(slots: u32) -> Self {
            Self(Ring::default(), (0..slots).map(|_| AtomicU16::new(0)).collect())
        }

        fn note(&self, slot: u32) {
            self.0.note(slot, &self.1[slot as usize]);
        }

        fn drain(&mut self) -> Vec<u32> {
            let (mut slots, marks) = (Vec::new(), &self.1);
            self.0.drain(|slot| marks.get(slot.index()), |slot| slots.push(slot.0));
            slots
        }
    }

    #[test]
    fn each_slot_is_listed_once_and_counted_a_few_times() {
        let mut noted = Noted::of(5);
        [0, 1, 0, 2, 1, 0, 0, 0].iter().for_each(|slot| noted.note(*slot));
        assert_eq!(noted.drain(), [0, 0, 0, 1, 1, 2]);
        assert_eq!(noted.drain(), [0; 0]);
        noted.note(1);
        assert_eq!(noted.drain(), [1], "the count of an earlier drain came back");
    }

    #[test]
    fn the_newest_are_kept_and_what_was_dropped_is_listed_again() {
        let many = RING as u32 * 3 + 7;
        let mut noted = Noted::of(many);
        for _ in 0..3 {
            (0..many).for_each(|slot| noted.note(slot));
            let newest: Vec<u32> = (many - RING as u32..many).collect();
            assert_eq!(noted.drain(), newest);
        }
    }
}
