//! How a hit is noted: without the policy, without a lock of its own.
//!
//! A hit holds its shard's read lock, under which other hits run and no write does. What it writes
//! here may therefore lose to another hit, and never meets an eviction. All of it is relaxed loads
//! and stores: a read-modify-write would cost as much again as the rest of the note.

use cache_enterprise_core::sync::atomic::{AtomicU32, Ordering};
use cache_enterprise_core::{Recording, Slot};

/// Hits a shard remembers until the next write; the oldest are dropped.
const RING: usize = 128;

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

/// The last slots that were hit. Two hits at once may take the same place: then one is lost.
#[derive(Debug)]
pub(super) struct Ring {
    /// Hits noted since the last drain.
    next: AtomicU32,
    slots: Box<[AtomicU32; RING]>,
}

impl Default for Ring {
    fn default() -> Self {
        let slots = Box::new([const { AtomicU32::new(0) }; RING]);
        Self { next: AtomicU32::new(0), slots }
    }
}

impl Ring {
    #[inline]
    pub(super) fn note(&self, slot: u32) {
        let next = self.next.load(Ordering::Relaxed);
        self.slots[next as usize % RING].store(slot, Ordering::Relaxed);
        self.next.store(next.wrapping_add(1), Ordering::Relaxed);
    }

    /// Hands on what was noted, the oldest first.
    pub(super) fn drain(&mut self, mut hit: impl FnMut(Slot)) {
        let end = self.next.load(Ordering::Relaxed) as usize;
        for at in end.saturating_sub(RING)..end {
            hit(Slot(self.slots[at % RING].load(Ordering::Relaxed)));
        }
        self.next.store(0, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn drained(ring: &mut Ring) -> Vec<u32> {
        let mut slots = Vec::new();
        ring.drain(|slot| slots.push(slot.0));
        slots
    }

    #[test]
    fn a_ring_keeps_the_newest_in_their_order() {
        let mut ring = Ring::default();
        (0..5).for_each(|slot| ring.note(slot));
        assert_eq!(drained(&mut ring), [0, 1, 2, 3, 4]);
        assert_eq!(drained(&mut ring), [0; 0]);
        let many = RING as u32 * 3 + 7;
        (0..many).for_each(|slot| ring.note(slot));
        let newest: Vec<u32> = (many - RING as u32..many).collect();
        assert_eq!(drained(&mut ring), newest);
    }
}
