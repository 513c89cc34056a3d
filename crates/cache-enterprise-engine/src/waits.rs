//! Which loads wait for which, so that loads that would wait for each other for ever are seen.
//!
//! A loader that asks for a key waits for the flight of that key. Where the loader of that flight
//! waits, over however many others and in whatever tasks, for the first one's, nobody would ever
//! be served: the call that would close the circle is a recursion. Only calls made inside a loader
//! come here; their number is the number of nested loads at this moment.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cache_enterprise_core::mutant;

/// Number of a flight in this process.
pub(crate) type FlightId = u64;

/// Numbers that a thread takes at once, so that flights do not all meet at one counter.
const BLOCK: FlightId = 1_024;

/// The first number of the block that the next thread takes.
static NEXT: AtomicU64 = AtomicU64::new(BLOCK);

thread_local! {
    /// The number of this thread's next flight; none is left at a multiple of a block.
    static NUMBER: Cell<FlightId> = const { Cell::new(0) };
}

/// Which flight waits for which, each as often as it does.
static EDGES: Mutex<Vec<(FlightId, FlightId)>> = Mutex::new(Vec::new());

pub(crate) fn new_id() -> FlightId {
    let number = match NUMBER.get() {
        used_up if used_up.is_multiple_of(BLOCK) => NEXT.fetch_add(BLOCK, Ordering::Relaxed) + 1,
        number => number,
    };
    NUMBER.set(number + 1);
    number
}

/// A wait that is noted; dropped when it is over.
#[derive(Debug)]
pub(crate) struct Wait {
    waiting: Vec<FlightId>,
    on: FlightId,
}

impl Wait {
    /// Notes that the loads of `waiting` wait for `on`; `None` when that closes a circle.
    pub(crate) fn enter(waiting: Vec<FlightId>, on: FlightId) -> Option<Self> {
        if waiting.is_empty() || mutant::breaks("a loader that waits for itself is seen") {
            return Some(Self { waiting, on });
        }
        let mut edges = edges();
        let (mut seen, mut next) = (vec![on], 0);
        while let Some(&flight) = seen.get(next) {
            if waiting.contains(&flight) {
                return None;
            }
            for &(from, to) in &*edges {
                if from == flight && !seen.contains(&to) {
                    seen.push(to);
                }
            }
            next += 1;
        }
        edges.extend(waiting.iter().map(|&from| (from, on)));
        drop(edges);
        Some(Self { waiting, on })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut edges = edges();
        for &from in &self.waiting {
            if let Some(place) = edges.iter().position(|edge| *edge == (from, self.on)) {
                edges.swap_remove(place);
            }
        }
    }
}

fn edges() -> MutexGuard<'static, Vec<(FlightId, FlightId)>> {
    EDGES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_over_several_loads_is_seen_when_it_would_close() {
        let [a, b, c] = [new_id(), new_id(), new_id()];
        let first = Wait::enter(vec![a], b);
        let second = Wait::enter(vec![b], c);
        assert!(first.is_some() && second.is_some());
        assert!(Wait::enter(vec![c], a).is_none());
        assert!(Wait::enter(vec![c], c).is_none());
        drop(first);
        assert!(Wait::enter(vec![c], a).is_some(), "nobody waits for b any more");
    }
}
