//! A tier that hangs, fails or is slow costs its callers its deadline, then is left alone and
//! reported.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_enterprise_core::{BackendHealth, Clock, mins, ms, secs};
use cache_enterprise_engine::{CacheSpec, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::chaos::{self, ChaosBackend};
use cache_enterprise_testkit::{ModelBackend, Seed};
use tokio::time::Instant;

use crate::scripted::Mode;
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

#[tokio::test(start_paused = true)]
async fn every_call_returns_in_bounded_time_and_the_loader_answers() {
    let (clock, disk) = (Clock::manual(), tier("disk"));
    let level = Tier::new(disk.clone()).timeout(ms(100));
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    disk.set(Mode::Hang);
    for key in 0..50_u64 {
        let begun = Instant::now();
        assert_eq!(*cache.get_with(&key, || async move { key }).await, key);
        assert!(begun.elapsed() <= ms(500), "a read and a write, each tried twice at most");
    }
    let calls = disk.calls.load(Ordering::SeqCst);
    assert!(calls < 100, "the tier is left alone after {calls} calls");
    let health = manager.health().await;
    assert_ne!(health[0].health, BackendHealth::Up);
    assert!(manager.tier_stats()[0].failures >= 50);
}

#[tokio::test(start_paused = true)]
async fn a_failing_tier_is_passed_over_and_the_next_is_asked() {
    let clock = Clock::manual();
    let (upper, lower) = (tier("upper"), tier("lower"));
    let manager = builder(&clock).l2(upper.clone()).l3(lower.clone()).codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    set(&cache, 1, 7).await;
    cache.drop_level1();
    upper.set(Mode::Fail);
    assert_eq!(get(&cache, 1).await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_slow_tier_costs_its_deadline_and_the_load() {
    const LOAD: Duration = ms(30);
    let clock = Clock::manual();
    let slow = Arc::new(ChaosBackend::new(Arc::new(ModelBackend::new(clock.clone())), Seed(1)));
    let level = Tier::new(slow.clone()).timeout(ms(100));
    let manager = builder(&clock).l2(level).codec(MessagePack).build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    slow.set(chaos::Mode::Slow(secs(2)));
    let mut times = Vec::new();
    for key in 0..200_u64 {
        let begun = Instant::now();
        let load = || async {
            tokio::time::advance(LOAD).await;
            key
        };
        assert_eq!(*cache.get_with(&key, load).await, key);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    assert!(times[197] <= LOAD + ms(100), "99 of 100: {:?}", times[197]);
    assert!(times[199] <= LOAD + ms(500), "a read and a write, each tried twice at most");
}
