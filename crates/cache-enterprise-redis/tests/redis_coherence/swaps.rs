//! Replacing an entry only if nobody else did.

use cache_enterprise_core::{Backend, OpContext, Put, Sequence, Swapped};
use cache_enterprise_testkit::servers::RedisServer;
use tokio::task::JoinSet;

use super::{get, key, open, put, remove};

const CALL: OpContext = OpContext { timeout: None };

fn how(version: u64) -> Put {
    Put { version: Sequence(version), ttl: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_goes_by_the_version_that_stands() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    let user = key("user");
    let swap = async |value: &'static str, version, expected| {
        backend.swap(&user, value.into(), how(version), Sequence(expected), &CALL).await.unwrap()
    };
    assert_eq!(swap("Ada", 5, 3).await, Swapped::Changed(Sequence::ZERO));
    assert_eq!(swap("Ada", 5, 0).await, Swapped::Stored);
    assert_eq!(swap("Eve", 6, 0).await, Swapped::Changed(Sequence(5)));
    assert_eq!(swap("Grace", 7, 5).await, Swapped::Stored);
    assert_eq!(get(&*backend, &user).await.unwrap().unwrap(), "Grace");
    remove(&*backend, &user, 9).await.unwrap();
    assert_eq!(swap("late", 8, 0).await, Swapped::Fenced);
    assert_eq!(swap("late", 10, 7).await, Swapped::Changed(Sequence::ZERO));
    assert_eq!(swap("Joan", 10, 0).await, Swapped::Stored);
    assert_eq!(get(&*backend, &user).await.unwrap().unwrap(), "Joan");
    assert!(backend.capabilities().swap);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_swaps_at_once_one_wins_each_time() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    put(&*backend, &key("counter"), "0").await.unwrap();
    remove(&*backend, &key("counter"), 1).await.unwrap();
    let mut tasks = JoinSet::new();
    for worker in 0..8_u64 {
        let backend = backend.clone();
        tasks.spawn(async move {
            let mut won = Vec::new();
            let mut expected = Sequence::ZERO;
            while won.len() < 25 {
                let version = Sequence(expected.0.max(1) + 1 + worker);
                let how = Put { version, ttl: None };
                let value = version.0.to_string().into();
                match backend.swap(&key("counter"), value, how, expected, &CALL).await.unwrap() {
                    Swapped::Stored => {
                        won.push((expected, version));
                        expected = version;
                    }
                    Swapped::Changed(stands) => expected = stands,
                    other => panic!("{other:?}"),
                }
            }
            won
        });
    }
    let mut won: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    won.sort_unstable();
    let is_chain = won.windows(2).all(|pair| pair[0].1 == pair[1].0);
    assert!(is_chain && won.len() == 200, "each swap replaced what the one before had stored");
}
