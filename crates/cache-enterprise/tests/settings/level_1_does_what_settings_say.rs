//! Lives, limits and the switch of level 1.

use std::sync::atomic::{AtomicU32, Ordering};

use cache_enterprise::Source;
use cache_enterprise::prelude::*;

use crate::{World, one_level, two_levels};

static NUMBERS: CacheSpec<u64, u64> = CacheSpec::new("numbers");

async fn source(cache: &Cache<u64, u64>) -> Option<Source> {
    cache.get_entry(&1).await.unwrap().map(|hit| hit.source)
}

#[tokio::test]
async fn switched_off_it_answers_nothing_and_loads_are_still_shared() {
    let world = World::new();
    let cache = world.manager(two_levels().set("l1_enabled", false)).await.open(&NUMBERS).unwrap();
    let loads = AtomicU32::new(0);
    let load = || async {
        loads.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        7_u64
    };
    let (one, two) = tokio::join!(cache.get_with(&1, load), cache.get_with(&1, load));
    assert_eq!((*one, *two, loads.load(Ordering::Relaxed)), (7, 7, 1));
    for _ in 0..3 {
        assert_eq!(source(&cache).await, Some(Source::Tier(2)));
        assert!(cache.peek(&1).is_none());
    }
}

#[tokio::test]
async fn a_disk_as_the_top_level_leaves_it_off() {
    let world = World::new();
    let top = one_level().set("levels.0.kind", "shelf");
    let cache = world.manager(top).await.open(&NUMBERS).unwrap();
    cache.set(&1, 7_u64).await;
    assert_eq!(source(&cache).await, Some(Source::Tier(2)));
}

#[tokio::test]
async fn its_life_bounds_every_copy_whatever_the_spec_says() {
    static LONG: CacheSpec<u64, u64> = CacheSpec::new("long").l1_ttl(hours(1));
    let world = World::new();
    let cache = world.manager(two_levels().set("levels.0.ttl", "10s")).await.open(&LONG).unwrap();
    cache.set(&1, 7_u64).await;
    world.clock.advance(secs(10) - ms(1));
    assert_eq!(source(&cache).await, Some(Source::Memory));
    world.clock.advance(ms(1));
    assert_eq!(source(&cache).await, Some(Source::Tier(2)));
}

#[tokio::test]
async fn the_default_life_of_a_copy_yields_to_a_spec() {
    static LONG: CacheSpec<u64, u64> = CacheSpec::new("long").l1_ttl(hours(1));
    let world = World::new();
    let manager = world.manager(two_levels().set("defaults.l1_ttl", "10s")).await;
    let (short, long) = (manager.open(&NUMBERS).unwrap(), manager.open(&LONG).unwrap());
    short.set(&1, 7_u64).await;
    long.set(&1, 7_u64).await;
    world.clock.advance(secs(10));
    assert_eq!(source(&short).await, Some(Source::Tier(2)));
    assert_eq!(source(&long).await, Some(Source::Memory));
}

#[tokio::test]
async fn entries_live_idle_and_vary_as_the_defaults_say() {
    let world = World::new();
    let settings = one_level().set("defaults.ttl", "10s").set("defaults.idle", "4s");
    let cache = world.manager(settings).await.open(&NUMBERS).unwrap();
    cache.set(&1, 7_u64).await;
    for _ in 0..3 {
        world.clock.advance(secs(3));
        assert!(cache.get(&1).await.unwrap().is_some(), "it is read often enough");
    }
    world.clock.advance(secs(1));
    assert!(cache.get(&1).await.unwrap().is_none(), "its life is over");
    cache.set(&1, 7_u64).await;
    world.clock.advance(secs(4));
    assert!(cache.get(&1).await.unwrap().is_none(), "nobody read it");

    let jitter = one_level().set("defaults.ttl", "10s").set("defaults.jitter", 1);
    let cache = world.manager(jitter).await.open(&NUMBERS).unwrap();
    let mut lives = std::collections::BTreeSet::new();
    for key in 0..50 {
        cache.set(&key, 7_u64).await;
        lives.insert(cache.effective_options(&key).row("entry.life").unwrap().value.clone());
    }
    assert!(lives.len() > 10, "lives are spread: {lives:?}");
}

#[tokio::test]
async fn absence_fallback_and_patience_are_those_of_the_defaults() {
    let world = World::new();
    let settings = one_level()
        .set("defaults.ttl", "10s")
        .set("defaults.negative_ttl", "3s")
        .set("defaults.stale_if_error", "20s")
        .set("defaults.hard_timeout", "2s");
    let manager = world.manager(settings).await;
    let cache = manager.open(&NUMBERS).unwrap();
    let loads = AtomicU32::new(0);
    let absent = || async {
        loads.fetch_add(1, Ordering::Relaxed);
        None::<u64>
    };
    for (wait, expected) in [(0, 1), (2_999, 1), (1, 2)] {
        world.clock.advance(ms(wait));
        assert!(cache.get_opt_with(&2, absent).await.is_none());
        assert_eq!(loads.load(Ordering::Relaxed), expected);
    }

    cache.set(&1, 7_u64).await;
    let fails = || async { Err::<u64, _>("down") };
    world.clock.advance(secs(30) - ms(1));
    assert_eq!(cache.try_get_with(&1, fails).await.ok().as_deref(), Some(&7));
    world.clock.advance(ms(1));
    assert!(cache.try_get_with(&1, fails).await.is_err());

    let hangs = std::future::pending::<Result<u64, &str>>;
    let mut load = Box::pin(cache.try_get_with(&3, hangs));
    let mut wait = async |time| {
        world.clock.advance(time);
        manager.tick();
        tokio::select! { biased; done = &mut load => Some(done), () = std::future::ready(()) => None }
    };
    assert!(wait(ms(0)).await.is_none());
    assert!(wait(secs(2) - ms(1)).await.is_none());
    assert!(matches!(wait(ms(1)).await, Some(Err(LoadError::Timeout))));
}
