//! Hash to slot: an open-addressed table with linear probing.
//!
//! A cell holds the hash beside the slot, so that a look-up touches one line of the processor's
//! cache, found or not. A removal closes the gap it leaves: there are no tombstones to skip.

use cache_enterprise_core::Slot;

const FREE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Cell {
    hash: u64,
    slot: u32,
}

const EMPTY: Cell = Cell { hash: 0, slot: FREE };

/// Which slot a hash lies in.
#[derive(Debug)]
pub(super) struct SlotIndex {
    cells: Vec<Cell>,
    mask: usize,
    len: usize,
}

impl SlotIndex {
    /// An index that holds `entries` before it grows.
    pub(super) fn new(entries: usize) -> Self {
        let cells = (entries + entries / 2 + 8).next_power_of_two();
        Self { cells: vec![EMPTY; cells], mask: cells - 1, len: 0 }
    }

    #[inline]
    pub(super) fn get(&self, hash: u64) -> Option<Slot> {
        let cell = self.cells[self.place(hash)];
        (cell.slot != FREE).then_some(Slot(cell.slot))
    }

    /// Notes that `hash`, which the index does not hold, lies in `slot`.
    pub(super) fn insert(&mut self, hash: u64, slot: Slot) {
        if (self.len + 1) * 4 > self.cells.len() * 3 {
            self.grow();
        }
        let place = self.place(hash);
        self.cells[place] = Cell { hash, slot: slot.0 };
        self.len += 1;
    }

    /// Forgets `hash`.
    pub(super) fn remove(&mut self, hash: u64) {
        let mut gap = self.place(hash);
        if self.cells[gap].slot == FREE {
            return;
        }
        let mut next = gap;
        loop {
            next = (next + 1) & self.mask;
            let cell = self.cells[next];
            if cell.slot == FREE {
                break;
            }
            // A cell may move into the gap unless its home lies behind the gap, cyclically.
            let home = cell.hash as usize & self.mask;
            if (next.wrapping_sub(home) & self.mask) >= (next.wrapping_sub(gap) & self.mask) {
                self.cells[gap] = cell;
                gap = next;
            }
        }
        self.cells[gap] = EMPTY;
        self.len -= 1;
    }

    /// Where `hash` lies, or the free cell where it would.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        let mut place = hash as usize & self.mask;
        loop {
            let cell = &self.cells[place];
            if cell.slot == FREE || cell.hash == hash {
                return place;
            }
            place = (place + 1) & self.mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let cells = self.cells.len() * 2;
        let old = std::mem::replace(&mut self.cells, vec![EMPTY; cells]);
        self.mask = cells - 1;
        for cell in old.into_iter().filter(|cell| cell.slot != FREE) {
            let place = self.place(cell.hash);
            self.cells[place] = cell;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes in a small table, so that runs of cells wrap around its end and gaps close.
        #[test]
        fn the_index_agrees_with_a_map(steps in prop::collection::vec((0_u64..24, any::<bool>()), 1..400)) {
            let mut index = SlotIndex::new(1);
            let mut map = HashMap::new();
            for (number, (key, is_insert)) in steps.into_iter().enumerate() {
                let hash = key.wrapping_mul(0x1000_0000_0000_0005);
                if is_insert && !map.contains_key(&hash) {
                    index.insert(hash, Slot(number as u32));
                    map.insert(hash, Slot(number as u32));
                } else if !is_insert {
                    index.remove(hash);
                    map.remove(&hash);
                }
                for key in 0..24_u64 {
                    let hash = key.wrapping_mul(0x1000_0000_0000_0005);
                    prop_assert_eq!(index.get(hash), map.get(&hash).copied());
                }
            }
        }
    }
}
