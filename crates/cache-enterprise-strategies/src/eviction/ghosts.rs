//! The names of what has left, in the order it left, bounded.
//!
//! A name is 32 bits of the key's hash. Among a million remembered names a key that was never here
//! finds its own with a chance of one in 4 000, and is then taken for one that comes back, which
//! costs nothing but its place in a queue. The names lie in a ring and an open-addressed table
//! finds them: 8 bytes for each place, and at most two places for each name that may be
//! remembered, which makes 16 bytes a name.

/// A name that is nobody's: a hole in the ring.
const HOLE: u32 = 0;
const FEWEST_PLACES: usize = 64;

/// A bounded set of hashes that forgets the oldest.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    /// Names in the order they came. Those taken out leave holes until the ring is packed.
    ring: Vec<u32>,
    /// Where the oldest place of the ring is, and how many places are in use.
    oldest: usize,
    used: usize,
    live: usize,
    /// One more than the place in the ring; 0 is empty. As many cells as the ring has places.
    index: Vec<u32>,
}

impl Ghosts {
    /// How many names are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Whether the hash is remembered.
    #[cfg(test)]
    pub(super) fn contains(&self, hash: u64) -> bool {
        self.find(name(hash)).is_some()
    }

    /// Forgets the hash; says whether it was remembered.
    pub(super) fn take(&mut self, hash: u64) -> bool {
        self.forget(name(hash))
    }

    /// Remembers the hash as the newest, and forgets the oldest beyond `limit`.
    pub(super) fn push(&mut self, hash: u64, limit: usize) {
        let name = name(hash);
        self.forget(name);
        self.shrink(limit.saturating_sub(1));
        if limit == 0 {
            return;
        }
        if self.used == self.ring.len() || (self.live + 1) * 4 > self.ring.len() * 3 {
            self.pack(limit);
        }
        let place = wrapped(self.oldest + self.used, self.ring.len());
        self.used += 1;
        self.live += 1;
        self.ring[place] = name;
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
        while self.used > 0 {
            let name = self.ring[self.oldest];
            if name != HOLE {
                // Leaves a hole, which the next turn of the loop or call steps over.
                self.forget(name);
                return;
            }
            self.oldest = wrapped(self.oldest + 1, self.ring.len());
            self.used -= 1;
        }
    }

    /// Closes the holes; where that would not free half of the places, makes more of them, up to
    /// twice the limit. Each name is moved once for at least one name that came since.
    fn pack(&mut self, limit: usize) {
        let places = self.ring.len();
        let most = limit.saturating_mul(2).max(FEWEST_PLACES);
        self.ring.rotate_left(self.oldest);
        self.ring.truncate(self.used);
        self.ring.retain(|name| *name != HOLE);
        let places =
            if self.live * 2 < places { places } else { (places * 2).clamp(FEWEST_PLACES, most) };
        // A limit that fell may leave fewer places than the ring had: they stay.
        let places = places.max(self.live * 4 / 3 + 2);
        self.ring.resize(places, HOLE);
        self.oldest = 0;
        self.used = self.live;
        self.index.clear();
        self.index.resize(places, 0);
        for place in 0..self.live {
            self.enter(place);
        }
    }

    fn enter(&mut self, place: usize) {
        let mut cell = self.home(self.ring[place]);
        while self.index[cell] != 0 {
            cell = wrapped(cell + 1, self.index.len());
        }
        self.index[cell] = place as u32 + 1;
    }

    fn find(&self, name: u32) -> Option<usize> {
        if self.live == 0 {
            return None;
        }
        let mut cell = self.home(name);
        loop {
            match self.index[cell] {
                0 => return None,
                place if self.ring[place as usize - 1] == name => return Some(cell),
                _ => cell = wrapped(cell + 1, self.index.len()),
            }
        }
    }

    fn forget(&mut self, name: u32) -> bool {
        let Some(mut empty) = self.find(name) else { return false };
        self.ring[self.index[empty] as usize - 1] = HOLE;
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
            let home = self.home(self.ring[place as usize - 1]);
            if distance(home, cell, cells) >= distance(empty, cell, cells) {
                self.index[empty] = place;
                empty = cell;
            }
        }
        self.index[empty] = 0;
        true
    }

    fn home(&self, name: u32) -> usize {
        ((u64::from(name) * self.index.len() as u64) >> 32) as usize
    }
}

/// The high half of a product depends on every bit of the hash, also where a store has used some
/// of them to choose the shard.
fn name(hash: u64) -> u32 {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) as u32).max(1)
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

    proptest! {
        #[test]
        fn remembers_what_a_plain_list_remembers(
            steps in prop::collection::vec((0u64..300, 0u8..4, 0usize..200), 1..2_000),
        ) {
            let mut ghosts = Ghosts::default();
            let mut plain = VecDeque::new();
            let mut limit = 100;
            for (key, action, number) in steps {
                let hash = key.wrapping_mul(0x2545_f491_4f6c_dd1d);
                let known = plain.iter().position(|other| *other == hash);
                match action {
                    0 => prop_assert_eq!(ghosts.take(hash), plain_take(&mut plain, known)),
                    1 if number < 20 => limit = number * 10,
                    _ => {
                        plain_take(&mut plain, known);
                        plain.push_back(hash);
                        while plain.len() > limit {
                            plain.pop_front();
                        }
                        ghosts.push(hash, limit);
                    }
                }
                prop_assert_eq!(ghosts.len(), plain.len());
                prop_assert_eq!(ghosts.contains(hash), plain.contains(&hash));
            }
            for hash in &plain {
                prop_assert!(ghosts.contains(*hash));
            }
        }
    }

    fn plain_take(plain: &mut VecDeque<u64>, at: Option<usize>) -> bool {
        at.and_then(|at| plain.remove(at)).is_some()
    }

    #[test]
    fn a_name_costs_at_most_sixteen_bytes() {
        let mut ghosts = Ghosts::default();
        let limit = 10_000;
        for key in 0..100_000u64 {
            ghosts.push(key.wrapping_mul(0x2545_f491_4f6c_dd1d), limit);
            if key % 3 == 0 {
                ghosts.take((key / 2).wrapping_mul(0x2545_f491_4f6c_dd1d));
            }
        }
        let bytes = (ghosts.ring.capacity() + ghosts.index.capacity()) * 4;
        assert!(bytes <= 16 * limit, "{bytes} bytes for {limit} names");
    }
}
