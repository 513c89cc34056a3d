//! Callers leave before their answers. No answer reaches another caller, and nothing is held up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{Backend, KeySpace, OpContext, Put, StoredKey};
use cache_enterprise_redis::Redis;
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::servers::RedisCluster;
use rand::RngExt;
use tokio::time::timeout;

use super::traffic::patient;

const KEYS: u32 = 400;
const CALLERS: u64 = 32;
const LEFT: u64 = 20_000;

fn value_of(key: &StoredKey) -> Bytes {
    // Of all lengths, so that an answer that is off by one cannot look right.
    let number: usize = key.key().parse().unwrap();
    Bytes::from(key.as_str().repeat(1 + number % 7))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_reaches_another() {
    let _alone = super::alone().await;
    let servers = RedisCluster::start(3, 0);
    let redis = patient(Redis::cluster(servers.urls()).unwrap());
    let backend: Arc<dyn Backend> = redis.open().await.unwrap();
    let space = KeySpace::new("faults", "leaving", "users").unwrap();
    let keys: Arc<[StoredKey]> = (0..KEYS).map(|number| space.key(&number).unwrap()).collect();
    let items = keys.iter().map(|key| (key.clone(), value_of(key), Put::default())).collect();
    backend.put_many(items, &OpContext::default()).await.unwrap();

    let seed = Seed::from_env_or(17);
    let _printed = seed.print_on_panic();
    let (left, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let callers = (0..CALLERS).map(|caller: u64| {
        let (backend, keys) = (Arc::clone(&backend), Arc::clone(&keys));
        let (left, answered) = (Arc::clone(&left), Arc::clone(&answered));
        let mut dice = seed.part(&caller.to_string()).rng();
        tokio::spawn(async move {
            while left.load(Ordering::Relaxed) < LEFT {
                let patience = Duration::from_micros(dice.random_range(0..800));
                let place = dice.random_range(0..keys.len());
                let end = (place + dice.random_range(1..20)).min(keys.len());
                let asked = &keys[place..end];
                let call = OpContext::default();
                let found = match dice.random_range(0..3) {
                    0 => timeout(patience, backend.get_many(asked, &call)).await,
                    1 => {
                        let value = value_of(&keys[place]);
                        let put = backend.put(&keys[place], value, Put::default(), &call);
                        timeout(patience, put).await.map(|put| put.map(|_| Vec::new()))
                    }
                    _ => {
                        let get = backend.get(&keys[place], &call);
                        timeout(patience, get).await.map(|found| found.map(|found| vec![found]))
                    }
                };
                let Ok(found) = found else {
                    left.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                answered.fetch_add(1, Ordering::Relaxed);
                for (key, value) in asked.iter().zip(found.unwrap()) {
                    assert_eq!(value.unwrap(), value_of(key), "the answer to another key");
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    println!("{left:?} left, {answered:?} answered");
    assert!(answered.load(Ordering::Relaxed) > 1_000, "some stayed");
    let found = backend.get_many(&keys, &OpContext::default()).await.unwrap();
    for (key, value) in keys.iter().zip(found) {
        assert_eq!(value.unwrap(), value_of(key));
    }
}
