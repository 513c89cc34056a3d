//! A Redis backend keeps the contract of `Backend` on one server, bare and wrapped.
#![allow(clippy::unwrap_used)]

#[path = "support/suite.rs"]
mod suites;

use cache_enterprise_redis::{Password, Redis};
use cache_enterprise_testkit::servers::RedisServer;

use suites::{bare, suite, wrapped};

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
