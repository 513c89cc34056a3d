//! Servers that die, hang and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cache_enterprise_core::{
    Backend, BackendHealth, Clock, ErrorKind, OpContext, PutOutcome, StoredKey,
};
use cache_enterprise_resilience::{BackendExt, BreakerState, CircuitBreakerConfig};
use cache_enterprise_testkit::servers::MemcachedServer;
use cache_enterprise_testkit::wait::until_async;

use super::{
    PROTOCOLS, assert_transient, get, impatient, key, open_impatient, put, remove, value_of,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_fails_every_call_and_serves_again_after_its_restart() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let backend = open_impatient(&server.address(), protocol);
        let key = key("user");
        put(&*backend, &key, "Ada".into()).await.unwrap();
        server.kill();
        for _ in 0..3 {
            assert_transient(get(&*backend, &key).await);
            assert_transient(put(&*backend, &key, "Grace".into()).await);
            assert_transient(remove(&*backend, &key).await);
        }
        assert!(matches!(backend.health().await, BackendHealth::Down(_)));
        server.restart();
        until_async("the server is found again", async || {
            matches!(get(&*backend, &key).await, Ok(None))
        })
        .await;
        assert_eq!(backend.health().await, BackendHealth::Up);
        assert_eq!(put(&*backend, &key, "Grace".into()).await.unwrap(), PutOutcome::Stored);
        assert_eq!(get(&*backend, &key).await.unwrap().as_deref(), Some(&b"Grace"[..]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_costs_errors_and_never_a_wrong_value() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let backend = open_impatient(&server.address(), protocol);
        let is_over = Arc::new(AtomicBool::new(false));
        let (answers, failures) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..32 {
            let (backend, is_over) = (Arc::clone(&backend), Arc::clone(&is_over));
            let (answers, failures) = (Arc::clone(&answers), Arc::clone(&failures));
            tasks.spawn(async move {
                let key = key(&format!("worker-{worker}"));
                let value = value_of(&key, 300);
                while !is_over.load(Ordering::Acquire) {
                    let answer = match put(&*backend, &key, value.clone()).await {
                        Ok(_) => get(&*backend, &key).await,
                        Err(failure) => Err(failure),
                    };
                    match answer {
                        Ok(found) => {
                            assert!(found.is_none_or(|found| found == value), "a wrong value");
                            answers.fetch_add(1, Ordering::AcqRel);
                        }
                        Err(failure) => {
                            assert!(failure.is_transient(), "{failure:?}");
                            failures.fetch_add(1, Ordering::AcqRel);
                        }
                    }
                }
            });
        }
        let passed = |counter: &AtomicU64, more: u64| {
            let target = counter.load(Ordering::Acquire) + more;
            move |counter: &AtomicU64| counter.load(Ordering::Acquire) >= target
        };
        let enough = passed(&answers, 200);
        until_async("the load runs", async || enough(&answers)).await;
        server.kill();
        let enough = passed(&failures, 32);
        until_async("the outage is felt", async || enough(&failures)).await;
        server.restart();
        let enough = passed(&answers, 500);
        until_async("the load runs again", async || enough(&answers)).await;
        is_over.store(true, Ordering::Release);
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_server_times_out_and_goes_on_when_it_is_resumed() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let backend = open_impatient(&server.address(), protocol);
        let (kept, written) = (key("kept"), key("written"));
        put(&*backend, &kept, "Ada".into()).await.unwrap();
        put(&*backend, &written, "old".into()).await.unwrap();
        server.pause();
        assert_eq!(assert_transient(get(&*backend, &kept).await), ErrorKind::Timeout);
        assert_eq!(
            assert_transient(put(&*backend, &written, "new".into()).await),
            ErrorKind::Timeout
        );
        assert_eq!(assert_transient(remove(&*backend, &kept).await), ErrorKind::Timeout);
        assert!(matches!(backend.health().await, BackendHealth::Down(_)));
        // Many at once: whoever waits in line is answered as well.
        let keys: Vec<StoredKey> = (0..600).map(|number| key(&format!("many-{number}"))).collect();
        assert_transient(backend.get_many(&keys, &OpContext::default()).await);
        server.resume();
        until_async("the server answers again", async || get(&*backend, &written).await.is_ok())
            .await;
        // What was sent before the hang may have been carried out, whole or not at all.
        let found = get(&*backend, &written).await.unwrap().unwrap();
        assert!(found == "old" || found == "new", "found {found:?}");
        put(&*backend, &kept, "Ada".into()).await.unwrap();
        assert_eq!(get(&*backend, &kept).await.unwrap().as_deref(), Some(&b"Ada"[..]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_with_one_dead_the_living_one_answers_and_nothing_moves() {
    for protocol in PROTOCOLS {
        let servers = [MemcachedServer::start(), MemcachedServer::start()];
        let addresses = servers.each_ref().map(MemcachedServer::address);
        let backend = impatient(&addresses).protocol(protocol).open().unwrap();
        let backend: Arc<dyn Backend> = Arc::new(backend);
        let breaker =
            Arc::clone(&backend).with_breaker(CircuitBreakerConfig::default(), Clock::system());
        let keys: Vec<StoredKey> = (0..200).map(|number| key(&format!("user-{number}"))).collect();
        for key in &keys {
            put(&*backend, key, value_of(key, 64)).await.unwrap();
        }
        let nodes: Vec<u32> = keys.iter().map(|key| backend.node(key)).collect();
        assert!(nodes.contains(&0) && nodes.contains(&1) && backend.nodes() == 2);
        servers[1].kill();
        for (key, node) in keys.iter().zip(&nodes) {
            assert_eq!(backend.node(key), *node);
            match node {
                0 => assert_eq!(get(&*backend, key).await.unwrap(), Some(value_of(key, 64))),
                _ => drop(assert_transient(get(&*backend, key).await)),
            }
        }
        let dead = keys.iter().zip(&nodes).find(|(_, node)| **node == 1).unwrap().0;
        assert_transient(remove(&*backend, dead).await);
        assert_transient(backend.get_many(&keys, &OpContext::default()).await);
        match backend.health().await {
            BackendHealth::Degraded(why) => {
                assert!(why.starts_with("1 of 2") && why.contains(&addresses[1]), "{why}");
            }
            other => panic!("{other:?}"),
        }
        // Behind a breaker a batch is cut by server: the dead one's keys are absent.
        let found = breaker.get_many(&keys, &OpContext::default()).await.unwrap();
        for ((key, node), found) in keys.iter().zip(&nodes).zip(found) {
            assert_eq!(found, (*node == 0).then(|| value_of(key, 64)));
        }
        for _ in 0..50 {
            let _ = get(&*breaker, dead).await;
        }
        assert_eq!(breaker.state_of(1), BreakerState::Open);
        assert_eq!(breaker.state_of(0), BreakerState::Closed);
        servers[1].restart();
        until_async("the dead server's keys are its own again", async || {
            put(&*backend, dead, value_of(dead, 64)).await.is_ok()
        })
        .await;
        assert_eq!(get(&*backend, dead).await.unwrap(), Some(value_of(dead, 64)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_never_there_fails_calls_and_not_the_opening() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        server.kill();
        let backend = open_impatient(&server.address(), protocol);
        assert_transient(get(&*backend, &key("user")).await);
        let unknown = open_impatient("no-such-host.invalid:11211", protocol);
        assert_transient(get(&*unknown, &key("user")).await);
    }
}
