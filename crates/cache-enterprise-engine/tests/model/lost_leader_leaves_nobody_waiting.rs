//! Leaders and followers that are dropped: whoever still waits is served, and the next caller
//! finds no flight left behind. A caller that waits for ever is a deadlock to the checker.
//!
//! Slip it finds: a follower that was chosen to lead and leaves does not pass the lead on
//! (`Drop for Follow`).
//!
//! Panicking loaders are not here: while a thread unwinds, the checker's locks are no longer given
//! back. `tests/stories` plays them by hand.

use shuttle::thread::scope;

use crate::world::KEY;
use crate::{World, explore};

/// What holds when everybody has left.
fn nothing_is_left(world: &World) {
    world.write_and_remove(KEY);
    assert_eq!(world.read(KEY), 1);
    assert_eq!(world.look(KEY), Some(1));
}

#[test]
fn when_callers_leave() {
    explore(|| {
        let world = World::new();
        scope(|threads| {
            threads.spawn(|| world.leave_after(KEY, 1));
            threads.spawn(|| world.leave_after(KEY, 2));
            threads.spawn(|| world.read(KEY));
            threads.spawn(|| world.read(KEY));
        });
        nothing_is_left(&world);
    });
}

#[test]
fn when_the_key_is_removed_meanwhile() {
    explore(|| {
        let world = World::new();
        scope(|threads| {
            threads.spawn(|| world.leave_after(KEY, 1));
            threads.spawn(|| world.read(KEY));
            threads.spawn(|| world.read(KEY));
            threads.spawn(|| shuttle::future::block_on(world.cache.remove(&KEY)));
        });
        nothing_is_left(&world);
    });
}
