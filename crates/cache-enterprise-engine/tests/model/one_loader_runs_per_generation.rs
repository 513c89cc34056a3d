//! Callers of one key share one load until a removal begins the next generation.
//!
//! Slips it finds: a new flight starts without a look into level 1 under the key's lock (`join` in
//! `flight.rs`); the look in `lead` alone comes too late for a removal in between;
//! `Lead::land` lets the lock go between leaving the flight map and storing.

use shuttle::thread::scope;

use crate::world::KEY;
use crate::{World, explore};

#[test]
fn callers_of_a_cold_key_call_one_loader() {
    explore(|| {
        let world = World::new();
        scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| world.read(KEY));
            }
        });
        assert_eq!(world.origin.loads(), 1);
        assert_eq!(world.cache.stats().loads, 1);
    });
}

#[test]
fn each_removal_allows_one_more() {
    explore(|| {
        let world = World::new();
        scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    world.read(KEY);
                    world.read(KEY);
                });
            }
            threads.spawn(|| world.write_and_remove(KEY));
        });
        assert!(world.origin.loads() <= 2, "{} loads", world.origin.loads());
        assert!(world.origin.most_at_once() <= 2);
    });
}

#[test]
fn callers_of_two_keys_do_not_wait_for_each_other_s_loader() {
    explore(|| {
        let world = World::new();
        scope(|threads| {
            for key in [KEY, 0, KEY, 0] {
                let world = &world;
                threads.spawn(move || world.read(key));
            }
        });
        assert_eq!(world.origin.loads(), 2);
    });
}
