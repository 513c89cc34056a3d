//! Each way to ask for levels, on real servers.

use cache_enterprise::compat::{DistributedCache, LevelSpec};
use cache_enterprise::core::{BackendConfig, BackendOption, CacheLevel};
use cache_enterprise::prelude::*;
use cache_enterprise::settings::Format;
use cache_enterprise::{Compressor, Source};
use cache_enterprise_testkit::servers::{MemcachedServer, RedisServer};

use crate::{TEXTS, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_with_a_default_backend_and_one_beside_it() {
    let (redis, memcached) = (RedisServer::start(), MemcachedServer::start());
    let yaml = format!(
        "CACHE_CONFIG:
  default_backend: redis
  backends:
    redis: {{url: 'redis://{}/0', pool_size: 20, retry_attempts: 3, compression: lz4}}
    memcached: {{servers: ['{}'], binary_protocol: true, compression: gzip}}
    memory: {{max_size: 64MB, ttl: 60, eviction_policy: default}}
PERFORMANCE_CONFIG: {{pipeline_size: 100, connection_pool_size: 20}}
timeouts: {{read: 20s, write: 20s}}
",
        redis.address(),
        memcached.address()
    );
    let settings = Settings::builder().text(Format::Yaml, yaml).build().unwrap();
    let manager = CacheManager::from_settings(settings).await.unwrap();
    manager.set("k", &text(1)).ttl(mins(5)).await.unwrap();
    assert_eq!(memcached.stat("curr_items"), 0, "it stands beside the levels");
    manager.set("k", &text(2)).ttl(mins(5)).backend("memcached").await.unwrap();
    assert!(memcached.stat("curr_items") > 0);
    let get = async |name| manager.get::<String>("k").backend(name).await.unwrap();
    assert_eq!(get("redis").await.as_deref(), Some(&text(1)));
    assert_eq!(get("memcached").await.as_deref(), Some(&text(2)));
    memcached.kill();
    assert_eq!(get("memcached").await, None, "nobody answers for it");
    assert_eq!(get("redis").await.as_deref(), Some(&text(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_three_levels() {
    let (redis, memcached) = (RedisServer::start(), MemcachedServer::start());
    let yaml = format!(
        "backends: {{redis: {{url: '{}'}}, memcached: {{servers: ['{}']}}}}
levels: [{{max_size: 8MiB}}, {{kind: redis, ttl: 10m}}, {{kind: memcached}}]
timeouts: {{read: 20s, write: 20s}}
",
        redis.url(),
        memcached.address()
    );
    let settings = Settings::builder().text(Format::Yaml, yaml).build().unwrap();
    let manager = CacheManager::from_settings(settings).await.unwrap();
    let texts = manager.open(&TEXTS).unwrap();
    texts.set(&1, text(1)).strict().await.unwrap();
    let copies = manager.inspect("texts", &1_u64).await.unwrap();
    let told: Vec<_> = copies.iter().map(|copy| (copy.level, copy.compressor)).collect();
    assert_eq!(told, [(2, Lz4::over(0).id()), (3, Gzip::over(0).id())]);
    assert!(copies[0].kept_for.is_some_and(|life| life > mins(59)), "the entry's own life");
    let value = redis.cli(&["KEYS", "*:texts:*"]);
    redis.cli(&["DEL", value.trim()]);
    texts.drop_level1();
    let source = async || texts.get_entry(&1).await.unwrap().unwrap().source;
    assert_eq!(source().await, Source::Tier(3));
    texts.drop_level1();
    assert_eq!(source().await, Source::Tier(2), "the hit below filled level 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_level_specs_and_a_single_backend() {
    let (redis, memcached) = (RedisServer::start(), MemcachedServer::start());
    let json = format!(
        r#"[{{"type":"memory","size":"100MB","ttl":60}},{{"type":"redis","url":"{}"}},
            {{"type":"memcached","servers":["{}"]}}]"#,
        redis.url(),
        memcached.address()
    );
    let levels: Vec<LevelSpec> = serde_json::from_str(&json).unwrap();
    let cache = DistributedCache::from_levels(levels).await.unwrap();
    let data = vec![1_u64, 2, 3];
    let place = async || cache.set("popular_tracks", &data).ttl(mins(5)).multi_level().await;
    let placed = place().await.unwrap();
    assert_eq!(placed.levels, [CacheLevel::L3], "nobody asked for it yet");
    for _ in 0..4 {
        let found = cache.get::<Vec<u64>>("popular_tracks").await.unwrap();
        assert_eq!(found.as_deref(), Some(&data));
    }
    let placed = place().await.unwrap();
    assert_eq!(placed.levels, [CacheLevel::L1, CacheLevel::L2, CacheLevel::L3], "{placed:?}");

    let config = BackendConfig::new("redis").option("url", BackendOption::Text(redis.url()));
    let one = CacheManager::with_backend("redis", &config).await.unwrap();
    one.set("user:1", &String::from("Ada")).ttl(hours(1)).await.unwrap();
    assert_eq!(one.backends(), ["memory", "redis"]);
    let names: Vec<_> = one.health().await.into_iter().map(|level| level.name).collect();
    assert_eq!(names, ["redis"]);
}
