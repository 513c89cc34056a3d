//! Doubly linked lists of slots whose links lie in one array.
//!
//! A store numbers its entries densely, so the number of an entry is the index of its node: no
//! allocation and no look-up for each entry, and any entry leaves its list in a few writes. All lists
//! of a policy share the array, since an entry stands in one list at a time; the node says in which.

use cache_enterprise_core::{Candidate, Slot};

use super::ghosts::Name;

const NOBODY: u32 = u32::MAX;
const NO_LIST: u32 = u32::MAX;

/// Nodes of the first allocation.
const ROOM_MIN: usize = 16;

/// What a node carries beside its links.
pub(super) trait Weighed: Copy + Default {
    /// What the entry counts towards the weight of its list.
    fn weight(&self) -> u64;
}

/// Nothing: each entry counts as one.
impl Weighed for () {
    fn weight(&self) -> u64 {
        1
    }
}

/// What policies with bounds for their queues keep of an entry that they count by its hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resident {
    pub(super) hash: u64,
    pub(super) weight: u64,
}

impl Weighed for Resident {
    fn weight(&self) -> u64 {
        self.weight
    }
}

impl From<&Candidate> for Resident {
    fn from(candidate: &Candidate) -> Self {
        Self { hash: candidate.hash, weight: candidate.weight }
    }
}

/// What policies with bounds for their queues keep of an entry whose name they may remember: half
/// the room of a [`Resident`]. What weighs more than 2^32 - 1 counts as that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Named {
    pub(super) name: Name,
    weight: u32,
}

impl Weighed for Named {
    fn weight(&self) -> u64 {
        self.weight.into()
    }
}

impl From<&Candidate> for Named {
    fn from(candidate: &Candidate) -> Self {
        let weight = u32::try_from(candidate.weight).unwrap_or(u32::MAX);
        Self { name: Name::of(candidate.hash), weight }
    }
}

#[derive(Clone, Copy, Debug)]
struct Node<T> {
    before: u32,
    after: u32,
    list: u32,
    value: T,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    front: u32,
    back: u32,
    len: usize,
    weight: u64,
}

impl Ends {
    const EMPTY: Self = Self { front: NOBODY, back: NOBODY, len: 0, weight: 0 };
}

/// Some lists. The front is what came first, the back what came last.
#[derive(Debug)]
pub(super) struct Lists<T> {
    nodes: Vec<Node<T>>,
    ends: Vec<Ends>,
    /// Slots there will be in all likelihood.
    expected: usize,
}

impl<T: Weighed> Lists<T> {
    /// So many empty lists, in all likelihood of so many slots. Allocates for none of them.
    pub(super) fn new(lists: usize, entries: usize) -> Self {
        Self { nodes: Vec::new(), ends: vec![Ends::EMPTY; lists], expected: entries }
    }

    /// One more list, and its number.
    pub(super) fn add(&mut self) -> usize {
        self.ends.push(Ends::EMPTY);
        self.ends.len() - 1
    }

    /// Entries of a list.
    pub(super) fn len(&self, list: usize) -> usize {
        self.ends[list].len
    }

    /// The weight of all entries of a list.
    pub(super) fn weight(&self, list: usize) -> u64 {
        self.ends[list].weight
    }

    /// What came first.
    pub(super) fn front(&self, list: usize) -> Option<Slot> {
        named(self.ends[list].front)
    }

    /// What came after this one in its list.
    pub(super) fn after(&self, slot: Slot) -> Option<Slot> {
        self.linked(slot).and_then(|node| named(node.after))
    }

    /// The list in which the slot stands.
    pub(super) fn list_of(&self, slot: Slot) -> Option<usize> {
        self.linked(slot).map(|node| node.list as usize)
    }

    /// What is kept of the entry.
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.linked(slot).map(|node| &node.value)
    }

    /// Puts the slot at the back of a list, and takes it out of where it stood.
    pub(super) fn push_back(&mut self, list: usize, slot: Slot, value: T) {
        self.remove(slot);
        let index = slot.index();
        if index >= self.nodes.len() {
            let free = Node { before: NOBODY, after: NOBODY, list: NO_LIST, value: T::default() };
            if index >= self.nodes.capacity() {
                let room = room_for(index + 1, self.expected);
                self.nodes.reserve_exact(room - self.nodes.len());
            }
            self.nodes.resize(index + 1, free);
        }
        let ends = &mut self.ends[list];
        let before = ends.back;
        self.nodes[index] = Node { before, after: NOBODY, list: list as u32, value };
        ends.back = slot.0;
        ends.len += 1;
        ends.weight = ends.weight.saturating_add(value.weight());
        match before {
            NOBODY => ends.front = slot.0,
            before => self.nodes[before as usize].after = slot.0,
        }
    }

    /// Moves a slot to the back of a list, its own or another. One that stands nowhere stays out.
    pub(super) fn move_to_back(&mut self, list: usize, slot: Slot) {
        if self.list_of(slot) == Some(list) && self.ends[list].back == slot.0 {
            return;
        }
        if let Some((_, value)) = self.remove(slot) {
            self.push_back(list, slot, value);
        }
    }

    /// Replaces what is kept of the entry, where it stands.
    pub(super) fn set(&mut self, slot: Slot, value: T) {
        let Some(list) = self.list_of(slot) else { return };
        let node = &mut self.nodes[slot.index()];
        let ends = &mut self.ends[list];
        ends.weight =
            ends.weight.saturating_sub(node.value.weight()).saturating_add(value.weight());
        node.value = value;
    }

    /// Takes the slot out of its list; says which that was and what was kept.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<(usize, T)> {
        let Node { before, after, list, value } = *self.linked(slot)?;
        let list = list as usize;
        self.nodes[slot.index()].list = NO_LIST;
        let ends = &mut self.ends[list];
        ends.len -= 1;
        ends.weight = ends.weight.saturating_sub(value.weight());
        match before {
            NOBODY => ends.front = after,
            before => self.nodes[before as usize].after = after,
        }
        match after {
            NOBODY => self.ends[list].back = before,
            after => self.nodes[after as usize].before = before,
        }
        Some((list, value))
    }

    fn linked(&self, slot: Slot) -> Option<&Node<T>> {
        self.nodes.get(slot.index()).filter(|node| node.list != NO_LIST)
    }
}

/// The length to which an array grows that must hold `least` and ends at about `expected`: twice as
/// long as long as that is no more than expected, and a sixteenth longer beyond.
fn room_for(least: usize, expected: usize) -> usize {
    if least <= expected {
        (least * 2).clamp(ROOM_MIN, expected.max(ROOM_MIN))
    } else {
        least + least / 16 + 1
    }
}

fn named(index: u32) -> Option<Slot> {
    (index != NOBODY).then_some(Slot(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_order(lists: &Lists<Resident>, list: usize) -> Vec<u32> {
        std::iter::successors(lists.front(list), |slot| lists.after(*slot))
            .map(|slot| slot.0)
            .collect()
    }

    #[test]
    fn slots_move_between_lists_and_take_their_weight_along() {
        let mut lists = Lists::new(2, 0);
        for (slot, weight) in [(4, 10), (0, 1), (2, 5)] {
            lists.push_back(0, Slot(slot), Resident { hash: 0, weight });
        }
        lists.move_to_back(1, Slot(0));
        lists.move_to_back(0, Slot(4));
        assert_eq!((in_order(&lists, 0), in_order(&lists, 1)), (vec![2, 4], vec![0]));
        assert_eq!((lists.weight(0), lists.weight(1), lists.len(0)), (15, 1, 2));

        lists.set(Slot(2), Resident { hash: 0, weight: 7 });
        assert_eq!(lists.remove(Slot(4)).map(|(list, kept)| (list, kept.weight)), Some((0, 10)));
        assert_eq!((lists.weight(0), in_order(&lists, 0)), (7, vec![2]));
    }

    #[test]
    fn a_slot_that_stands_nowhere_changes_nothing() {
        let mut lists = Lists::<Resident>::new(2, 0);
        lists.move_to_back(1, Slot(9));
        lists.set(Slot(9), Resident { hash: 1, weight: 1 });
        assert!(lists.remove(Slot(9)).is_none() && lists.list_of(Slot(9)).is_none());
        assert_eq!((lists.front(1), lists.weight(0)), (None, 0));
    }

    #[test]
    fn a_slot_that_is_pushed_twice_stands_once() {
        let mut lists = Lists::<Resident>::new(2, 4);
        lists.push_back(0, Slot(1), Resident { hash: 1, weight: 2 });
        lists.push_back(1, Slot(1), Resident { hash: 1, weight: 3 });
        assert_eq!((lists.len(0), lists.weight(0), lists.weight(1)), (0, 0, 3));
        assert_eq!((lists.front(0), lists.list_of(Slot(1))), (None, Some(1)));
    }
}
