//! The listener hears causes, off every lock, and never blocks the store.
#![allow(clippy::unwrap_used)]

mod strategies;

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use cache_enterprise_core::{
    Cached, Capacity, Dates, Entry, LocalStore, RemovalCause, Scoped, ScopedRef, Sequence,
    SetOutcome, secs,
};
use cache_enterprise_memory::{LISTENER_QUEUE_MAX, Leaving, Level1Store, Listener, StoreConfig};

use strategies::{Strategy, one_of_each_kind};

type Store = Level1Store<u64, u64>;

const PATIENCE: Duration = Duration::from_secs(30);

fn store(kind: &Strategy, capacity: Capacity, listener: Listener<u64, u64>) -> Store {
    let mut config = StoreConfig::new(capacity);
    config.shards = Some(1);
    config.listener = Some(listener);
    kind.open(config)
}

fn put(store: &Store, key: u64, weight: usize, leaving: &mut Leaving<u64, u64>) -> SetOutcome {
    let dates = Dates::lasting(0, Some(secs(1)));
    let entry = Entry::new(key, Sequence(1), 0, dates).with_weight(weight);
    store.insert(Scoped { tenant: 0, key }, Arc::new(entry), leaving)
}

/// A listener that passes on what it hears.
fn reporter(heard: Sender<(u64, RemovalCause)>) -> Listener<u64, u64> {
    let heard = Mutex::new(heard);
    Arc::new(move |key: &u64, value: &Cached<u64>, cause| {
        assert_eq!(key, &**value);
        let _ = heard.lock().unwrap().send((*key, cause));
    })
}

#[test]
fn each_departure_is_told_with_its_cause() {
    one_of_each_kind().iter().for_each(tell_each_departure_in);
}

fn tell_each_departure_in(kind: &Strategy) {
    let (sender, heard) = channel();
    let store = store(kind, Capacity::bytes(1_000), reporter(sender));
    let mut leaving = Leaving::default();
    let expect = |key, cause| {
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (key, cause));
    };
    put(&store, 1, 100, &mut leaving);
    put(&store, 1, 100, &mut leaving);
    expect(1, RemovalCause::Replaced);
    store.remove(&ScopedRef { tenant: 0, key: &1 }, RemovalCause::Removed, &mut leaving);
    expect(1, RemovalCause::Removed);
    put(&store, 2, 100, &mut leaving);
    store.retain(|_, _| false, RemovalCause::Invalidated, &mut leaving);
    expect(2, RemovalCause::Invalidated);
    put(&store, 3, 100, &mut leaving);
    store.turn(1_000, &mut leaving);
    expect(3, RemovalCause::Expired);
    put(&store, 4, 100, &mut leaving);
    assert_eq!(put(&store, 4, 900, &mut leaving), SetOutcome::Refused);
    expect(4, RemovalCause::Replaced);
    put(&store, 5, 200, &mut leaving);
    store.resize(100, &mut leaving);
    expect(5, RemovalCause::Evicted);
    assert_eq!(leaving.len(), 1, "only the refused entry is left to the caller");
}

#[test]
fn a_sleeping_listener_holds_no_writer_and_what_it_misses_is_counted() {
    one_of_each_kind().iter().for_each(sleep_in);
}

fn sleep_in(kind: &Strategy) {
    let (release, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let store = store(
        kind,
        Capacity::entries(10),
        Arc::new(move |_: &u64, _: &Cached<u64>, _| {
            // Waits until the test lets it go: a listener that never comes back.
            let _ = gate.lock().unwrap().recv();
        }),
    );
    let writes = 10 + LISTENER_QUEUE_MAX as u64 + 5_000;
    for key in 0..writes {
        put(&store, key, 1, &mut Leaving::default());
    }
    assert!(store.untold() >= 4_990, "{} untold", store.untold());
    assert_eq!(store.len(), 10);
    drop(release);
}

#[test]
fn a_listener_may_call_the_cache() {
    one_of_each_kind().iter().for_each(call_back_in);
}

fn call_back_in(kind: &Strategy) {
    let (sender, heard) = channel();
    let sender = Mutex::new(sender);
    let shared = Arc::new(Mutex::new(Weak::<Store>::new()));
    let inner = Arc::clone(&shared);
    let made = Arc::new(store(
        kind,
        Capacity::entries(10),
        Arc::new(move |key: &u64, _: &Cached<u64>, _| {
            let Some(store) = inner.lock().unwrap().upgrade() else { return };
            if *key < 1_000 {
                put(&store, key + 1_000_000, 1, &mut Leaving::default());
            }
            let _ = sender.lock().unwrap().send(*key);
        }),
    ));
    *shared.lock().unwrap() = Arc::downgrade(&made);
    for key in 0..500 {
        put(&made, key, 1, &mut Leaving::default());
    }
    let heard_back = std::iter::from_fn(|| heard.recv_timeout(PATIENCE).ok());
    assert!(heard_back.take(600).any(|key| key >= 1_000_000));
}

#[test]
fn a_panicking_listener_hears_the_next_departure() {
    one_of_each_kind().iter().for_each(panic_once_in);
}

fn panic_once_in(kind: &Strategy) {
    let (sender, heard) = channel();
    let sender = Mutex::new(sender);
    let store = store(
        kind,
        Capacity::entries(10),
        Arc::new(move |key: &u64, _: &Cached<u64>, _| {
            assert_ne!(*key, 1, "the panic this test wants to see");
            let _ = sender.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).send(*key);
        }),
    );
    for key in [1, 2] {
        put(&store, key, 1, &mut Leaving::default());
        store.remove(
            &ScopedRef { tenant: 0, key: &key },
            RemovalCause::Removed,
            &mut Leaving::default(),
        );
    }
    assert_eq!(heard.recv_timeout(PATIENCE), Ok(2));
}
