//! Level 2 outlives the process that filled it, and level 3 outlives what level 2 let go. A level 2
//! that forgets the epochs with the values leaves nothing that could be believed.

use std::time::Duration;

use cache_enterprise::prelude::*;
use cache_enterprise::{Compressor, Source};
use cache_enterprise_testkit::servers::{MemcachedServer, RedisServer};

use crate::{TEXTS, manager, text};

const KEYS: u64 = 200;
/// Nothing hangs here: a busy machine makes calls wait and not fail.
const PATIENCE: Duration = secs(20);

/// Where the keys are found by a manager that is new, each with its value.
async fn sources(redis: &RedisServer, memcached: &MemcachedServer) -> Vec<Option<Source>> {
    let manager = manager(redis, memcached, PATIENCE).await;
    let texts = manager.open(&TEXTS).unwrap();
    let mut sources = Vec::new();
    for key in 0..KEYS {
        let hit = texts.get_entry(&key).await.unwrap();
        if let Some(hit) = &hit {
            assert_eq!(*hit.value, text(key));
        }
        sources.push(hit.map(|hit| hit.source));
    }
    assert!(manager.shutdown(secs(60)).await.is_clean());
    sources
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_is_found_by_the_next_process() {
    let (redis, memcached) = (RedisServer::start(), MemcachedServer::start());
    let first = manager(&redis, &memcached, PATIENCE).await;
    let texts = first.open(&TEXTS).unwrap();
    for key in 0..KEYS {
        texts.set(&key, text(key)).strict().await.unwrap();
    }
    let copies = first.inspect("texts", &7_u64).await.unwrap();
    let told: Vec<_> = copies.iter().map(|copy| (copy.level, copy.compressor)).collect();
    assert_eq!(told, [(2, Lz4::over(0).id()), (3, Gzip::over(0).id())]);
    assert!(first.shutdown(secs(60)).await.is_clean());

    let all_are = |sources: &[Option<Source>], expected: Option<Source>| {
        assert!(sources.iter().all(|source| *source == expected), "{sources:?}");
    };
    all_are(&sources(&redis, &memcached).await, Some(Source::Tier(2)));

    // The values alone are gone, as after an eviction: level 3 fills level 2 again.
    let values = redis.cli(&["KEYS", "*:texts:*"]);
    redis.cli(&[&["DEL"], &values.lines().collect::<Vec<_>>()[..]].concat());
    all_are(&sources(&redis, &memcached).await, Some(Source::Tier(3)));
    all_are(&sources(&redis, &memcached).await, Some(Source::Tier(2)));

    // A Redis that keeps nothing on disk comes back without the epochs too: what level 3 holds may
    // have been invalidated, and nobody could tell.
    redis.kill();
    redis.restart();
    all_are(&sources(&redis, &memcached).await, None);
}
