//! Callers that go away in the middle of a call.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use cache_enterprise_core::{Backend, OpContext, PutOutcome, StoredKey};
use cache_enterprise_memcached::{MemcachedBackend, Protocol};
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::servers::MemcachedServer;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;

use super::{get, key, open, put, value_of};

const KEYS: usize = 97;

/// Polls a call at most `polls` times, with room for others in between, then drops it. Gives the
/// answer if there was one by then.
async fn leave_after<F: Future>(polls: u32, call: F) -> Option<F::Output> {
    let mut call = std::pin::pin!(call);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
        if let Poll::Ready(answer) = polled {
            return Some(answer);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// One worker's calls until so many of all workers' were left.
async fn come_and_go(
    backend: Arc<MemcachedBackend>,
    keys: Arc<[StoredKey]>,
    mut rng: StdRng,
    (left, enough): (Arc<AtomicU64>, u64),
) {
    while left.load(Ordering::Relaxed) < enough {
        let at = rng.random_range(0..KEYS);
        let (key, polls) = (&keys[at], rng.random_range(1..6));
        let is_answered = match rng.random_range(0..10) {
            0 => {
                let some = &keys[at..KEYS.min(at + 5)];
                let ctx = OpContext::default();
                leave_after(polls, backend.get_many(some, &ctx)).await.map(|found| {
                    let expected: Vec<_> =
                        some.iter().map(|key| Some(value_of(key, 200))).collect();
                    assert_eq!(found.unwrap(), expected, "somebody else's reply");
                })
            }
            1 => {
                let call = put(&*backend, key, value_of(key, 200));
                // A left write costs its connection, and the machine may run out of ports for a while.
                leave_after(polls, call).await.map(|outcome| match outcome {
                    Ok(outcome) => assert_eq!(outcome, PutOutcome::Stored),
                    Err(failure) => assert!(failure.is_transient(), "{failure:?}"),
                })
            }
            _ => leave_after(polls, get(&*backend, key)).await.map(|found| {
                assert_eq!(found.unwrap(), Some(value_of(key, 200)), "somebody else's reply");
            }),
        };
        if is_answered.is_none() {
            left.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn check(protocol: Protocol, leaving: u64) {
    let seed = Seed::from_env_or(0x1ea7e);
    let _printed_if_the_test_panics = seed.print_on_panic();
    let server = MemcachedServer::start();
    let backend = open(&server.address(), protocol);
    let keys: Arc<[StoredKey]> = (0..KEYS).map(|number| key(&format!("user-{number}"))).collect();
    for key in keys.iter() {
        put(&*backend, key, value_of(key, 200)).await.unwrap();
    }
    let left = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for worker in 0..32 {
        let rng = StdRng::seed_from_u64(seed.0 ^ worker);
        let counter = (Arc::clone(&left), leaving);
        tasks.spawn(come_and_go(Arc::clone(&backend), Arc::clone(&keys), rng, counter));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    for key in keys.iter() {
        assert_eq!(get(&*backend, key).await.unwrap(), Some(value_of(key, 200)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_left_calls_mix_no_replies_by_the_meta_protocol() {
    check(Protocol::Meta, 100_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn left_calls_mix_no_replies_by_the_classic_protocols() {
    check(Protocol::Binary, 2_000).await;
    check(Protocol::Ascii, 2_000).await;
}
