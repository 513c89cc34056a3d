//! A Redis backend keeps the contract of `Backend` on a cluster.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::{Backend, Clock, MIB, secs};
use cache_enterprise_redis::Redis;
use cache_enterprise_resilience::{BackendExt, CircuitBreakerConfig, RetryConfig, TimeoutConfig};
use cache_enterprise_testkit::conformance::Report;
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::servers::RedisCluster;

/// Small, so that the cases at the limit do not move half a gibibyte each.
const VALUE_BYTES_MAX: usize = 8 * MIB as usize;

/// Runs the suite on a cluster that is emptied before each case.
async fn suite(cluster: &RedisCluster, wrap: fn(Arc<dyn Backend>) -> Arc<dyn Backend>) -> Report {
    let redis = Redis::cluster(cluster.urls()).unwrap().value_bytes_max(VALUE_BYTES_MAX);
    let redis = redis.read_timeout(secs(20)).write_timeout(secs(20));
    backend::run(|| async {
        for master in cluster.running().filter(|node| node.cli(&["ROLE"]).starts_with("master")) {
            master.cli(&["FLUSHALL"]);
        }
        let again = redis.clone();
        Fixture::new(wrap(redis.clone().open().await.unwrap())).reopen(move || {
            let again = again.clone();
            async move { wrap(again.open().await.unwrap()) }
        })
    })
    .await
}

fn assert_whole(report: &Report) {
    report.assert_passed();
    assert!(report.ran() >= 60, "only {} cases ran", report.ran());
    assert_eq!(report.not_claimed(), 0);
}

/// As a tier of the engine is: a circuit for each shard, retries, a deadline; with patience for a
/// slow machine.
fn guarded(backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
    let timeouts = TimeoutConfig { read: secs(20), write: secs(20), ..TimeoutConfig::default() };
    let bounded = backend.with_timeout(timeouts);
    let broken: Arc<dyn Backend> =
        bounded.with_breaker(CircuitBreakerConfig::default(), Clock::system());
    broken.with_retry(RetryConfig::default())
}

/// One start for both: it takes seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_shards_pass_the_suite_bare_and_wrapped() {
    let cluster = RedisCluster::start(3, 1);
    assert_whole(&suite(&cluster, |backend| backend).await);
    assert_whole(&suite(&cluster, guarded).await);
}
