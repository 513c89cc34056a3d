//! A Redis backend keeps the contract of `Backend` on a primary behind Sentinel, bare and wrapped.
#![allow(clippy::unwrap_used)]

#[path = "support/suite.rs"]
mod suites;

use cache_enterprise_redis::Redis;
use cache_enterprise_testkit::servers::RedisSentinels;

use suites::{bare, suite, wrapped};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_behind_sentinels_passes_the_suite() {
    let servers = RedisSentinels::start();
    let redis = Redis::sentinel(servers.master_name(), servers.sentinel_addresses()).unwrap();
    suite(servers.primary(), redis.clone(), bare).await;
    suite(servers.primary(), redis, wrapped).await;
}

/// Removals that wait for replicas go over connections of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_that_wait_for_replicas_pass_the_suite() {
    let servers = RedisSentinels::start();
    let redis = Redis::sentinel(servers.master_name(), servers.sentinel_addresses()).unwrap();
    suite(servers.primary(), redis.replicated(1).pool_size(4), bare).await;
}
