//! Stories of levels on real servers: Redis as level 2, memcached as level 3.
#![allow(clippy::unwrap_used)]

mod dying_levels_cost_their_callers_nothing;
mod level_2_is_warm_after_a_restart;
mod settings_open_three_levels;

use std::time::Duration;

use cache_enterprise::prelude::*;
use cache_enterprise::resilience::CircuitBreakerConfig;
use cache_enterprise_testkit::servers::{MemcachedServer, RedisServer};

static TEXTS: CacheSpec<u64, String> = CacheSpec::new("texts").ttl(hours(1));

/// What the origin holds under a key: long enough to be compressed.
fn text(key: u64) -> String {
    format!("{key} ").repeat(600)
}

/// A manager on both servers, which looks after a dead one more often than a service would. A call
/// to a server may take `limit`.
async fn manager(
    redis: &RedisServer,
    memcached: &MemcachedServer,
    limit: Duration,
) -> CacheManager<MessagePack> {
    let breaker = || CircuitBreakerConfig {
        recovery_timeout: ms(100),
        recovery_timeout_max: ms(200),
        ..CircuitBreakerConfig::default()
    };
    let redis = Redis::url(&redis.url()).unwrap().connect_timeout(limit);
    let redis = Tier::new(redis.read_timeout(limit).write_timeout(limit)).timeout(limit);
    let memcached = Memcached::servers([memcached.address()]).unwrap().connect_timeout(limit);
    let memcached = Tier::new(memcached.read_timeout(limit).write_timeout(limit)).timeout(limit);
    CacheManager::builder("shop")
        .l1(Capacity::entries(64))
        .l2(redis.compression(Lz4::over(1024)).breaker(breaker()))
        .l3(memcached.compression(Gzip::over(1024)).breaker(breaker()))
        .codec(MessagePack)
        .build()
        .await
        .unwrap()
}
