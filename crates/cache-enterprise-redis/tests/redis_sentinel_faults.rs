//! Primaries that change, and removals that wait for replicas, on real servers. `docs/backends.md`
//! has a line for each story.
#![allow(clippy::unwrap_used)]

#[path = "support/calls.rs"]
mod calls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use cache_enterprise_core::{Backend, BackendHealth, ErrorKind, secs};
use cache_enterprise_redis::Redis;
use cache_enterprise_testkit::servers::{RedisSentinels, RedisServer};
use cache_enterprise_testkit::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use calls::{get, key, put, remove};

fn followed(servers: &RedisSentinels) -> Redis {
    let redis = Redis::sentinel(servers.master_name(), servers.sentinel_addresses()).unwrap();
    redis.connect_timeout(secs(2)).read_timeout(secs(2)).write_timeout(secs(2))
}

/// The backend finds the new primary by itself.
async fn comes_back(backend: &dyn Backend) {
    wait::until_async("the new primary takes a write", async || {
        put(backend, &key("after"), "Grace").await.is_ok()
    })
    .await;
    assert_eq!(backend.health().await, BackendHealth::Up);
    assert_eq!(get(backend, &key("after")).await.unwrap().unwrap(), "Grace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_left_for_the_next_one() {
    let servers = RedisSentinels::start();
    let backend = followed(&servers).replicated(1).open().await.unwrap();
    put(&*backend, &key("before"), "Ada").await.unwrap();
    // Waits until a replica has everything that was written before it.
    remove(&*backend, &key("nothing"), 1).await.unwrap();
    let old = servers.primary().address();
    servers.primary().kill();
    servers.await_new_primary(&old);
    comes_back(&*backend).await;
    assert_eq!(get(&*backend, &key("before")).await.unwrap().unwrap(), "Ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_primary_is_left_and_not_returned_to() {
    let servers = RedisSentinels::start();
    let backend = followed(&servers).open().await.unwrap();
    put(&*backend, &key("before"), "Ada").await.unwrap();
    let old = servers.primary();
    old.pause();
    let new = servers.await_new_primary(&old.address());
    comes_back(&*backend).await;
    old.resume();
    servers.await_demotion(old);
    put(&*backend, &key("later"), "Grace").await.unwrap();
    assert!(new.cli(&["KEYS", "*users:later"]).contains("later"), "written to the new primary");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_demoted_by_hand_is_left() {
    let servers = RedisSentinels::start();
    let backend = followed(&servers).open().await.unwrap();
    put(&*backend, &key("before"), "Ada").await.unwrap();
    let old = servers.primary().address();
    let answer = servers.sentinels()[0].cli(&["SENTINEL", "FAILOVER", servers.master_name()]);
    assert_eq!(answer, "OK");
    servers.await_new_primary(&old);
    comes_back(&*backend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_too_few_replicas_have_says_so_and_is_made() {
    let servers = RedisSentinels::start();
    let backend = followed(&servers).replicated(2).open().await.unwrap();
    put(&*backend, &key("user"), "Ada").await.unwrap();
    assert!(remove(&*backend, &key("user"), 5).await.unwrap());
    let primary = servers.primary().address();
    let replica = servers.servers().iter().find(|server| server.address() != primary).unwrap();
    replica.pause();
    put(&*backend, &key("other"), "Ada").await.unwrap();
    let error = remove(&*backend, &key("other"), 5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("under-replicated"), "{error}");
    assert_eq!(get(&*backend, &key("other")).await.unwrap(), None, "it is made all the same");
    replica.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_name_of_a_primary_is_told() {
    let servers = RedisSentinels::start();
    let redis = Redis::sentinel("nobody", servers.sentinel_addresses()).unwrap();
    let error = redis.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("nobody"), "{error}");
    servers.sentinels()[0].kill();
    servers.sentinels()[1].pause();
    let backend = followed(&servers).open().await.unwrap();
    put(&*backend, &key("user"), "Ada").await.unwrap();
}

/// A sentinel that names what it is told: for what a real one does too seldom.
async fn sentinel_naming(named: Arc<AtomicU16>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let named = Arc::clone(&named);
            tokio::spawn(async move {
                let mut bytes = [0; 4_096];
                while let Ok(1..) = client.read(&mut bytes).await {
                    let asked = String::from_utf8_lossy(&bytes).into_owned();
                    bytes.fill(0);
                    for command in asked.split('*').skip(1) {
                        let port = named.load(Ordering::Relaxed).to_string();
                        let answer = match command {
                            hello if hello.contains("HELLO") => "%0\r\n".to_owned(),
                            question if question.contains("SENTINEL") => {
                                format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len())
                            }
                            _ => "+OK\r\n".to_owned(),
                        };
                        client.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    address
}

/// The old primary lives on as a replica and its connections stand: nothing but the refusal of a
/// write tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_a_write_as_a_replica_is_left() {
    let primary = RedisServer::start();
    let of = format!("127.0.0.1 {}", primary.port());
    let replica = RedisServer::options().arg("replicaof", &of).start();
    let named = Arc::new(AtomicU16::new(replica.port()));
    let sentinel = sentinel_naming(Arc::clone(&named)).await;
    let backend = Redis::sentinel("primary", [sentinel]).unwrap().open().await.unwrap();
    assert_eq!(get(&*backend, &key("user")).await.unwrap(), None);
    let error = put(&*backend, &key("user"), "Ada").await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("replica"), "{error:?}");
    named.store(primary.port(), Ordering::Relaxed);
    wait::until_async("the primary takes the write", async || {
        put(&*backend, &key("user"), "Ada").await.is_ok()
    })
    .await;
    assert_eq!(primary.cli(&["DBSIZE"]), "1");
    wait::until_async("no connection reads from the replica", async || {
        // Those of the backend speak RESP3.
        !replica.cli(&["CLIENT", "LIST"]).contains(" resp=3")
    })
    .await;
}
