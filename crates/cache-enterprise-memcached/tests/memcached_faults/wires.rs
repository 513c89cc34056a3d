//! Connections that break, swallow and drip.

use std::sync::Arc;

use cache_enterprise_core::{ErrorKind, StoredKey, ms};
use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::servers::MemcachedServer;
use cache_enterprise_testkit::wait::until_async;
use tokio::task::JoinSet;

use super::{PROTOCOLS, assert_transient, get, key, open, open_impatient, put, value_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_in_the_middle_of_a_reply_is_an_error_and_never_half_a_value() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let proxy = TcpProxy::to(&server.address());
        let backend = open(&proxy.address(), protocol);
        let key = key("user");
        let value = value_of(&key, 100_000);
        put(&*backend, &key, value.clone()).await.unwrap();
        for reply_bytes in [0, 1, 10, 30, 5_000, 99_999] {
            proxy.set(Fault::ResetAfter { reply_bytes });
            let kind = assert_transient(get(&*backend, &key).await);
            assert_eq!(kind, ErrorKind::Unavailable, "after {reply_bytes} bytes");
            proxy.heal();
            until_async("the value is read whole", async || {
                get(&*backend, &key).await.is_ok_and(|found| found.unwrap() == value)
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_never_comes_is_a_timeout_and_poisons_nothing() {
    for protocol in PROTOCOLS {
        for fault in [Fault::BlackHole, Fault::HalfOpen, Fault::Stall] {
            let server = MemcachedServer::start();
            let proxy = TcpProxy::to(&server.address());
            let backend = open_impatient(&proxy.address(), protocol);
            let keys: Arc<[StoredKey]> = (0..24).map(|n| key(&format!("user-{n}"))).collect();
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
            assert!(kinds.contains(&ErrorKind::Timeout), "{fault:?}: {kinds:?}");
            // After a stall the replies do come, when nobody waits for them any more.
            proxy.heal();
            until_async("the server is reached again", async || {
                get(&*backend, &keys[0]).await.is_ok()
            })
            .await;
            let mut tasks = JoinSet::new();
            for index in 0..keys.len() * 20 {
                let (backend, keys) = (Arc::clone(&backend), Arc::clone(&keys));
                tasks.spawn(async move {
                    let key = &keys[index % keys.len()];
                    // A busy machine may let one time out; nothing may let one be another's.
                    match get(&*backend, key).await {
                        Ok(found) => assert_eq!(found, Some(value_of(key, 100))),
                        failed => drop(assert_transient(failed)),
                    }
                });
            }
            tasks.join_all().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_in_crumbs_ends_at_the_timeout() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let proxy = TcpProxy::to(&server.address());
        let backend = open_impatient(&proxy.address(), protocol);
        let key = key("user");
        let value = value_of(&key, 100_000);
        put(&*backend, &key, value.clone()).await.unwrap();
        proxy.set(Fault::SlowDrip { bytes: 1, every: ms(10) });
        assert_eq!(assert_transient(get(&*backend, &key).await), ErrorKind::Timeout);
        proxy.heal();
        until_async("the value is read whole", async || {
            get(&*backend, &key).await.is_ok_and(|found| found.unwrap() == value)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_is_slow_and_nothing_else() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let proxy = TcpProxy::to(&server.address());
        let backend = open(&proxy.address(), protocol);
        proxy.set(Fault::Latency(ms(20)));
        let mut tasks = JoinSet::new();
        for number in 0..32 {
            let backend = Arc::clone(&backend);
            tasks.spawn(async move {
                let key = key(&format!("user-{number}"));
                let value = value_of(&key, 100);
                put(&*backend, &key, value.clone()).await.unwrap();
                assert_eq!(get(&*backend, &key).await.unwrap(), Some(value));
            });
        }
        tasks.join_all().await;
    }
}
