//! That a key has no value is loaded, shared and remembered like a value, and ends like one: a
//! read that begins after a write was acknowledged finds what was written.
//!
//! Slips it finds: a caller joins a flight older than its cache's epoch (`Flights::join`); what
//! is known absent is not compared with the epochs (`is_known_absent`); a removal does not forget
//! the absence (`remove_level1`).

use std::future::IntoFuture;

use shuttle::future::block_on;
use shuttle::thread::scope;

use crate::world::KEY;
use crate::{World, explore};

#[test]
fn with_a_removal() {
    explore(|| ended(|world| world.write_and_remove(KEY)));
}

#[test]
fn with_a_set() {
    explore(|| {
        ended(|world| {
            world.write(KEY, |value| {
                block_on(world.cache.set(&KEY, value).into_future());
            });
        });
    });
}

#[test]
fn with_the_end_of_its_cache() {
    explore(|| {
        ended(|world| world.write(KEY, |_| drop(block_on(world.cache.clear().into_future()))))
    });
}

fn ended(write: fn(&World)) {
    let world = World::new();
    scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                world.ask(KEY);
                world.ask(KEY);
            });
        }
        threads.spawn(|| write(&world));
    });
    assert_eq!(world.ask(KEY), Some(1));
}
