//! Connections that break, swallow and drip.

use std::sync::Arc;

use cache_enterprise_core::{ErrorKind, KeySpace, StoredKey, ms};
use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{assert_transient, get, key, open, open_hasty, put, value_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_in_the_middle_of_a_reply_is_an_error_and_never_half_a_value() {
    let server = RedisServer::start();
    let proxy = TcpProxy::to(&server.address());
    let backend = open(&server.url_at(&proxy.address())).await;
    let key = key("user");
    let value = value_of(&key, 100_000);
    put(&*backend, &key, value.clone()).await.unwrap();
    for reply_bytes in [0, 1, 5, 20, 5_000, 99_999] {
        until_async("the value is read whole", async || {
            get(&*backend, &key).await.is_ok_and(|found| found.unwrap() == value)
        })
        .await;
        proxy.set(Fault::ResetAfter { reply_bytes });
        let kind = assert_transient(get(&*backend, &key).await);
        assert_eq!(kind, ErrorKind::Unavailable, "after {reply_bytes} bytes");
        proxy.heal();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_never_comes_is_a_timeout_and_poisons_nothing() {
    for fault in [Fault::BlackHole, Fault::HalfOpen, Fault::Stall] {
        let server = RedisServer::start();
        let proxy = TcpProxy::to(&server.address());
        let backend = open_hasty(&server.url_at(&proxy.address())).await;
        let keys: Arc<[StoredKey]> = (0..48).map(|n| key(&format!("user-{n}"))).collect();
        for key in keys.iter() {
            put(&*backend, key, value_of(key, 100)).await.unwrap();
        }
        proxy.set(fault);
        let mut tasks = JoinSet::new();
        for index in 0..keys.len() {
            let (backend, keys) = (Arc::clone(&backend), Arc::clone(&keys));
            tasks.spawn(async move { assert_transient(get(&*backend, &keys[index]).await) });
        }
        let kinds = tasks.join_all().await;
        assert!(kinds.iter().all(|kind| *kind == ErrorKind::Timeout), "{fault:?}: {kinds:?}");
        // After a stall the replies do come, when nobody waits for them any more.
        proxy.heal();
        until_async("the server is reached again", async || get(&*backend, &keys[0]).await.is_ok())
            .await;
        let mut tasks = JoinSet::new();
        for index in 0..keys.len() * 20 {
            let (backend, keys) = (Arc::clone(&backend), Arc::clone(&keys));
            tasks.spawn(async move {
                let key = &keys[index % keys.len()];
                let found = get(&*backend, key).await.unwrap();
                assert_eq!(found, Some(value_of(key, 100)), "somebody else's reply");
            });
        }
        tasks.join_all().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_all_leave_early_do_not_keep_a_hung_connection() {
    let server = RedisServer::start();
    let key = key("user");
    // What is small and what is large have a connection each.
    for bytes in [3, 100_000] {
        for reads in [true, false] {
            let proxy = TcpProxy::to(&server.address());
            let backend = open_hasty(&server.url_at(&proxy.address())).await;
            let value = value_of(&key, bytes);
            put(&*backend, &key, value.clone()).await.unwrap();
            get(&*backend, &key).await.unwrap();
            // The connections that stand swallow everything for ever; a new one would work.
            proxy.set(Fault::HalfOpen);
            let opened = proxy.accepted();
            until_async("another connection is opened", async || {
                let early = ms(5);
                let _ = match reads {
                    true => timeout(early, get(&*backend, &key)).await.map(drop),
                    false => timeout(early, put(&*backend, &key, value.clone())).await.map(drop),
                };
                proxy.accepted() > opened
            })
            .await;
            proxy.heal();
            until_async("the value is read", async || get(&*backend, &key).await.is_ok()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_in_crumbs_ends_at_the_timeout() {
    let server = RedisServer::start();
    let proxy = TcpProxy::to(&server.address());
    let backend = open_hasty(&server.url_at(&proxy.address())).await;
    let key = key("user");
    let value = value_of(&key, 10_000);
    put(&*backend, &key, value.clone()).await.unwrap();
    proxy.set(Fault::SlowDrip { bytes: 1, every: ms(20) });
    assert_eq!(assert_transient(get(&*backend, &key).await), ErrorKind::Timeout);
    proxy.heal();
    until_async("the value is read whole", async || {
        get(&*backend, &key).await.is_ok_and(|found| found.unwrap() == value)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_is_slow_and_nothing_else() {
    let server = RedisServer::start();
    let proxy = TcpProxy::to(&server.address());
    let backend = open(&server.url_at(&proxy.address())).await;
    proxy.set(Fault::Latency(ms(20)));
    let mut tasks = JoinSet::new();
    for number in 0..64 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move {
            let key = key(&format!("user-{number}"));
            for _ in 0..5 {
                put(&*backend, &key, value_of(&key, 200)).await.unwrap();
                assert_eq!(get(&*backend, &key).await.unwrap(), Some(value_of(&key, 200)));
            }
        });
    }
    tasks.join_all().await;
}

/// Small reads do not wait behind a large one: it has a connection of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_large_travels_over_a_connection_of_its_own() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    let images = KeySpace::new("shop", "acme", "images").unwrap();
    let (small, large) = (key("user"), images.key(&1_u8).unwrap());
    put(&*backend, &small, "Ada").await.unwrap();
    put(&*backend, &large, value_of(&large, 100_000)).await.unwrap();
    // The first read tells how large the values of this cache are.
    get(&*backend, &large).await.unwrap();
    get(&*backend, &large).await.unwrap();
    put(&*backend, &small, "Ada").await.unwrap();
    assert_eq!(last_commands(&server), ["fcall", "get"], "side by side");
    put(&*backend, &large, value_of(&large, 100_000)).await.unwrap();
    get(&*backend, &small).await.unwrap();
    assert_eq!(last_commands(&server), ["fcall", "get"], "the other way round");
    put(&*backend, &small, "Ada").await.unwrap();
    assert_eq!(last_commands(&server), ["fcall", "fcall"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_large_is_read_while_what_is_small_has_no_connection() {
    let server = RedisServer::start();
    let proxy = TcpProxy::to(&server.address());
    let backend = open(&server.url_at(&proxy.address())).await;
    let images = KeySpace::new("shop", "acme", "images").unwrap();
    let (small, large) = (key("user"), images.key(&1_u8).unwrap());
    put(&*backend, &large, value_of(&large, 100_000)).await.unwrap();
    // The first read tells how large the values of this cache are.
    get(&*backend, &large).await.unwrap();
    get(&*backend, &large).await.unwrap();
    put(&*backend, &small, "Ada").await.unwrap();
    proxy.set(Fault::DropNew);
    let of_small = connections(&server).into_iter().find(|client| field(client, "cmd") == "fcall");
    server.cli(&["CLIENT", "KILL", "ID", field(&of_small.unwrap(), "id")]);
    until_async("small reads fail", async || get(&*backend, &small).await.is_err()).await;
    for _ in 0..10 {
        assert_eq!(get(&*backend, &large).await.unwrap(), Some(value_of(&large, 100_000)));
    }
    assert_transient(get(&*backend, &small).await);
}

/// The last command of each connection of the backend.
fn last_commands(server: &RedisServer) -> Vec<String> {
    let clients = connections(server);
    let mut commands: Vec<_> =
        clients.iter().map(|client| field(client, "cmd").to_owned()).collect();
    commands.sort();
    commands
}

/// What the server says of each connection of the backend, which speaks RESP3.
fn connections(server: &RedisServer) -> Vec<String> {
    let clients = server.cli(&["CLIENT", "LIST"]);
    clients.lines().filter(|line| line.contains(" resp=3")).map(str::to_owned).collect()
}

/// One field of what the server says of a connection.
fn field<'a>(client: &'a str, name: &str) -> &'a str {
    let of = |field: &'a str| field.strip_prefix(name)?.strip_prefix('=');
    client.split(' ').find_map(of).unwrap_or_default()
}
