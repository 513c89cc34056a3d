//! Stories of levels on real servers: Redis as level 2, memcached as level 3.
#![allow(clippy::unwrap_used)]

mod dying_levels_cost_their_callers_nothing;
mod level_2_is_warm_after_a_restart;
mod settings_open_three_levels;

use cache_enterprise::prelude::*;
use cache_enterprise::resilience::CircuitBreakerConfig;
use cache_enterprise_testkit::servers::{MemcachedServer, RedisServer};

static TEXTS: CacheSpec<u64, String> = CacheSpec::new("texts").ttl(hours(1));

/// What the origin holds under a key: long enough to be compressed.
fn text(key: u64) -> String {
    format!("{key} ").repeat(600)
}

/// A manager on both servers, which looks after a dead one more often than a service would.
async fn manager(redis: &RedisServer, memcached: &MemcachedServer) -> CacheManager<MessagePack> {
    let breaker = || CircuitBreakerConfig {
        recovery_timeout: ms(100),
        recovery_timeout_max: ms(200),
        ..CircuitBreakerConfig::default()
    };
    let redis = Tier::new(Redis::url(&redis.url()).unwrap()).breaker(breaker());
    let memcached = Tier::new(Memcached::servers([memcached.address()]).unwrap());
    CacheManager::builder("shop")
        .l1(Capacity::entries(64))
        .l2(redis.compression(Lz4::over(1024)))
        .l3(memcached.compression(Gzip::over(1024)).breaker(breaker()))
        .codec(MessagePack)
        .build()
        .await
        .unwrap()
}
