//! One load of a key among processes.

use std::sync::Arc;

use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken};
use cache_enterprise_core::{Backend, OpContext, Put, PutOutcome, Sequence, ms, secs};
use cache_enterprise_testkit::conformance::lease::{self, Fixture};
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;
use tokio::task::JoinSet;

use super::{get, key, open, patient, remove};

/// Small, so that the cases at the limit do not move half a gibibyte each.
const VALUE_BYTES_MAX: usize = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_passes_the_suite() {
    let server = RedisServer::start();
    let report = lease::run(|| async {
        server.cli(&["FLUSHALL"]);
        let limited = patient(&server.url()).value_bytes_max(VALUE_BYTES_MAX);
        let (one, two) = (limited.clone().open().await.unwrap(), limited.open().await.unwrap());
        let leases = [Arc::new(one.lease()), Arc::new(two.lease())];
        let [first, second] = leases;
        Fixture::new(one, first, second).keep(two)
    })
    .await;
    report.assert_passed();
    // The one that lets an hour pass.
    assert_eq!((report.not_claimed(), report.not_tried()), (0, 1), "{report}");
}

fn held(acquired: Acquired) -> LeaseToken {
    match acquired {
        Acquired::Held(token) => token,
        Acquired::Busy(left) => panic!("somebody else has it for {left:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_processes_gets_the_lease() {
    let server = RedisServer::start();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let lease = open(&server.url()).await.lease();
        tasks.spawn(async move { lease.acquire(&key("user"), secs(60)).await.unwrap() });
    }
    let acquired = tasks.join_all().await;
    let holders = acquired.iter().filter(|one| matches!(one, Acquired::Held(_))).count();
    assert_eq!(holders, 1, "{acquired:?}");
    let is_bounded = |one: &Acquired| match one {
        Acquired::Held(_) => true,
        Acquired::Busy(left) => *left <= secs(60) && *left > secs(1),
    };
    assert!(acquired.iter().all(is_bounded), "{acquired:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_rise_after_a_release_an_end_and_a_loss() {
    let server = RedisServer::start();
    let lease = open(&server.url()).await.lease();
    let user = key("user");
    let mut last = held(lease.acquire(&user, secs(60)).await.unwrap());
    lease.release(&user, last).await.unwrap();
    let second = held(lease.acquire(&user, ms(1)).await.unwrap());
    assert!(second > last);
    last = second;
    // It ends by itself.
    until_async("the lease is free", async || {
        match lease.acquire(&user, secs(60)).await.unwrap() {
            Acquired::Held(token) => {
                assert!(token > last);
                last = token;
                true
            }
            Acquired::Busy(_) => false,
        }
    })
    .await;
    server.cli(&["FLUSHALL"]);
    assert!(held(lease.acquire(&user, secs(60)).await.unwrap()) > last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_holder_is_refused_and_so_is_what_was_removed() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    let lease = backend.lease();
    let user = key("user");
    let how = |version| Put { version: Sequence(version), ttl: Some(secs(60)) };
    let late = held(lease.acquire(&user, secs(60)).await.unwrap());
    lease.release(&user, late).await.unwrap();
    let newer = held(lease.acquire(&user, secs(60)).await.unwrap());
    let put = lease.put(&user, "late".into(), how(9), late).await.unwrap();
    assert_eq!(put, PutOutcome::Fenced);
    assert_eq!(get(&*backend, &user).await.unwrap(), None);
    let put = lease.put(&user, "new".into(), how(5), newer).await.unwrap();
    assert_eq!(
        (put, get(&*backend, &user).await.unwrap().unwrap()),
        (PutOutcome::Stored, "new".into())
    );
    remove(&*backend, &user, 7).await.unwrap();
    let put = lease.put(&user, "older".into(), how(6), newer).await.unwrap();
    assert_eq!((put, get(&*backend, &user).await.unwrap()), (PutOutcome::Fenced, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_holder_holds_on_and_lets_go() {
    let server = RedisServer::start();
    let lease = open(&server.url()).await.lease();
    let user = key("user");
    let token = held(lease.acquire(&user, secs(60)).await.unwrap());
    let foreign = LeaseToken(token.0 - 1);
    assert!(!lease.renew(&user, foreign, secs(60)).await.unwrap());
    lease.release(&user, foreign).await.unwrap();
    assert!(matches!(lease.acquire(&user, secs(60)).await.unwrap(), Acquired::Busy(_)));
    assert!(lease.renew(&user, token, secs(600)).await.unwrap());
    let Acquired::Busy(left) = lease.acquire(&user, secs(60)).await.unwrap() else { panic!() };
    assert!(left > secs(300), "{left:?}");
    lease.release(&user, token).await.unwrap();
    let next = held(lease.acquire(&user, secs(60)).await.unwrap());
    assert!(!lease.renew(&user, token, secs(60)).await.unwrap(), "it is {next:?}'s by now");
}

/// Leases are no entries: nobody lists or clears them, and they end by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_no_entry_and_leaves_with_time() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    let lease = backend.lease();
    held(lease.acquire(&key("user"), secs(60)).await.unwrap());
    let prefix = cache_enterprise_core::KeyPrefix::manager("shop");
    assert!(backend.scan(&prefix, None, 100).await.unwrap().keys.is_empty());
    let names = server.cli(&["KEYS", "*"]);
    assert_eq!(names.lines().count(), 1);
    let left: i64 = server.cli(&["PTTL", &names]).parse().unwrap();
    assert!(left > 600_000 && left <= 660_000, "{left} ms");
    assert_eq!(backend.get(&key("user"), &OpContext::default()).await.unwrap(), None);
}
