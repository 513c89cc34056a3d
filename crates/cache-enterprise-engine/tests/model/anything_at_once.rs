//! Threads that do whatever the scheduler draws for them: two writers, each with a key of its
//! own, and two readers of both.
//!
//! It found a flight that forgot its leader's waker when it was taken; the short form of that is in
//! `late_leader_stores_over_nobody`.

use std::future::IntoFuture;

use cache_enterprise_core::{Tag, hours};
use cache_enterprise_engine::Memory;
use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::scope;

use crate::world::TAG;
use crate::{World, explore};

const CALLS: usize = 3;

fn write(world: &World, key: u64) {
    let tag = || Tag::from(TAG);
    match thread_rng().gen_range(0..6) {
        0 | 1 => world.write_and_remove(key),
        2 => world.write(key, |value| {
            block_on(world.cache.set(&key, value).tags([tag()]).into_future());
        }),
        3 => world.write(key, |_| drop(block_on(world.manager.invalidate(tag()).into_future()))),
        4 => world.write(key, |_| drop(block_on(world.cache.clear().into_future()))),
        _ => world.write(key, |_| {
            block_on(world.cache.expire(&key));
        }),
    }
}

fn read(world: &World) {
    let key = thread_rng().gen_range(0..2);
    match thread_rng().gen_range(0..8) {
        0..=3 => _ = world.fetch(key),
        4 | 5 => _ = world.look(key),
        6 => fail_to_fetch(world, key),
        _ => {
            world.clock.advance(hours(1));
            world.manager.tick();
        }
    }
}

/// A loader that fails, and whose error is shared or not; a value is checked like any other.
fn fail_to_fetch(world: &World, key: u64) {
    let oldest = world.origin.acknowledged(key);
    let fetch = world.cache.try_get_with(&key, || async { Err::<u64, _>("out of order") });
    if let Ok(value) = block_on(fetch) {
        assert!(*value >= oldest, "a failing caller got {} after {oldest}", *value);
    }
}

fn play(memory: Memory) {
    let world = World::holding(memory);
    scope(|threads| {
        for key in 0..2 {
            let world = &world;
            threads.spawn(move || (0..CALLS).for_each(|_| write(world, key)));
            threads.spawn(move || (0..CALLS).for_each(|_| read(world)));
        }
    });
    for key in 0..2 {
        assert_eq!(world.fetch(key), Some(world.origin.acknowledged(key)));
    }
}

#[test]
fn with_room_for_all() {
    explore(|| play(Memory::entries(64)));
}

#[test]
fn with_room_for_one() {
    explore(|| play(Memory::entries(1)));
}

#[test]
fn with_room_for_one_that_is_counted() {
    explore(|| play(Memory::entries(1).strategy("s3-fifo")));
}

#[test]
fn with_room_for_one_that_is_listed() {
    explore(|| play(Memory::entries(1).strategy("lru")));
}
