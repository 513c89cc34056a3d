//! Requests through the stores that serve.

use std::sync::Arc;

use cache_enterprise_core::{Capacity, Dates, Entry, LocalStore, Scoped, Sequence};
use cache_enterprise_memory::{MemoryStore, StoreConfig};
use cache_enterprise_workload::simulate::{CpuTimer, Replay, Run};

/// The store on quick_cache with its default shards, on this thread.
pub(crate) fn run_quick(replay: &Replay, capacity: usize) -> Run {
    let store = MemoryStore::<u64, ()>::new(StoreConfig::new(Capacity::entries(capacity as u64)));
    run(&store, replay)
}

/// Asks for every object and puts in what is missing.
fn run<S: LocalStore<u64, ()>>(store: &S, replay: &Replay) -> Run
where
    S::Leaving: Default,
{
    let mut leaving = S::Leaving::default();
    let mut misses = 0;
    let timer = CpuTimer::start();
    for hash in replay.hashes() {
        let key = Scoped { tenant: 0, key: *hash };
        if store.get(&key).is_none() {
            misses += 1;
            let entry = Entry::new((), Sequence(1), 0, Dates::lasting(0, None)).with_weight(1);
            store.insert(key, Arc::new(entry), &mut leaving);
        }
    }
    Run { requests: replay.len() as u64, misses, cpu: timer.elapsed() }
}
