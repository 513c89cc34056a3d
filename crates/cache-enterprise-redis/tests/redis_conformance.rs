//! A Redis backend keeps the contract of `Backend` on every kind of server, bare and wrapped.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::{Backend, Clock, MIB, secs};
use cache_enterprise_redis::{Password, Redis};
use cache_enterprise_resilience::{BackendExt, CircuitBreakerConfig, RetryConfig, TimeoutConfig};
use cache_enterprise_testkit::conformance::Report;
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::servers::{RedisSentinels, RedisServer};

/// Small, so that the cases at the limit do not move half a gibibyte each.
const VALUE_BYTES_MAX: usize = 8 * MIB as usize;

type Wrap = fn(Arc<dyn Backend>) -> Arc<dyn Backend>;

fn bare(backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
    backend
}

/// As an engine uses it, with patience for a slow machine.
fn wrapped(backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
    let timeouts = TimeoutConfig { read: secs(20), write: secs(20), ..TimeoutConfig::default() };
    backend
        .with_timeout(timeouts)
        .with_retry(RetryConfig::default())
        .with_breaker(CircuitBreakerConfig::default(), Clock::system())
}

/// Runs the suite on one server that is emptied before each case.
async fn suite(server: &RedisServer, redis: Redis, wrap: Wrap) {
    let redis = redis.value_bytes_max(VALUE_BYTES_MAX).read_timeout(secs(20));
    let report = backend::run(|| async {
        server.cli(&["FLUSHALL"]);
        let again = redis.clone();
        Fixture::new(wrap(redis.clone().open().await.unwrap())).reopen(move || {
            let again = again.clone();
            async move { wrap(again.open().await.unwrap()) }
        })
    })
    .await;
    assert_whole(&report);
}

fn assert_whole(report: &Report) {
    report.assert_passed();
    assert!(report.ran() >= 60, "only {} cases ran", report.ran());
    assert_eq!(report.not_claimed(), 0);
}

fn url(server: &RedisServer) -> Redis {
    Redis::url(&server.url()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_passes_the_suite() {
    let server = RedisServer::start();
    suite(&server, url(&server), bare).await;
    suite(&server, url(&server), wrapped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_database_passes_the_suite() {
    let server = RedisServer::start();
    suite(&server, url(&server).database(3), bare).await;
    // The last case left its entries there and nowhere else.
    assert!(!server.cli(&["INFO", "keyspace"]).contains("db0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_tls_and_users_passes_the_suite() {
    let server = RedisServer::options().client_certificates().user("app", "secret").start();
    let files = server.certificates();
    let redis = Redis::url(&format!("rediss://{}", server.address()))
        .unwrap()
        .user("app")
        .password(Password::new("secret"))
        .ca_file(files.ca_file())
        .client_certificate(files.client_certificate_file(), files.client_key_file());
    suite(&server, redis.clone(), bare).await;
    suite(&server, redis, wrapped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_behind_sentinels_passes_the_suite() {
    let servers = RedisSentinels::start();
    let redis = Redis::sentinel(servers.master_name(), servers.sentinel_addresses()).unwrap();
    suite(servers.primary(), redis.clone(), bare).await;
    suite(servers.primary(), redis, wrapped).await;
}

/// What Redis 6.2 has: scripts and no functions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_functions_passes_the_suite_with_scripts() {
    let server = RedisServer::options()
        .arg("rename-command", "FUNCTION \"\"")
        .arg("rename-command", "FCALL \"\"")
        .start();
    suite(&server, url(&server), bare).await;
    assert!(server.cli(&["INFO", "commandstats"]).contains("cmdstat_evalsha"));
}

/// Removals that wait for replicas go over connections of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_that_wait_for_replicas_pass_the_suite() {
    let servers = RedisSentinels::start();
    let redis = Redis::sentinel(servers.master_name(), servers.sentinel_addresses()).unwrap();
    suite(servers.primary(), redis.replicated(1).pool_size(4), bare).await;
}
