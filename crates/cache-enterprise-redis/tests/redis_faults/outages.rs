//! Servers that die, hang, or were never there.

use cache_enterprise_core::{
    Backend, BackendHealth, BackendSource, Clock, ErrorKind, OpContext, Sequence,
};
use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;
use tokio::task::JoinSet;

use super::{assert_transient, get, hasty, key, open, open_hasty, put, remove, value_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_fails_every_call_and_serves_again_after_its_restart() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    let key = key("user");
    put(&*backend, &key, "Ada").await.unwrap();
    server.kill();
    for _ in 0..10 {
        assert_transient(get(&*backend, &key).await);
        assert_transient(put(&*backend, &key, "Grace").await);
        assert_transient(remove(&*backend, &key, 1).await);
    }
    assert!(matches!(backend.health().await, BackendHealth::Down(_)));
    server.restart();
    until_async("the backend is up again", async || backend.health().await == BackendHealth::Up)
        .await;
    assert_eq!(get(&*backend, &key).await.unwrap(), None, "nothing was saved to disk");
    put(&*backend, &key, "Grace").await.unwrap();
    assert_eq!(get(&*backend, &key).await.unwrap().unwrap(), "Grace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_costs_errors_and_never_a_wrong_value() {
    let server = RedisServer::start();
    let backend = open_hasty(&server.url()).await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for worker in 0..32 {
        let (backend, stop) = (backend.clone(), stop.clone());
        workers.spawn(async move {
            let key = key(&format!("user-{worker}"));
            let (mut errors, mut answers_after) = (0_u32, 0_u32);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let answer = match put(&*backend, &key, value_of(&key, 100)).await {
                    Ok(_) => get(&*backend, &key).await,
                    Err(fault) => Err(fault),
                };
                match answer {
                    Ok(found) => {
                        let found = found.unwrap_or_else(|| value_of(&key, 100));
                        assert_eq!(found, value_of(&key, 100), "somebody else's value");
                        answers_after += u32::from(errors > 0);
                    }
                    Err(fault) => {
                        assert!(fault.is_transient(), "{fault:?}");
                        errors += 1;
                        tokio::task::yield_now().await;
                    }
                }
                if answers_after >= 100 {
                    return;
                }
            }
            panic!("worker {worker} did not go on: {errors} errors, {answers_after} answers");
        });
    }
    server.kill();
    until_async("calls fail", async || get(&*backend, &key("user-0")).await.is_err()).await;
    server.restart();
    let ended = tokio::time::timeout(cache_enterprise_core::secs(30), async {
        while let Some(worker) = workers.join_next().await {
            worker.unwrap();
        }
    });
    if ended.await.is_err() {
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        workers.join_all().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_server_times_out_and_goes_on_when_it_is_resumed() {
    let server = RedisServer::start();
    let backend = open_hasty(&server.url()).await;
    let keys: Vec<_> = (0..600).map(|number| key(&format!("user-{number}"))).collect();
    put(&*backend, &keys[0], "Ada").await.unwrap();
    server.pause();
    assert_eq!(assert_transient(get(&*backend, &keys[0]).await), ErrorKind::Timeout);
    assert_transient(put(&*backend, &keys[0], "Grace").await);
    assert_transient(remove(&*backend, &keys[1], 1).await);
    assert_transient(backend.get_many(&keys, &OpContext::default()).await);
    assert_transient(backend.remove_many(&keys[1..], Sequence::ZERO, &OpContext::default()).await);
    server.resume();
    until_async("the backend is up again", async || backend.health().await == BackendHealth::Up)
        .await;
    let found = get(&*backend, &keys[0]).await.unwrap().unwrap();
    assert!(found == "Ada" || found == "Grace", "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_accepts_and_never_answers_fails_the_opening() {
    let server = RedisServer::start();
    let proxy = TcpProxy::to(&server.address());
    proxy.set(Fault::BlackHole);
    let redis = hasty(&server.url_at(&proxy.address()));
    let error = redis.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert!(error.to_string().contains(&proxy.address()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_fails_the_opening_and_not_the_building_of_a_manager() {
    let server = RedisServer::start();
    server.kill();
    let error = hasty(&server.url()).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("nothing listens"), "{error}");

    let source: Box<dyn BackendSource> = Box::new(hasty(&server.url()));
    let backend = source.open(&Clock::system()).await.unwrap().backend;
    assert_transient(get(&*backend, &key("user")).await);
    server.restart();
    until_async("the level is up", async || backend.health().await == BackendHealth::Up).await;
    put(&*backend, &key("user"), "Ada").await.unwrap();
}
