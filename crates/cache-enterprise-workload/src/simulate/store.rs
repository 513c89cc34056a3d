//! Requests through a store that holds values, as a service would send them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cache_enterprise_core::{Dates, Entry, LocalStore, Scoped, Sequence};

use super::{CpuTimer, Replay, Run, Unit};

/// Requests that a thread takes at a time: few, so that the order stays about what it was.
const TURN: usize = 16;

/// Asks `store` for every object of the replay and puts in what is missing, on so many threads
/// that take turns of 16 requests. The order of requests is the replay's up to a few turns, so two
/// runs on several threads differ a little. Processor time is the sum of the threads', and holds
/// what it takes to drop the entries that leave.
///
/// ```
/// use cache_enterprise_core::{Capacity, LocalStore};
/// use cache_enterprise_memory::{MemoryStore, StoreConfig};
/// use cache_enterprise_workload::simulate::{Replay, Unit, through_store};
///
/// /// The hit ratio of a loop over 100 objects, for any store.
/// fn hit_ratio(store: &impl LocalStore<u64, ()>) -> f64 {
///     let replay = Replay::of_ids("loop", (0..1_000).map(|n| n % 100));
///     1.0 - through_store(store, &replay, Unit::Objects, 1).miss_ratio()
/// }
///
/// // Nine of ten rounds hit where all fit.
/// let store = MemoryStore::new(StoreConfig::new(Capacity::entries(10_000)));
/// assert_eq!(hit_ratio(&store), 0.9);
/// ```
pub fn through_store<S: LocalStore<u64, ()>>(
    store: &S,
    replay: &Replay,
    unit: Unit,
    threads: usize,
) -> Run {
    let next = AtomicUsize::new(0);
    let work = || take_turns(store, replay, unit, &next);
    let (misses, cpu) = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut sum = work();
        for other in others {
            let (misses, cpu) = other.join().expect("a worker only calls the store");
            sum = (sum.0 + misses, sum.1 + cpu);
        }
        sum
    });
    Run { requests: replay.len() as u64, misses, cpu }
}

fn take_turns<S: LocalStore<u64, ()>>(
    store: &S,
    replay: &Replay,
    unit: Unit,
    next: &AtomicUsize,
) -> (u64, Duration) {
    let mut misses = 0;
    let timer = CpuTimer::start();
    loop {
        let start = next.fetch_add(TURN, Ordering::Relaxed);
        if start >= replay.len() {
            return (misses, timer.elapsed());
        }
        for at in start..replay.len().min(start + TURN) {
            let key = Scoped { tenant: 0, key: replay.hashes()[at] };
            if store.get(&key).is_none() {
                misses += 1;
                let weight = usize::try_from(replay.weight(at, unit)).unwrap_or(usize::MAX);
                let entry = Entry::new((), Sequence(1), 0, Dates::lasting(0, None));
                // What leaves is dropped here, as a service does after each call: a run holds no
                // more than its store, and the time of the drops counts.
                let mut leaving = S::Leaving::default();
                store.insert(key, Arc::new(entry.with_weight(weight)), &mut leaving);
            }
        }
    }
}
