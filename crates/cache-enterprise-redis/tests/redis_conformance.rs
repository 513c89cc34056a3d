//! A Redis backend keeps the contract of `Backend` on every kind of server.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::{Backend, MIB};
use cache_enterprise_redis::Redis;
use cache_enterprise_testkit::conformance::Report;
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::servers::RedisServer;

/// Small, so that the cases at the limit do not move half a gibibyte each.
const VALUE_BYTES_MAX: usize = 8 * MIB as usize;

/// Runs the suite on one server that is emptied before each case.
async fn suite(server: &RedisServer, redis: Redis) -> Report {
    let redis = redis.value_bytes_max(VALUE_BYTES_MAX);
    backend::run(|| async {
        server.cli(&["FLUSHALL"]);
        let again = redis.clone();
        Fixture::new(redis.clone().open().await.unwrap()).reopen(move || {
            let again = again.clone();
            async move { again.open().await.unwrap() as Arc<dyn Backend> }
        })
    })
    .await
}

fn assert_whole(report: &Report) {
    report.assert_passed();
    assert!(report.ran() >= 60, "only {} cases ran", report.ran());
    assert_eq!(report.not_claimed(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_passes_the_suite() {
    let server = RedisServer::start();
    assert_whole(&suite(&server, Redis::url(&server.url()).unwrap()).await);
}
