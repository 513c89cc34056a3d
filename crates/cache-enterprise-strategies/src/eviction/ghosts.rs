//! The names of what has left, in the order it left, bounded.
//!
//! A name is 32 bits of the key's hash. Among a million remembered names a key that was never here
//! finds its own with a chance of one in 4 000, and is then taken for one that comes back, which
//! costs nothing but its place in a queue. The names lie in a ring, each with a note of up to four
//! bytes, and an open-addressed table finds them. Ring and table together take at most 16 bytes
//! for each name that may be remembered.

use std::mem::size_of;

/// A name that is nobody's: a hole in the ring.
const HOLE: Name = Name(0);
const FEWEST_PLACES: usize = 64;

/// What is remembered of a key: half of its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Name(u32);

impl Name {
    /// The high half of a product depends on every bit of the hash, also where a store has used
    /// some of them to choose the shard.
    pub(super) fn of(hash: u64) -> Self {
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(((mixed >> 32) as u32).max(1))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Ghost<N> {
    name: Name,
    note: N,
}

/// A bounded set of hashes that forgets the oldest.
#[derive(Debug, Default)]
pub(super) struct Ghosts<N> {
    /// Names in the order they came. Those taken out leave holes until the ring is packed.
    ring: Vec<Ghost<N>>,
    /// Where the oldest place of the ring is, and how many places are in use.
    oldest: usize,
    used: usize,
    live: usize,
    /// One more than the place in the ring; 0 is empty.
    index: Vec<u32>,
}

impl<N: Copy + Default> Ghosts<N> {
    /// How many names are remembered.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Forgets the hash; gives its note if it was remembered.
    pub(super) fn take(&mut self, hash: u64) -> Option<N> {
        self.forget(Name::of(hash))
    }

    /// The note of what left first.
    pub(super) fn oldest(&mut self) -> Option<N> {
        self.skip_holes();
        (self.used > 0).then(|| self.ring[self.oldest].note)
    }

    /// Remembers the name as the newest, and forgets the oldest beyond `limit`.
    pub(super) fn push(&mut self, name: Name, note: N, limit: usize) {
        self.forget(name);
        self.shrink(limit.saturating_sub(1));
        if limit == 0 {
            return;
        }
        if self.used == self.ring.len() {
            self.pack(limit);
        }
        let place = wrapped(self.oldest + self.used, self.ring.len());
        self.used += 1;
        self.live += 1;
        self.ring[place] = Ghost { name, note };
        self.enter(place);
    }

    /// Forgets the oldest until at most `limit` are left.
    pub(super) fn shrink(&mut self, limit: usize) {
        while self.live > limit {
            self.forget_oldest();
        }
    }

    /// Forgets what left first.
    pub(super) fn forget_oldest(&mut self) {
        self.skip_holes();
        if self.used > 0 {
            let name = self.ring[self.oldest].name;
            self.forget(name);
        }
    }

    fn skip_holes(&mut self) {
        while self.used > 0 && self.ring[self.oldest].name == HOLE {
            self.oldest = wrapped(self.oldest + 1, self.ring.len());
            self.used -= 1;
        }
    }

    /// Closes the holes, and makes more places where that frees few. A ring of full size has a
    /// quarter or half more places than names, so that a name is moved at most four times for one
    /// that comes.
    fn pack(&mut self, limit: usize) {
        let had = self.ring.len();
        self.ring.rotate_left(self.oldest);
        self.ring.truncate(self.used);
        self.ring.retain(|ghost| ghost.name != HOLE);
        let most = (limit * if Self::NOTED { 5 } else { 6 } / 4).max(FEWEST_PLACES);
        let crowded = self.live > had / 4 * 3;
        let places = if crowded { (had * 2).min(most).max(had) } else { had }.max(FEWEST_PLACES);
        let cells = places * if Self::NOTED { 6 } else { 7 } / 5;
        // To the byte: what grows by itself doubles.
        self.ring.reserve_exact(places - self.live);
        self.ring.resize(places, Ghost::default());
        self.oldest = 0;
        self.used = self.live;
        self.index.clear();
        self.index.reserve_exact(cells);
        self.index.resize(cells, 0);
        for place in 0..self.live {
            self.enter(place);
        }
    }

    /// Whether a note takes room beside the name.
    const NOTED: bool = size_of::<N>() > 0;

    fn enter(&mut self, place: usize) {
        let mut cell = self.home(self.ring[place].name);
        while self.index[cell] != 0 {
            cell = wrapped(cell + 1, self.index.len());
        }
        self.index[cell] = place as u32 + 1;
    }

    fn find(&self, name: Name) -> Option<usize> {
        if self.live == 0 {
            return None;
        }
        let mut cell = self.home(name);
        loop {
            match self.index[cell] {
                0 => return None,
                place if self.ring[place as usize - 1].name == name => return Some(cell),
                _ => cell = wrapped(cell + 1, self.index.len()),
            }
        }
    }

    fn forget(&mut self, name: Name) -> Option<N> {
        let mut empty = self.find(name)?;
        let ghost = &mut self.ring[self.index[empty] as usize - 1];
        ghost.name = HOLE;
        let note = ghost.note;
        self.live -= 1;
        // Whoever stood further from home because of this cell moves up, so that no search ends
        // at a gap too early.
        let cells = self.index.len();
        let mut cell = empty;
        loop {
            cell = wrapped(cell + 1, cells);
            let place = self.index[cell];
            if place == 0 {
                break;
            }
            let home = self.home(self.ring[place as usize - 1].name);
            if distance(home, cell, cells) >= distance(empty, cell, cells) {
                self.index[empty] = place;
                empty = cell;
            }
        }
        self.index[empty] = 0;
        Some(note)
    }

    fn home(&self, name: Name) -> usize {
        ((u64::from(name.0) * self.index.len() as u64) >> 32) as usize
    }
}

fn wrapped(place: usize, places: usize) -> usize {
    if place >= places { place - places } else { place }
}

fn distance(from: usize, to: usize, cells: usize) -> usize {
    if to >= from { to - from } else { to + cells - from }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const SPREAD: u64 = 0x2545_f491_4f6c_dd1d;

    proptest! {
        #[test]
        fn remembers_what_a_plain_list_remembers(
            steps in prop::collection::vec((0u64..300, 0u8..4, 0usize..200), 1..2_000),
        ) {
            let mut ghosts = Ghosts::default();
            let mut plain: VecDeque<(u64, u32)> = VecDeque::new();
            let mut limit = 100;
            for (at, (key, action, number)) in steps.into_iter().enumerate() {
                let hash = key.wrapping_mul(SPREAD);
                let known = plain.iter().position(|(other, _)| *other == hash);
                match action {
                    0 => {
                        let note = known.and_then(|at| plain.remove(at)).map(|(_, note)| note);
                        prop_assert_eq!(ghosts.take(hash), note);
                    }
                    1 if number < 20 => limit = number * 10,
                    _ => {
                        known.and_then(|at| plain.remove(at));
                        plain.push_back((hash, at as u32));
                        while plain.len() > limit {
                            plain.pop_front();
                        }
                        ghosts.push(Name::of(hash), at as u32, limit);
                    }
                }
                prop_assert_eq!(ghosts.len(), plain.len());
                prop_assert_eq!(ghosts.oldest(), plain.front().map(|(_, note)| *note));
            }
            for (hash, note) in plain {
                prop_assert_eq!(ghosts.take(hash), Some(note));
            }
        }
    }

    #[test]
    fn a_name_costs_at_most_sixteen_bytes() {
        let mut noted = Ghosts::<u32>::default();
        let mut plain = Ghosts::<()>::default();
        let limit = 10_000;
        for key in 0..100_000u64 {
            noted.push(Name::of(key.wrapping_mul(SPREAD)), 0, limit);
            plain.push(Name::of(key.wrapping_mul(SPREAD)), (), limit);
            if key.is_multiple_of(3) {
                noted.take((key / 2).wrapping_mul(SPREAD));
                plain.take((key / 2).wrapping_mul(SPREAD));
            }
        }
        let bytes = noted.ring.capacity() * 8 + noted.index.capacity() * 4;
        assert!(bytes <= 16 * limit, "{bytes} bytes for {limit} names with notes");
        let bytes = plain.ring.capacity() * 4 + plain.index.capacity() * 4;
        assert!(bytes <= 16 * limit, "{bytes} bytes for {limit} names");
    }
}
