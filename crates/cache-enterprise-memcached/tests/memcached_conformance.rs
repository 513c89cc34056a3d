//! The memcached backend keeps the contract of `Backend` by every protocol, bare and wrapped.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::{Backend, Clock, secs};
use cache_enterprise_memcached::{Memcached, Password, Protocol};
use cache_enterprise_resilience::{BackendExt, CircuitBreakerConfig, RetryConfig, TimeoutConfig};
use cache_enterprise_testkit::conformance::Report;
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::servers::MemcachedServer;

/// What the suite may take for a loss is an eviction: the servers have room for all of it.
const MEMORY_MB: u32 = 256;

fn plain() -> MemcachedServer {
    MemcachedServer::options().memory_mb(MEMORY_MB).start()
}

fn start(count: usize) -> Vec<MemcachedServer> {
    (0..count).map(|_| plain()).collect()
}

/// Runs the suite on servers that are emptied before each case.
async fn suite(
    servers: &[MemcachedServer],
    shape: impl Fn(Memcached) -> Memcached,
    wrap: fn(Arc<dyn Backend>, Clock) -> Arc<dyn Backend>,
) -> Report {
    let addresses: Vec<_> = servers.iter().map(MemcachedServer::address).collect();
    let empty = || servers.iter().for_each(|server| assert_eq!(server.ask("flush_all"), "OK"));
    suite_after(empty, || shape(Memcached::servers(&addresses).unwrap()), wrap).await
}

async fn suite_after(
    empty: impl Fn(),
    make: impl Fn() -> Memcached,
    wrap: fn(Arc<dyn Backend>, Clock) -> Arc<dyn Backend>,
) -> Report {
    backend::run(|| async {
        empty();
        let clock = Clock::manual();
        // The suite asks for answers, not for speed: a busy machine has all the time it needs.
        let patient =
            make().connect_timeout(secs(20)).read_timeout(secs(20)).write_timeout(secs(20));
        let backend = patient.clock(clock.clone()).open().unwrap();
        Fixture::new(wrap(Arc::new(backend), clock.clone())).clock(clock)
    })
    .await
}

fn bare(backend: Arc<dyn Backend>, _: Clock) -> Arc<dyn Backend> {
    backend
}

fn wrapped(backend: Arc<dyn Backend>, clock: Clock) -> Arc<dyn Backend> {
    let patient = TimeoutConfig { read: secs(20), write: secs(20), ..TimeoutConfig::default() };
    backend
        .with_timeout(patient)
        .with_retry(RetryConfig::default())
        .with_breaker(CircuitBreakerConfig::default(), clock)
}

fn assert_whole(report: &Report) {
    report.assert_passed();
    assert!(report.ran() >= 60, "only {} cases ran", report.ran());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_by_the_meta_protocol() {
    let servers = start(1);
    assert_whole(&suite(&servers, |memcached| memcached, bare).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_of_different_weight_by_the_meta_protocol_behind_the_whole_stack() {
    let servers = start(3);
    assert_whole(&suite(&servers, |memcached| memcached, wrapped).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_by_the_binary_protocol() {
    let servers = start(2);
    assert_whole(&suite(&servers, |memcached| memcached.binary_protocol(true), bare).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_by_the_text_protocol_behind_the_whole_stack() {
    let servers = start(1);
    let ascii = |memcached: Memcached| memcached.protocol(Protocol::Ascii);
    assert_whole(&suite(&servers, ascii, wrapped).await);
}

/// A server with SASL speaks the binary protocol alone, so nobody but a client of ours could empty
/// it: it is started anew instead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_with_sasl() {
    let server = MemcachedServer::options().memory_mb(MEMORY_MB).sasl("shop", "canary").start();
    let with_password = || {
        let servers = Memcached::servers([server.address()]).unwrap();
        servers.user("shop").password(Password::new("canary"))
    };
    assert_whole(&suite_after(|| server.restart(), with_password, bare).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_with_sasl_behind_the_whole_stack() {
    let server = MemcachedServer::options().memory_mb(MEMORY_MB).sasl("shop", "canary").start();
    let with_password = || {
        let servers = Memcached::servers([server.address()]).unwrap();
        servers.user("shop").password(Password::new("canary"))
    };
    assert_whole(&suite_after(|| server.restart(), with_password, wrapped).await);
}
