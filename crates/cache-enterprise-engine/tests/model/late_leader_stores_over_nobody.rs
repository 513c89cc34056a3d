//! A leader that is not polled loses its flight. Its followers load anew; when it comes back at
//! last its value is its own caller's alone.
//!
//! Slips it finds: a flight that is taken forgets its leader's waker (`Flight::finish`; this one
//! was real); `remove_level1` does not detach; `Lead::land` stores without its lock.

use std::task::{Context, Waker};

use cache_enterprise_core::hours;
use shuttle::future::block_on;
use shuttle::thread::scope;

use crate::world::KEY;
use crate::{World, explore};

#[test]
fn whenever_it_comes_back() {
    explore(|| {
        let world = World::new();
        let mut late = Box::pin(world.cache.get_with(&KEY, || world.origin.load(KEY)));
        assert!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        scope(|threads| {
            threads.spawn(|| world.read(KEY));
            threads.spawn(|| world.read(KEY));
            threads.spawn(|| {
                world.clock.advance(hours(1));
                world.manager.tick();
                world.write_and_remove(KEY);
            });
            threads.spawn(|| assert!(*block_on(late) <= 1));
        });
        assert_eq!(world.read(KEY), 1);
    });
}

#[test]
fn while_nothing_but_time_ends_its_flight() {
    explore(|| {
        let world = World::new();
        let mut late = Box::pin(world.cache.get_with(&KEY, || world.origin.load(KEY)));
        assert!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        scope(|threads| {
            threads.spawn(|| world.read(KEY));
            threads.spawn(|| world.read(KEY));
            threads.spawn(|| {
                world.clock.advance(hours(1));
                world.manager.tick();
            });
        });
        // The followers were served without it.
        assert_eq!(world.look(KEY), Some(0));
        assert_eq!(world.origin.loads(), 2);
        assert_eq!(*block_on(late), 0);
    });
}

#[test]
fn and_hears_its_loader_though_its_flight_was_taken() {
    explore(|| {
        let world = World::new();
        scope(|threads| {
            threads.spawn(|| world.read(KEY));
            threads.spawn(|| world.read(KEY));
            threads.spawn(|| {
                world.clock.advance(hours(1));
                world.manager.tick();
            });
        });
    });
}
