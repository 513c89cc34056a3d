//! Servers that answer, and refuse.

use cache_enterprise_core::{Backend, ErrorKind, OpContext, Put, PutOutcome, Sequence};
use cache_enterprise_testkit::servers::RedisServer;

use super::{assert_transient, get, key, open, put, remove, value_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_out_of_memory_refuses_puts_and_serves_reads_and_removals() {
    out_of_memory(RedisServer::start()).await;
    let without_functions = RedisServer::options()
        .arg("rename-command", "FUNCTION \"\"")
        .arg("rename-command", "FCALL \"\"");
    out_of_memory(without_functions.start()).await;
}

async fn out_of_memory(server: RedisServer) {
    let backend = open(&server.url()).await;
    let call = OpContext::default();
    let how = Put { version: Sequence(5), ..Put::default() };
    backend.put(&key("user"), "Ada".into(), how, &call).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = put(&*backend, &key("other"), value_of(&key("canary"), 500)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded, "{error:?}");
    assert!(error.to_string().contains("maxmemory-policy"), "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    assert_eq!(get(&*backend, &key("user")).await.unwrap().unwrap(), "Ada");
    assert!(remove(&*backend, &key("user"), 9).await.unwrap());
    assert!(!remove(&*backend, &key("never"), 9).await.unwrap(), "and fences what was not there");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    for name in ["user", "never"] {
        let late = backend.put(&key(name), "late".into(), how, &call).await.unwrap();
        assert_eq!(late, PutOutcome::Fenced, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_replica_serves_reads_and_says_who_takes_writes() {
    let primary = RedisServer::start();
    put(&*open(&primary.url()).await, &key("user"), "Ada").await.unwrap();
    let port = primary.port().to_string();
    let replica = RedisServer::options().arg("replicaof", &format!("127.0.0.1 {port}")).start();
    cache_enterprise_testkit::wait::until("the replica has the data", || {
        replica.cli(&["DBSIZE"]) == "1"
    });
    let backend = open(&replica.url()).await;
    assert_eq!(get(&*backend, &key("user")).await.unwrap().unwrap(), "Ada");
    for error in [
        put(&*backend, &key("user"), "Grace").await.unwrap_err(),
        remove(&*backend, &key("user"), 1).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("replica"), "{error}");
    }
    assert_eq!(get(&*backend, &key("user")).await.unwrap().unwrap(), "Ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_program_keeps_under_a_key_is_an_error_and_not_overwritten() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    put(&*backend, &key("user"), "Ada").await.unwrap();
    let held = server.cli(&["KEYS", "*"]);
    server.cli(&["DEL", &held]);
    server.cli(&["RPUSH", &held, "canary"]);
    for error in [
        get(&*backend, &key("user")).await.unwrap_err(),
        put(&*backend, &key("user"), "Grace").await.unwrap_err(),
        remove(&*backend, &key("user"), 1).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        assert!(!format!("{error:?}").contains("canary"));
    }
    server.cli(&["DEL", &held]);
    server.cli(&["SET", &held, "canary"]);
    let error = get(&*backend, &key("user")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    put(&*backend, &key("user"), "Grace").await.unwrap();
    assert_eq!(get(&*backend, &key("user")).await.unwrap().unwrap(), "Grace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_full_of_clients_is_unavailable() {
    let server = RedisServer::options().arg("maxclients", "1").start();
    let error = super::patient(&server.url()).open().await;
    assert_transient(error);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_the_server_does_not_have_is_an_error_of_the_settings() {
    let server = RedisServer::options().arg("databases", "4").start();
    super::assert_config(super::patient(&server.url()).database(4).open().await, "databases");
    super::patient(&server.url()).database(3).open().await.unwrap();
}
