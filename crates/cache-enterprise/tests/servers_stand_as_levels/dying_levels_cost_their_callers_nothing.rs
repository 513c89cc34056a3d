//! Three levels under load, of which the lower two are killed, hung and brought back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cache_enterprise::core::BackendHealth;
use cache_enterprise::prelude::*;
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::servers::{MemcachedServer, RedisServer};
use cache_enterprise_testkit::wait::until_async;
use rand::RngExt;

use crate::{TEXTS, manager, text};

const CALLERS: u64 = 16;
const KEYS: u64 = 2_000;
/// Answers that are waited for in each phase.
const PHASE: u64 = 2_000;

/// What the callers saw.
#[derive(Debug, Default)]
struct Seen {
    answers: AtomicU64,
    errors: AtomicU64,
    wrong: AtomicU64,
    is_over: AtomicBool,
}

async fn call(texts: Cache<u64, String>, seen: Arc<Seen>, seed: Seed) {
    let mut rng = seed.rng();
    while !seen.is_over.load(Ordering::Acquire) {
        let key = rng.random_range(0..KEYS);
        match rng.random_range(0..10) {
            0 => drop(texts.set(&key, text(key)).await),
            1 => drop(texts.remove(&key).await),
            _ => {
                let load = || async { Ok::<_, std::fmt::Error>(text(key)) };
                match texts.try_get_with(&key, load).await {
                    Ok(value) if *value == text(key) => {}
                    Ok(_) => drop(seen.wrong.fetch_add(1, Ordering::Relaxed)),
                    Err(_) => drop(seen.errors.fetch_add(1, Ordering::Relaxed)),
                }
                if texts.get(&key).await.is_err() {
                    seen.errors.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        seen.answers.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
}

/// Waits until the callers have had so many more answers.
async fn phase(seen: &Seen, what: &str) {
    let before = seen.answers.load(Ordering::Relaxed);
    for step in 1..=4 {
        // In parts, each with the patience of a wait: an outage makes single answers slow.
        let wanted = before + step * PHASE / 4;
        until_async(what, async || seen.answers.load(Ordering::Relaxed) >= wanted).await;
    }
}

async fn until_up(manager: &CacheManager<MessagePack>, level: u8) {
    let is_up = async || {
        let health = manager.health().await;
        health.iter().any(|one| one.level == level && one.health == BackendHealth::Up)
    };
    until_async("the level is up again", is_up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_get_values_and_no_errors() {
    let seed = Seed::from_env_or(23);
    let _printed = seed.print_on_panic();
    let (redis, memcached) = (RedisServer::start(), MemcachedServer::start());
    let manager = manager(&redis, &memcached, ms(500)).await;
    let texts = manager.open(&TEXTS).unwrap();
    let seen = Arc::new(Seen::default());
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let seed = Seed(seed.0.wrapping_add(caller));
        callers.spawn(call(texts.clone(), Arc::clone(&seen), seed));
    }
    phase(&seen, "the callers are at work").await;

    redis.kill();
    phase(&seen, "the callers go on without Redis").await;
    redis.restart();
    until_up(&manager, 2).await;
    phase(&seen, "the callers go on with Redis").await;

    memcached.pause();
    phase(&seen, "the callers go on with memcached hung").await;
    memcached.resume();
    memcached.kill();
    redis.pause();
    phase(&seen, "the callers go on with level 1 alone").await;
    redis.resume();
    memcached.restart();
    until_up(&manager, 2).await;
    until_up(&manager, 3).await;
    phase(&seen, "the callers go on with all levels").await;

    seen.is_over.store(true, Ordering::Release);
    callers.join_all().await;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!((count(&seen.errors), count(&seen.wrong)), (0, 0), "{seen:?}");
    for stats in manager.tier_stats() {
        // While Redis is away nobody can be asked for the epochs, and memcached is not believed.
        let has_answered = stats.hits > 0 || stats.level == 3;
        assert!(stats.failures > 0 && has_answered && stats.puts > 0, "{stats:?}");
    }
}
