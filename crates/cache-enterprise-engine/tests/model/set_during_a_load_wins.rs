//! A value that is set while a load runs stays: the load's value serves its own callers alone.
//!
//! Slips it finds: `set_level1` does not detach the key's flight; `Lead::land` lets the lock go
//! between asking and storing.

use std::future::IntoFuture;

use shuttle::future::block_on;
use shuttle::sync::mpsc::channel;
use shuttle::thread::scope;

use crate::world::KEY;
use crate::{World, explore};

#[test]
fn whenever_the_load_lands() {
    explore(|| {
        let world = World::new();
        let (begins, begun) = channel();
        scope(|threads| {
            threads.spawn(|| {
                let loader = || {
                    begins.send(()).unwrap();
                    world.origin.load(KEY)
                };
                block_on(world.cache.get_with(&KEY, loader));
            });
            threads.spawn(|| {
                begun.recv().unwrap();
                // The origin is not told: only the set itself can make the value stay.
                block_on(world.cache.set(&KEY, 9_u64).into_future());
                assert_eq!(world.look(KEY), Some(9));
                assert_eq!(world.read(KEY), 9);
            });
        });
        assert_eq!(world.look(KEY), Some(9));
    });
}

#[test]
fn and_of_two_sets_the_one_with_the_higher_number_stays() {
    explore(|| {
        let world = World::new();
        scope(|threads| {
            let set = |value: u64| {
                let world = &world;
                move || {
                    let outcome = block_on(world.cache.set(&KEY, value).into_future());
                    let held = block_on(world.cache.get_entry(&KEY)).unwrap().unwrap();
                    let is_stored = outcome == cache_enterprise_core::SetOutcome::Stored;
                    assert!(is_stored || *held.value != value, "fenced, and yet served");
                    held.version
                }
            };
            let (one, two) = (threads.spawn(set(1)), threads.spawn(set(2)));
            threads.spawn(|| world.read(KEY));
            let seen = one.join().unwrap().max(two.join().unwrap());
            let held = block_on(world.cache.get_entry(&KEY)).unwrap().unwrap();
            assert!(held.version >= seen, "an older set replaced a newer one");
            assert_ne!(*held.value, 0, "a load replaced a set");
        });
    });
}
