//! The suite of backends on one server, bare and as an engine uses it.
#![allow(dead_code, reason = "each target uses its part")]

use std::sync::Arc;

use cache_enterprise_core::{Backend, Clock, MIB, secs};
use cache_enterprise_redis::Redis;
use cache_enterprise_resilience::{BackendExt, CircuitBreakerConfig, RetryConfig, TimeoutConfig};
use cache_enterprise_testkit::conformance::Report;
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::servers::RedisServer;

/// Small, so that the cases at the limit do not move half a gibibyte each.
const VALUE_BYTES_MAX: usize = 8 * MIB as usize;

type Wrap = fn(Arc<dyn Backend>) -> Arc<dyn Backend>;

pub(crate) fn bare(backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
    backend
}

/// As an engine uses it, with patience for a slow machine.
pub(crate) fn wrapped(backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
    let timeouts = TimeoutConfig { read: secs(20), write: secs(20), ..TimeoutConfig::default() };
    backend
        .with_timeout(timeouts)
        .with_retry(RetryConfig::default())
        .with_breaker(CircuitBreakerConfig::default(), Clock::system())
}

/// Runs the suite on one server that is emptied before each case.
pub(crate) async fn suite(server: &RedisServer, redis: Redis, wrap: Wrap) {
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
