//! A writer changes the origin and then removes the key; a read that begins after the removal
//! returned never sees the value from before it, whoever loaded it and whenever that landed.
//!
//! Slips it finds: `remove_level1` does not detach the key's flight, or empties level 1 before it
//! takes the key's lock; `Lead::land` lets the lock go between asking and storing.

use shuttle::thread::scope;

use crate::world::KEY;
use crate::{World, explore};

#[test]
fn by_readers_that_load() {
    explore(|| {
        let world = World::new();
        scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    world.read(KEY);
                    world.read(KEY);
                });
            }
            threads.spawn(|| {
                world.write_and_remove(KEY);
                world.write_and_remove(KEY);
            });
        });
        assert_eq!(world.read(KEY), 2);
        assert_eq!(world.look(KEY), Some(2));
    });
}

#[test]
fn by_readers_that_look_into_level_1() {
    explore(|| {
        let world = World::new();
        scope(|threads| {
            threads.spawn(|| world.read(KEY));
            threads.spawn(|| {
                world.look(KEY);
                world.look(KEY);
            });
            threads.spawn(|| world.write_and_remove(KEY));
        });
        assert!(world.look(KEY).is_none_or(|value| value == 1));
    });
}

#[test]
fn by_readers_of_a_level_1_that_has_no_room() {
    explore(|| {
        let world = World::holding(cache_enterprise_core::Capacity::entries(1));
        scope(|threads| {
            threads.spawn(|| {
                world.read(KEY);
                world.read(0);
            });
            threads.spawn(|| {
                world.read(0);
                world.read(KEY);
            });
            threads.spawn(|| world.write_and_remove(KEY));
        });
        assert_eq!(world.read(KEY), 1);
        assert!(world.cache.stats().store.entries <= 1);
    });
}
