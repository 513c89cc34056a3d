//! A group's epoch raised while loads run, land and are hit: a read that begins after the
//! invalidation was acknowledged never sees a value loaded before it.
//!
//! Slips it finds: `recheck` reads the change counter after the epochs; `TenantEpochs::raise`
//! moves the counter before it writes the epoch; a follower takes what landed without comparing
//! it with the epochs (`accept`).

use std::future::IntoFuture;

use cache_enterprise_core::Tag;
use shuttle::future::block_on;
use shuttle::thread::scope;

use crate::world::{KEY, TAG};
use crate::{World, explore};

fn invalidate_tag(world: &World) {
    block_on(world.manager.invalidate(Tag::from(TAG)).into_future());
}

#[test]
fn of_a_tag() {
    explore(|| raised(invalidate_tag));
}

#[test]
fn of_a_cache() {
    explore(|| raised(|world| drop(block_on(world.cache.clear().into_future()))));
}

#[test]
fn of_a_tenant() {
    explore(|| raised(|world| drop(block_on(world.manager.clear().into_future()))));
}

fn raised(raise: fn(&World)) {
    let world = World::new();
    scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                world.fetch(KEY);
                world.look(KEY);
                world.fetch(KEY);
            });
        }
        threads.spawn(|| {
            world.write(KEY, |_| raise(&world));
            world.write(KEY, |_| raise(&world));
        });
    });
    assert_eq!(world.fetch(KEY), Some(2));
    assert_eq!(world.look(KEY), Some(2));
}

#[test]
fn of_a_tag_on_a_value_that_was_set() {
    explore(|| {
        let world = World::new();
        scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    world.look(KEY);
                    world.fetch(KEY);
                });
            }
            threads.spawn(|| {
                world.write(KEY, |value| {
                    let set = world.cache.set(&KEY, value).tags([Tag::from(TAG)]);
                    block_on(set.into_future());
                });
                world.write(KEY, |_| invalidate_tag(&world));
            });
        });
        assert_eq!(world.fetch(KEY), Some(2));
    });
}
