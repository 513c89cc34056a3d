//! The other end of the scale: the least recently used leaves.

use super::replay::NEVER;
use super::{CpuTimer, Replay, Run};

/// Misses of a cache from which the least recently used object leaves, computed without a policy
/// and without a look-up: objects were numbered when they were read.
///
/// ```
/// use cache_enterprise_workload::simulate::{Replay, lru};
///
/// assert_eq!(lru(&Replay::of_ids("scan", [1, 2, 1, 3, 1, 2]), 2).misses, 4);
/// ```
pub fn lru(replay: &Replay, capacity: usize) -> Run {
    let timer = CpuTimer::start();
    let mut order = Order::new(replay.unique());
    let mut count = 0;
    let mut misses = 0;
    for id in replay.ids() {
        if order.is_linked(*id) {
            order.unlink(*id);
        } else {
            misses += 1;
            if count < capacity {
                count += 1;
            } else if let Some(last) = order.last() {
                order.unlink(last);
            } else {
                continue; // no room for even one
            }
        }
        order.link_first(*id);
    }
    Run { requests: replay.len() as u64, misses, cpu: timer.elapsed() }
}

/// A ring of object numbers; the place after the last object is its head.
struct Order {
    /// Towards older objects, and towards newer ones; [`NEVER`] outside the ring.
    links: Vec<(u32, u32)>,
    head: u32,
}

impl Order {
    fn new(objects: usize) -> Self {
        let mut links = vec![(NEVER, NEVER); objects + 1];
        let head = objects as u32;
        links[objects] = (head, head);
        Self { links, head }
    }

    fn is_linked(&self, id: u32) -> bool {
        self.links[id as usize].0 != NEVER
    }

    /// The object used the longest ago.
    fn last(&self) -> Option<u32> {
        let last = self.links[self.head as usize].1;
        (last != self.head).then_some(last)
    }

    fn link_first(&mut self, id: u32) {
        let first = self.links[self.head as usize].0;
        self.links[id as usize] = (first, self.head);
        self.links[first as usize].1 = id;
        self.links[self.head as usize].0 = id;
    }

    fn unlink(&mut self, id: u32) {
        let (older, newer) = std::mem::replace(&mut self.links[id as usize], (NEVER, NEVER));
        self.links[older as usize].1 = newer;
        self.links[newer as usize].0 = older;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_ring_agrees_with_a_list(
            ids in prop::collection::vec(0_u64..12, 1..200),
            capacity in 0_usize..10,
        ) {
            let mut list: Vec<u64> = Vec::new();
            let mut misses = 0;
            for id in &ids {
                match list.iter().position(|held| held == id) {
                    Some(place) => { list.remove(place); }
                    None => {
                        misses += 1;
                    }
                }
                list.insert(0, *id);
                list.truncate(capacity);
            }
            let replay = Replay::of_ids("any", ids.iter().copied());
            prop_assert_eq!(lru(&replay, capacity).misses, misses);
        }
    }
}
