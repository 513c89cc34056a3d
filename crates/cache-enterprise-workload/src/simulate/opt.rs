//! The lower bound: what a cache would miss that knows every request to come.

use std::collections::BinaryHeap;

use super::replay::NEVER;
use super::{CpuTimer, Replay, Run};

/// Misses of Belady's rule with bypass: what is asked for last of all leaves, and a newcomer that
/// would be that one does not come in. No policy misses less where every object counts as one.
///
/// Costs a heap of the objects held; `docs/strategies.md` has the time of a request. It holds no
/// look-up: objects were numbered when they were read, and their next uses are found before.
///
/// ```
/// use cache_enterprise_workload::simulate::{Replay, opt};
///
/// // 2 and 3 never come back: they go past a cache that keeps 1.
/// assert_eq!(opt(&Replay::of_ids("scan", [1, 2, 1, 3, 1]), 1).misses, 3);
/// ```
pub fn opt(replay: &Replay, capacity: usize) -> Run {
    // Room for what is never asked for would only be memory.
    let capacity = capacity.min(replay.unique());
    let next_uses = replay.next_uses();
    let timer = CpuTimer::start();
    let mut held = vec![false; replay.unique()];
    let mut count = 0;
    // Next uses of what is held. Those that went by stay below the live ones, which are all later,
    // so that the top is live; they are swept out when they are the greater part.
    let mut heap: BinaryHeap<u32> = BinaryHeap::with_capacity(2 * capacity + SWEEP_MIN);
    let mut misses = 0;
    for (at, (id, next)) in replay.ids().iter().zip(next_uses).enumerate() {
        let (id, next) = (*id as usize, *next);
        let is_hit = held[id];
        misses += u64::from(!is_hit);
        if next == NEVER {
            // Nobody asks for it again: its place is free at once.
            count -= usize::from(is_hit);
            held[id] = false;
            continue;
        }
        if !is_hit {
            if count < capacity {
                count += 1;
            } else if heap.peek().is_some_and(|last| *last > next) {
                let last = heap.pop().unwrap_or(NEVER);
                held[replay.ids()[last as usize] as usize] = false;
            } else {
                continue;
            }
            held[id] = true;
        }
        heap.push(next);
        if heap.len() >= 2 * count + SWEEP_MIN {
            heap.retain(|use_at| *use_at as usize > at);
        }
    }
    Run { requests: replay.len() as u64, misses, cpu: timer.elapsed() }
}

/// Keeps small caches from sweeping all the time.
const SWEEP_MIN: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Tries every choice: what to evict, or to let the newcomer pass.
    fn best(ids: &[u64], held: &mut HashSet<u64>, capacity: usize) -> u64 {
        let Some((id, rest)) = ids.split_first() else { return 0 };
        if held.contains(id) {
            return best(rest, held, capacity);
        }
        let mut least = best(rest, held, capacity);
        if held.len() < capacity {
            held.insert(*id);
            least = least.min(best(rest, held, capacity));
            held.remove(id);
        } else {
            for victim in held.clone() {
                held.remove(&victim);
                held.insert(*id);
                least = least.min(best(rest, held, capacity));
                held.remove(id);
                held.insert(victim);
            }
        }
        1 + least
    }

    proptest! {
        #[test]
        fn no_choice_of_victims_misses_less(
            ids in prop::collection::vec(0_u64..5, 1..11),
            capacity in 0_usize..4,
        ) {
            let replay = Replay::of_ids("any", ids.iter().copied());
            prop_assert_eq!(opt(&replay, capacity).misses, best(&ids, &mut HashSet::new(), capacity));
        }
    }

    #[test]
    fn a_capacity_beyond_all_objects_costs_nothing() {
        let replay = Replay::of_ids("few", [1, 2, 1, 3]);
        assert_eq!(opt(&replay, usize::MAX).misses, 3);
    }

    #[test]
    fn sweeping_the_heap_changes_nothing() {
        // A hundred thousand hits on few objects sweep many times; only first uses miss.
        let replay = Replay::of_ids("hits", (0..100_000).map(|n| n * n % 61));
        assert_eq!(opt(&replay, 61).misses, replay.unique() as u64);
    }
}
