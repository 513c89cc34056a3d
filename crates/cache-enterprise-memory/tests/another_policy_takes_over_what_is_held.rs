//! A store exchanges its policies while it serves: nothing leaves, the new ones know what is held and
//! what speaks for it, and decide from then on.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use cache_enterprise_core::{
    Candidate, Capacity, Dates, Entry, EvictionPolicy, HitMarks, LocalStore, Merit, PolicyFactory,
    PolicyShape, Priority, Recording, RemovalCause, Scoped, ScopedRef, Sequence, SetOutcome, Slot,
    StoreStats, Verdict,
};
use cache_enterprise_memory::{Leaving, Level1Store, StoreConfig};
use cache_enterprise_strategies::eviction;

type Store = Level1Store<u64, u64>;

const ENTRIES: u64 = 300;

fn store(strategy: &str) -> Store {
    let factory = eviction::resolve(strategy).unwrap();
    Store::new(StoreConfig::new(Capacity::entries(ENTRIES)), Some(&*factory))
}

fn exchange(store: &Store, strategy: &str) {
    store.exchange(&*eviction::resolve(strategy).unwrap()).unwrap();
}

fn put(store: &Store, key: u64, merit: Merit, priority: Priority) -> SetOutcome {
    // The key is its date, so that the lower one is the older one.
    let entry = Entry::new(key, Sequence(1), 0, Dates::lasting(key, None)).with_weight(1);
    let entry = Arc::new(entry.with_priority(priority));
    store.insert_with(Scoped { tenant: 0, key }, entry, merit, &mut Leaving::default())
}

fn fill(store: &Store, keys: std::ops::Range<u64>) {
    for key in keys {
        put(store, key, Merit::NORMAL, Priority::Normal);
    }
}

fn is_held(store: &Store, key: u64) -> bool {
    store.get(&ScopedRef { tenant: 0, key: &key }).is_some()
}

#[test]
fn nothing_leaves_under_any_pair_of_policies() {
    let names: Vec<String> = eviction::all().iter().map(|one| one.name().to_owned()).collect();
    for from in &names {
        let store = store(from);
        fill(&store, 0..ENTRIES);
        for to in &names {
            exchange(&store, to);
            assert_eq!(&*store.strategy(), to);
            let StoreStats { entries, weight, evictions, .. } = store.stats();
            assert_eq!((entries, weight, evictions), (ENTRIES, ENTRIES, 0), "{from} to {to}");
            assert!((0..ENTRIES).all(|key| is_held(&store, key)), "{from} to {to}");
        }
    }
}

#[test]
fn the_new_policy_decides_by_what_it_was_told() {
    let store = store("lru");
    put(&store, 0, Merit::new(100.0, 0), Priority::Normal);
    put(&store, 1, Merit::NORMAL, Priority::Pinned);
    fill(&store, 2..ENTRIES);
    exchange(&store, "business-priority");
    fill(&store, 1_000..1_000 + 2 * ENTRIES);
    assert!(is_held(&store, 0), "what it is worth was handed on");
    assert!(is_held(&store, 1), "a pinned entry is no candidate of any policy");
    assert!(!is_held(&store, 2));
    exchange(&store, "fifo");
    fill(&store, 5_000..5_000 + ENTRIES - 2);
    assert!(!is_held(&store, 0), "the oldest is the first to leave");
    assert!(is_held(&store, 1));
}

#[test]
fn hits_count_for_the_new_policy_from_then_on() {
    for (from, to) in [("fifo", "lru"), ("sieve", "lru"), ("lru", "clock"), ("lfu", "s3-fifo")] {
        let store = store(from);
        fill(&store, 0..ENTRIES);
        (0..3).for_each(|_| assert!((0..ENTRIES).all(|key| is_held(&store, key))));
        exchange(&store, to);
        for _ in 0..3 {
            assert!(is_held(&store, 0), "{from} to {to}");
        }
        fill(&store, 1_000..1_000 + ENTRIES / 2);
        assert!(is_held(&store, 0), "{from} to {to}: it was asked for after the exchange");
        assert!(!is_held(&store, 1), "{from} to {to}: what was asked for before it is forgotten");
    }
}

/// Gives policies that hold what they were last told, and changes the capacity while it makes them.
#[derive(Debug)]
struct Resizing {
    store: Arc<Store>,
    told: Arc<Mutex<Vec<u64>>>,
}

#[derive(Debug)]
struct Told {
    shard: usize,
    told: Arc<Mutex<Vec<u64>>>,
}

impl PolicyFactory for Resizing {
    fn name(&self) -> &str {
        "resizing"
    }

    fn create(&self, shape: &PolicyShape) -> Box<dyn EvictionPolicy> {
        let mut told = self.told.lock().unwrap();
        told.push(shape.capacity);
        Box::new(Told { shard: told.len() - 1, told: Arc::clone(&self.told) })
    }

    fn create_all(&self, shapes: &[PolicyShape]) -> Vec<Box<dyn EvictionPolicy>> {
        let made = shapes.iter().map(|shape| self.create(shape)).collect();
        self.store.resize(ENTRIES / 2, &mut Leaving::default());
        made
    }
}

impl EvictionPolicy for Told {
    fn recording(&self) -> Recording {
        Recording::Nothing
    }

    fn victim(&mut self, _: Option<&Candidate>, _: &dyn HitMarks) -> Verdict {
        Verdict::Refuse
    }

    fn insert(&mut self, _: Slot, _: &Candidate) {}

    fn remove(&mut self, _: Slot, _: RemovalCause) {}

    fn resize(&mut self, capacity: u64) {
        self.told.lock().unwrap()[self.shard] = capacity;
    }
}

#[test]
fn a_capacity_that_changes_while_policies_are_made_is_told_to_them() {
    let mut config = StoreConfig::new(Capacity::entries(ENTRIES));
    config.shards = Some(4);
    let store = Arc::new(Store::new(config, Some(&*eviction::resolve("lru").unwrap())));
    let told = Arc::default();
    let factory = Resizing { store: Arc::clone(&store), told: Arc::clone(&told) };
    store.exchange(&factory).unwrap();
    let share = (ENTRIES / 2).div_ceil(4);
    assert_eq!(*told.lock().unwrap(), [share; 4]);
}

#[test]
fn quick_cache_cannot_be_exchanged_and_says_so() {
    let quick = Store::new(StoreConfig::new(Capacity::entries(ENTRIES)), None);
    let lru = eviction::resolve("lru").unwrap();
    let error = quick.exchange(&*lru).unwrap_err();
    assert_eq!(error.kind(), cache_enterprise_core::ErrorKind::Unsupported);
}

#[test]
fn a_policy_that_can_gives_an_account_of_an_entry() {
    let store = store("business-priority");
    put(&store, 0, Merit::new(8.0, 2), Priority::Normal);
    put(&store, 1, Merit::NORMAL, Priority::Pinned);
    let account = |key: u64| store.account(&ScopedRef { tenant: 0, key: &key });
    let gold = account(0).unwrap();
    assert!(gold.contains("class 2") && gold.contains("worth about 8"), "{gold}");
    assert!(account(1).unwrap().contains("pinned"));
    assert_eq!(account(9), None);
    for name in ["lfu", "slru", "2q", "arc", "s3-fifo", "w-tinylfu", "adaptive", "learned"] {
        exchange(&store, name);
        assert!(account(0).is_some_and(|words| !words.is_empty()), "{name}");
    }
    exchange(&store, "lru");
    assert_eq!(account(0), None, "an order says nothing of one entry");
}
