//! Requests through the store that serves: what leaves is dropped at once, and threads share the
//! work.

use cache_enterprise_core::Capacity;
use cache_enterprise_memory::{MemoryStore, StoreConfig};
use cache_enterprise_workload::simulate::{Replay, Unit, through_store};

fn store_of(entries: u64) -> MemoryStore<u64, ()> {
    MemoryStore::new(StoreConfig::new(Capacity::entries(entries)))
}

/// Most bytes that lay on the heap at once, beyond those of before, while so many requests went
/// through a store of a hundred entries, each for an object of its own.
fn most_bytes(misses: u64) -> u64 {
    let replay = Replay::of_ids("once", 0..misses);
    let store = store_of(100);
    let heap = allocation_counter::measure(|| {
        let run = through_store(&store, &replay, Unit::Objects, 1);
        assert_eq!((run.requests, run.misses), (misses, misses));
    });
    heap.bytes_max
}

#[test]
fn the_heap_of_a_run_does_not_grow_with_its_misses() {
    let (few, many) = (most_bytes(1_000), most_bytes(100_000));
    assert!(many < few + few / 4, "{few} bytes for 1 000 misses, {many} for 100 000");
}

#[test]
fn two_threads_take_every_request_once() {
    // Nothing leaves: each object is missed once, or by both threads at the same time.
    let replay = Replay::of_ids("loop", (0..20_000).map(|n| n % 1_000));
    let run = through_store(&store_of(100_000), &replay, Unit::Objects, 2);
    assert_eq!(run.requests, 20_000);
    assert!((1_000..=2_000).contains(&run.misses), "{} misses", run.misses);

    // Nobody comes back: every request is a miss, and none is asked twice.
    let once = Replay::of_ids("once", 0..20_000);
    assert_eq!(through_store(&store_of(100_000), &once, Unit::Objects, 2).misses, 20_000);
}
