//! The harness itself: Sentinels name a primary, and another when it is gone.
#![allow(clippy::unwrap_used)]

use cache_enterprise_testkit::servers::{RedisSentinels, RedisServer};

#[test]
fn a_replica_follows_a_killed_primary() {
    let redis = RedisSentinels::start_with(RedisServer::options().password("secret"));
    assert_eq!((redis.servers().len(), redis.sentinels().len()), (3, 3));
    let old = redis.primary().address();
    assert_eq!(redis.primary().cli(&["SET", "key", "value"]), "OK");
    redis.primary().kill();
    let new = redis.await_new_primary(&old);
    assert_ne!(new.address(), old);
    assert_eq!(new.cli(&["SET", "key", "newer"]), "OK");
    redis.servers()[0].restart();
    assert_eq!(redis.primary().address(), new.address());
}
