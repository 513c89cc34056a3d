//! Which shard serves a slot, and what a majority of nodes makes of it.

use std::collections::BTreeSet;

use super::slots::SLOTS;
use super::view::{Range, View};
use crate::address::Endpoint;

/// A slot that no master serves.
const UNSERVED: u16 = u16::MAX;

/// Slots to shards to masters. A shard keeps its number while most of its slots stay together,
/// so a failover changes the master of a number and no number.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SlotTable {
    shards: Box<[u16]>,
    masters: Vec<Endpoint>,
    replicas: BTreeSet<Endpoint>,
}

impl SlotTable {
    /// The table of who knows nothing.
    pub(super) fn empty() -> Self {
        Self {
            shards: vec![UNSERVED; usize::from(SLOTS)].into(),
            masters: Vec::new(),
            replicas: BTreeSet::new(),
        }
    }

    /// The number of the shard that serves `slot`.
    pub(super) fn shard(&self, slot: u16) -> Option<usize> {
        let shard = *self.shards.get(usize::from(slot))?;
        (shard != UNSERVED).then_some(usize::from(shard))
    }

    /// The master of each shard, by the shard's number.
    pub(super) fn masters(&self) -> &[Endpoint] {
        &self.masters
    }

    /// Nodes that are known and serve no slot.
    pub(super) fn replicas(&self) -> impl Iterator<Item = &Endpoint> {
        self.replicas.iter()
    }

    fn owners(&self) -> impl Iterator<Item = Option<&Endpoint>> {
        self.shards.iter().map(|shard| self.masters.get(usize::from(*shard)))
    }

    /// The table after `asked` nodes were asked and those who answered gave `views`. A slot goes
    /// to another master when more than half of all asked name it, answered or not: what a
    /// minority says, cut off or behind, moves nothing.
    pub(super) fn agreed(&self, asked: usize, views: &[View]) -> Self {
        let mut owners: Vec<Option<&Endpoint>> = self.owners().collect();
        for (first, end) in segments(views) {
            if let Some(winner) = elected(first, asked, views) {
                owners[usize::from(first)..usize::from(end)].fill(Some(winner));
            }
        }
        // Who is named and does not lead is a replica, whatever a minority takes it for.
        let ranges = || views.iter().flat_map(|view| &view.ranges);
        let mut known: BTreeSet<Endpoint> = ranges().map(|range| range.master.clone()).collect();
        known.extend(ranges().flat_map(|range| &range.replicas).cloned());
        if views.is_empty() {
            known.clone_from(&self.replicas);
        }
        self.renumbered(&owners, known)
    }

    /// Whether both send every slot to the same master.
    pub(super) fn routes_like(&self, other: &Self) -> bool {
        self.shards == other.shards && self.masters == other.masters
    }

    /// `next` without what it would give to `lost` masters: those slots stay where they are here.
    pub(super) fn agreed_without(&self, next: &Self, lost: &[Endpoint]) -> Self {
        let kept = self.owners().zip(next.owners()).map(|(old, new)| match new {
            Some(master) if lost.contains(master) => old,
            other => other,
        });
        self.renumbered(&kept.collect::<Vec<_>>(), next.replicas.clone())
    }

    /// A table with these owners, in which each master takes the number that most of its slots
    /// had here, where nobody with more of them claims it.
    fn renumbered(&self, owners: &[Option<&Endpoint>], mut replicas: BTreeSet<Endpoint>) -> Self {
        let runs = || owners.chunk_by(|a, b| a == b);
        let masters: BTreeSet<&Endpoint> = runs().filter_map(|run| run[0]).collect();
        let masters: Vec<&Endpoint> = masters.into_iter().collect();
        let find = |owner: Option<&Endpoint>| masters.binary_search(&owner?).ok();

        let mut shared = vec![vec![0_u32; self.masters.len()]; masters.len()];
        let mut slot = 0;
        for run in runs() {
            let master = find(run[0]);
            for old in &self.shards[slot..slot + run.len()] {
                let count = master.and_then(|master| shared[master].get_mut(usize::from(*old)));
                if let Some(count) = count {
                    *count += 1;
                }
            }
            slot += run.len();
        }
        let numbers = numbered(&shared);

        let mut shards = Vec::with_capacity(owners.len());
        for run in runs() {
            let shard = find(run[0]).map_or(UNSERVED, |master| numbers[master] as u16);
            shards.resize(shards.len() + run.len(), shard);
        }
        let mut ordered = vec![None; masters.len()];
        for (number, master) in numbers.into_iter().zip(masters) {
            replicas.remove(master);
            ordered[number] = Some(master.clone());
        }
        let masters = ordered.into_iter().flatten().collect();
        Self { shards: shards.into(), masters, replicas }
    }
}

impl std::fmt::Debug for SlotTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlotTable")
            .field("masters", &self.masters)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

/// Borders within which every view names one master: first slot, and the slot after the last.
fn segments(views: &[View]) -> Vec<(u16, u16)> {
    let ranges = views.iter().flat_map(|view| &view.ranges);
    let borders: BTreeSet<u16> = ranges.flat_map(|range| [range.first, range.last + 1]).collect();
    let borders: Vec<u16> = borders.into_iter().collect();
    borders.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

/// The master that more than half of the `asked` nodes name for a slot. Each has one vote,
/// however often its view names the slot.
fn elected(slot: u16, asked: usize, views: &[View]) -> Option<&Endpoint> {
    let covers = |range: &&Range| (range.first..=range.last).contains(&slot);
    let votes = views.iter().filter_map(|view| view.ranges.iter().find(covers));
    let votes: Vec<&Endpoint> = votes.map(|range| &range.master).collect();
    let count = |master: &Endpoint| votes.iter().filter(|vote| **vote == master).count();
    votes.iter().find(|master| count(master) > asked / 2).copied()
}

/// A number below the count of masters for each of them: the largest shares choose first.
fn numbered(shared: &[Vec<u32>]) -> Vec<usize> {
    let count = shared.len();
    let mut claims: Vec<(u32, usize, usize)> = Vec::new();
    for (master, shares) in shared.iter().enumerate() {
        for (number, share) in shares.iter().enumerate() {
            if *share > 0 && number < count {
                claims.push((*share, master, number));
            }
        }
    }
    claims.sort_unstable_by(|a, b| b.cmp(a));
    let mut numbers = vec![None; count];
    let mut free: BTreeSet<usize> = (0..count).collect();
    for (_, master, number) in claims {
        if numbers[master].is_none() && free.remove(&number) {
            numbers[master] = Some(number);
        }
    }
    let mut free = free.into_iter();
    numbers
        .into_iter()
        .map(|number| number.or_else(|| free.next()).expect("as many numbers as masters"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table_of(view: View) -> SlotTable {
        SlotTable::empty().agreed(1, &[view])
    }

    fn node(name: &str) -> Endpoint {
        Endpoint { host: name.to_owned(), port: 7000 }
    }

    fn view(ranges: &[(u16, u16, &str)]) -> View {
        let range = |(first, last, master): &(u16, u16, &str)| Range {
            first: *first,
            last: *last,
            master: node(master),
            replicas: vec![node(&format!("{master}-copy"))],
        };
        View { ranges: ranges.iter().map(range).collect() }
    }

    fn halves(low: &str, high: &str) -> View {
        view(&[(0, 8_191, low), (8_192, 16_383, high)])
    }

    fn master_of(table: &SlotTable, slot: u16) -> &str {
        let shard = table.shard(slot).expect("a served slot");
        &table.masters()[shard].host
    }

    #[test]
    fn a_view_becomes_shards_in_the_order_of_their_slots_names() {
        let table = table_of(halves("a", "b"));
        assert_eq!(table.masters(), [node("a"), node("b")]);
        assert_eq!((master_of(&table, 8_191), master_of(&table, 8_192)), ("a", "b"));
        assert_eq!(table.replicas().cloned().collect::<Vec<_>>(), [node("a-copy"), node("b-copy")]);
        let gap = table_of(view(&[(1, 16_383, "a")]));
        assert_eq!((gap.shard(0), gap.shard(1), gap.shard(16_384)), (None, Some(0), None));
    }

    #[test]
    fn only_more_than_half_of_all_asked_moves_a_slot() {
        let table = table_of(halves("a", "b"));
        let (moved, stale) = (halves("c", "b"), halves("a", "b"));
        let agreed = |asked, views: &[&View]| {
            let views: Vec<View> = views.iter().map(|view| (*view).clone()).collect();
            master_of(&table.agreed(asked, &views), 0).to_owned()
        };
        assert_eq!(agreed(3, &[&moved, &moved, &stale]), "c");
        assert_eq!(agreed(3, &[&moved, &moved]), "c", "the third did not answer");
        assert_eq!(agreed(3, &[&moved, &stale, &stale]), "a");
        assert_eq!(agreed(3, &[&moved]), "a", "one voice of three, though nobody contradicts");
        assert_eq!(agreed(2, &[&moved, &stale]), "a", "half is not more than half");
        assert_eq!(agreed(2, &[]), "a");
        let twice = View { ranges: [moved.ranges.clone(), moved.ranges.clone()].concat() };
        assert_eq!(agreed(3, &[&twice]), "a", "who speaks twice has one vote");
    }

    #[test]
    fn a_shard_keeps_its_number_when_its_master_is_replaced() {
        let table = table_of(halves("m", "n"));
        let (low, high) = (table.shard(0), table.shard(16_383));
        let next = table.agreed(1, &[halves("z", "n")]);
        assert_eq!((next.shard(0), next.shard(16_383)), (low, high));
        let next = next.agreed(1, &[halves("z", "a")]);
        assert_eq!((next.shard(0), next.shard(16_383)), (low, high));
    }

    #[test]
    fn a_new_shard_takes_a_new_number_and_a_drained_one_gives_its_number_up() {
        let two = table_of(halves("m", "n"));
        let thirds = view(&[(0, 3_000, "a"), (3_001, 8_191, "m"), (8_192, 16_383, "n")]);
        let three = two.agreed(1, &[thirds]);
        assert_eq!((three.shard(0), three.masters().len()), (Some(2), 3));
        assert_eq!((three.shard(8_000), three.shard(16_383)), (two.shard(0), two.shard(16_383)));
        let back = three.agreed(1, &[halves("a", "n")]);
        assert_eq!(back.masters().len(), 2);
        assert_eq!(back.shard(16_383), two.shard(16_383));
    }

    #[test]
    fn a_master_without_a_link_does_not_get_its_slots_yet() {
        let table = table_of(halves("a", "b"));
        let next = table.agreed(1, &[halves("c", "d")]);
        let kept = table.agreed_without(&next, &[node("c")]);
        assert_eq!((master_of(&kept, 0), master_of(&kept, 16_383)), ("a", "d"));
    }
}
