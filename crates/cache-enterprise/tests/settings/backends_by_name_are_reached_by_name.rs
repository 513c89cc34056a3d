//! A map of backends, three levels, and calls that name one backend.

use std::sync::Arc;

use cache_enterprise::core::Format as _;
use cache_enterprise::memory::MemoryBackend;
use cache_enterprise::prelude::*;
use cache_enterprise::settings::Format;
use cache_enterprise::{Clock, Compressor, ErrorKind, Origin, Source, Wiring};
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode, Operation};

use crate::Shelf;

static TEXTS: CacheSpec<u64, String> = CacheSpec::new("texts");

/// Shelves that answer to the names of Redis and memcached.
struct World {
    clock: Clock,
    redis: Arc<ChaosBackend>,
    memcached: Arc<ChaosBackend>,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual();
        let shelf = || {
            let memory = MemoryBackend::new(Capacity::bytes(16 * MIB)).with_clock(clock.clone());
            Arc::new(ChaosBackend::new(Arc::new(memory), Seed(7)))
        };
        let (redis, memcached) = (shelf(), shelf());
        Self { clock, redis, memcached }
    }

    async fn manager(&self, yaml: &str) -> CacheManager<AnySerde> {
        let text = format!("defaults: {{ttl: 1h, jitter: 0}}\n{yaml}");
        let settings = Settings::builder().text(Format::Yaml, text).build();
        let settings = settings.unwrap_or_else(|errors| panic!("{errors}"));
        let wiring = Wiring::bare().clock(self.clock.clone());
        let wiring = wiring.backend("redis", Shelf(Arc::clone(&self.redis))).unwrap();
        let wiring = wiring.backend("memcached", Shelf(Arc::clone(&self.memcached))).unwrap();
        wiring.manager(&settings).await.unwrap()
    }

    fn puts(&self) -> [u64; 2] {
        [&self.redis, &self.memcached].map(|shelf| shelf.calls(Operation::Put))
    }
}

const MAP: &str = "default_backend: redis
backends:
  redis: {pool_size: 20, retry_attempts: 3, compression: lz4}
  memcached: {pool_size: 4, compression: gzip}
  memory: {max_size: 8MiB, ttl: 60}
";

#[tokio::test]
async fn the_default_backend_is_level_2_and_the_other_stands_beside() {
    let world = World::new();
    let manager = world.manager(MAP).await;
    assert_eq!(manager.backends(), ["memcached", "memory", "redis"]);
    manager.set("k", &1_u64).await.unwrap();
    manager.set("k", &2_u64).backend("memcached").await.unwrap();
    assert_eq!(world.puts(), [1, 1]);
    let get = async |name| manager.get::<u64>("k").backend(name).await.unwrap().map(|v| *v);
    assert_eq!((get("redis").await, get("memcached").await), (Some(1), Some(2)));
    assert_eq!(get("memory").await, None);
    let unknown = manager.get::<u64>("k").backend("disk").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Config);
    assert!(unknown.to_string().contains("known: memcached, memory, redis"), "{unknown}");

    let row = |name: &str| manager.describe().row(name).map(|row| row.value.clone());
    assert_eq!(row("l1.max_size"), Some("8 MiB".into()));
    assert_eq!(row("l2.retry.attempts"), Some("3".into()));
    assert_eq!(row("l2.pool_size"), Some("20".into()));
    assert_eq!(row("backend.memcached.pool_size"), Some("4".into()));
    let told = manager.describe().row("l2.pool_size").unwrap().origin.clone();
    assert_eq!(told, Origin::settings("text"));
}

const THREE: &str = "levels:
  - {max_size: 8MB, ttl: 1m}
  - {kind: redis, ttl: 10m}
  - {kind: memcached}
";

#[tokio::test]
async fn three_levels_each_with_its_life_and_its_compression() {
    let world = World::new();
    let manager = world.manager(THREE).await;
    let texts = manager.open(&TEXTS).unwrap();
    texts.set(&1, "a".repeat(4_000)).strict().await.unwrap();
    let copies = manager.inspect("texts", &1_u64).await.unwrap();
    let told: Vec<_> = copies.iter().map(|copy| (copy.level, copy.compressor)).collect();
    assert_eq!(told, [(2, Lz4::over(0).id()), (3, Gzip::over(0).id())], "as suits their kinds");
    assert!(copies.iter().all(|copy| copy.codec == MessagePack.id()));

    let source = async || texts.get_entry(&1).await.unwrap().map(|hit| hit.source);
    assert_eq!(source().await, Some(Source::Memory));
    world.clock.advance(secs(60));
    assert_eq!(source().await, Some(Source::Tier(2)), "level 1 keeps a minute");
    world.clock.advance(mins(10));
    assert_eq!(source().await, Some(Source::Tier(3)), "level 2 keeps ten");
    world.clock.advance(mins(50));
    assert_eq!(source().await, None, "the entry itself ends");
}

#[tokio::test]
async fn a_choice_for_all_levels_or_for_one_is_kept() {
    for (yaml, expected) in [
        (format!("{THREE}compression: {{algorithm: zstd}}\n"), [1, 1]),
        (format!("{THREE}compression: {{enabled: false}}\n"), [0, 0]),
        (THREE.replace("kind: memcached", "kind: memcached, compression: none"), [2, 0]),
        (THREE.replace("kind: redis", "kind: redis, compression: zstd"), [1, 4]),
    ] {
        let world = World::new();
        let manager = world.manager(&yaml).await;
        let texts = manager.open(&TEXTS).unwrap();
        texts.set(&1, "a".repeat(4_000)).strict().await.unwrap();
        let copies = manager.inspect("texts", &1_u64).await.unwrap();
        let told: Vec<_> = copies.iter().map(|copy| copy.compressor).collect();
        assert_eq!(told, expected, "{yaml}");
    }
}

#[tokio::test]
async fn a_listed_level_is_reached_alone_by_its_name() {
    let world = World::new();
    let yaml = "backends: {redis: {pool_size: 1}, memcached: {pool_size: 2}}\n";
    let manager = world.manager(&format!("{yaml}{THREE}")).await;
    assert_eq!(manager.backends(), ["memcached", "memory", "redis"]);
    manager.set("k", &1_u64).await.unwrap();
    assert_eq!(world.puts(), [1, 1], "a walk writes both");
    manager.set("k", &2_u64).backend("memcached").await.unwrap();
    assert_eq!(world.puts(), [1, 2]);
    assert_eq!(manager.get::<u64>("k").await.unwrap().as_deref(), Some(&1));
    assert_eq!(manager.health().await.len(), 2, "one backend is told once");
}

#[tokio::test]
async fn failing_fast_is_told_in_the_settings() {
    for (strategy, is_error) in [("fail_fast", true), ("graceful_degradation", false)] {
        let world = World::new();
        let manager = world.manager(&format!("{MAP}fallback_strategy: {strategy}\n")).await;
        world.redis.set(Mode::Fail(ErrorKind::Unavailable));
        assert_eq!(manager.get::<u64>("k").await.is_err(), is_error, "{strategy}");
    }
}
