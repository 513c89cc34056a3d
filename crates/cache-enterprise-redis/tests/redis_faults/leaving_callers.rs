//! Callers that leave before their answer.

use std::sync::Arc;

use cache_enterprise_core::StoredKey;
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::servers::RedisServer;
use rand::RngExt;
use tokio::task::JoinSet;

use super::{get, key, open, put, value_of};

const WORKERS: u64 = 64;
const DROPS: u64 = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_left_calls_mix_no_replies() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    let keys: Arc<[StoredKey]> = (0..200).map(|number| key(&format!("user-{number}"))).collect();
    for key in keys.iter() {
        put(&*backend, key, value_of(key, 100)).await.unwrap();
    }
    let seed = Seed::from_env_or(0x1ea7e);
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (backend, keys) = (Arc::clone(&backend), Arc::clone(&keys));
        let mut rng = seed.part(&worker.to_string()).rng();
        workers.spawn(async move {
            let mut left = 0;
            while left < DROPS / WORKERS + 1 {
                let key = &keys[rng.random_range(0..keys.len())];
                let call = async {
                    if rng.random_range(0..8) == 0 {
                        put(&*backend, key, value_of(key, 100)).await.unwrap();
                    }
                    get(&*backend, key).await.unwrap()
                };
                tokio::select! {
                    biased;
                    found = call => {
                        assert_eq!(found, Some(value_of(key, 100)), "somebody else's reply");
                    }
                    // Some turns of the other tasks later the caller is gone.
                    () = turns(left % 5) => left += 1,
                }
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap_or_else(|fault| panic!("{fault}; replay with {}", seed.replay()));
    }
    for key in keys.iter() {
        assert_eq!(get(&*backend, key).await.unwrap(), Some(value_of(key, 100)));
    }
}

async fn turns(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}
