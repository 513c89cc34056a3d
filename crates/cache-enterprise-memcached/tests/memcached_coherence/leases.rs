//! Leases whose item a server forgets.

use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken, Sequence};
use cache_enterprise_core::{
    Backend, KeySpace, OpContext, Put, PutOutcome, StoredKey, mins, ms, secs,
};
use cache_enterprise_memcached::MemcachedBackend;
use cache_enterprise_testkit::servers::MemcachedServer;
use cache_enterprise_testkit::wait::until_async;

use super::{client, delete};

const HOW: Put = Put { ttl: Some(mins(1)), version: Sequence(7) };

fn key() -> StoredKey {
    KeySpace::new("shop", "acme", "users").unwrap().key(&7_u8).unwrap()
}

async fn hold(lease: &MemcachedBackend, life: std::time::Duration) -> LeaseToken {
    match lease.acquire(&key(), life).await.unwrap() {
        Acquired::Held(token) => token,
        Acquired::Busy(left) => panic!("held for another {left:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_holder_is_refused_by_the_clock_of_the_machine() {
    let server = MemcachedServer::start();
    let (one, two) = (client(&server), client(&server));
    let paused = hold(&one, ms(50)).await;
    until_async("the lease has ended", async || {
        matches!(two.acquire(&key(), mins(1)).await.unwrap(), Acquired::Held(_))
    })
    .await;
    let late = Lease::put(&*one, &key(), "late".into(), HOW, paused).await.unwrap();
    assert_eq!(late, PutOutcome::Fenced);
    assert_eq!(one.get(&key(), &OpContext::default()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_whose_lease_was_forgotten_is_refused() {
    let server = MemcachedServer::start();
    let (one, two) = (client(&server), client(&server));
    let forgotten = hold(&one, mins(1)).await;
    delete(&server, key().as_str());
    let put = Lease::put(&*one, &key(), "late".into(), HOW, forgotten).await.unwrap();
    assert_eq!(put, PutOutcome::Fenced, "somebody else may hold it by now");
    let next = hold(&two, mins(1)).await;
    assert!(next > forgotten);
    assert!(!one.renew(&key(), forgotten, secs(1)).await.unwrap());
    let put = Lease::put(&*two, &key(), "new".into(), HOW, next).await.unwrap();
    assert_eq!(put, PutOutcome::Stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_ends_leases_and_tokens_go_on_rising() {
    let server = MemcachedServer::start();
    let one = client(&server);
    let before = hold(&one, mins(1)).await;
    server.restart();
    let mut after = None;
    until_async("the server is found again", async || {
        after = one.acquire(&key(), mins(1)).await.ok();
        after.is_some()
    })
    .await;
    assert!(matches!(after, Some(Acquired::Held(token)) if token > before), "{after:?}");
}
