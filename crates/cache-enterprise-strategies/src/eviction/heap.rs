//! A binary heap of slots by rank, from whose middle a slot can be taken.

use cache_enterprise_core::Slot;

const NOWHERE: u32 = u32::MAX;

/// The least rank is on top; equal ranks leave in the order they came. Each change takes a number
/// of steps that grows with the logarithm of the entries; 28 bytes a slot.
#[derive(Debug, Default)]
pub(super) struct Heap {
    nodes: Vec<(u64, u64, Slot)>,
    /// Where in `nodes` each slot stands.
    places: Vec<u32>,
    arrivals: u64,
}

impl Heap {
    /// What has the least rank.
    pub(super) fn top(&self) -> Option<Slot> {
        self.nodes.first().map(|(.., slot)| *slot)
    }

    /// Puts the slot in by this rank, anew if it is in already.
    pub(super) fn push(&mut self, slot: Slot, rank: u64) {
        self.remove(slot);
        if slot.index() >= self.places.len() {
            self.places.resize(slot.index() + 1, NOWHERE);
        }
        self.arrivals += 1;
        self.nodes.push((rank, self.arrivals, slot));
        self.rise(self.nodes.len() - 1);
    }

    /// Takes the slot out.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(place) = self.places.get_mut(slot.index()).filter(|place| **place != NOWHERE)
        else {
            return;
        };
        let place = std::mem::replace(place, NOWHERE) as usize;
        self.nodes.swap_remove(place);
        if place < self.nodes.len() {
            // What came into the gap may belong above or below it.
            let place = self.rise(place);
            self.sink(place);
        }
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 && self.nodes[place] < self.nodes[(place - 1) / 2] {
            self.nodes.swap(place, (place - 1) / 2);
            self.note(place);
            place = (place - 1) / 2;
        }
        self.note(place);
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = place * 2 + 1;
            let Some(mut least) = (left < self.nodes.len()).then_some(left) else { break };
            if left + 1 < self.nodes.len() && self.nodes[left + 1] < self.nodes[left] {
                least = left + 1;
            }
            if self.nodes[place] <= self.nodes[least] {
                break;
            }
            self.nodes.swap(place, least);
            self.note(place);
            place = least;
        }
        self.note(place);
    }

    fn note(&mut self, place: usize) {
        let slot = self.nodes[place].2;
        self.places[slot.index()] = place as u32;
    }
}
