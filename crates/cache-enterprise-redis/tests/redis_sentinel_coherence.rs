//! What processes tell each other through a primary behind Sentinel, and what a failover does.
#![allow(clippy::unwrap_used)]

#[path = "support/hearing.rs"]
mod hearing;

use std::sync::Arc;

use cache_enterprise_core::coherence::{EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{secs, tag};
use cache_enterprise_redis::{Redis, RedisBus};
use cache_enterprise_testkit::conformance::epoch_store::{self, Fixture};
use cache_enterprise_testkit::servers::RedisSentinels;
use cache_enterprise_testkit::wait::until_async;
use tokio::task::block_in_place;

use hearing::{Ear, publish};

fn settings(servers: &RedisSentinels) -> Redis {
    let redis = Redis::sentinel(servers.master_name(), servers.sentinel_addresses()).unwrap();
    redis.read_timeout(secs(3)).write_timeout(secs(3))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_behind_sentinels_passes_the_suite_of_epochs() {
    let servers = RedisSentinels::start();
    // Nothing hangs here: a busy machine makes it wait and not fail.
    let redis = settings(&servers).read_timeout(secs(20)).write_timeout(secs(20));
    let report = epoch_store::run(|| async {
        servers.primary().cli(&["FLUSHALL"]);
        let again = redis.clone();
        Fixture::new(Arc::new(redis.clone().open().await.unwrap().epochs())).reopen(move || {
            let again = again.clone();
            async move { Arc::new(again.open().await.unwrap().epochs()) as _ }
        })
    })
    .await;
    report.assert_passed();
}

/// The replica that takes over had not heard of the newest raise and the newest frame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_a_replica_that_is_behind_loses_no_invalidation() {
    let servers = RedisSentinels::start();
    let backend = settings(&servers).open().await.unwrap();
    let (store, bus) = (backend.epochs(), RedisBus::sharing(&backend));
    let mut ear = Ear::on(&bus).await;
    publish(&bus, "before").await;
    ear.until_current().await;
    let known = store.load("shop", "acme", Sequence::ZERO).await.unwrap();

    // The replicas stop hearing of their primary, which is then killed.
    let primary = block_in_place(|| {
        let primary = servers.primary();
        let replicas = servers.servers().iter().filter(|server| server.port() != primary.port());
        replicas.for_each(|replica| replica.pause());
        primary
    });
    let org = [EpochTarget::Tag(tag!("org:7"))];
    let lost = store.raise("shop", "acme", &org, known.sequence).await.unwrap();
    publish(&bus, "lost").await;
    block_in_place(|| {
        let old = primary.address();
        primary.kill();
        let replicas = servers.servers().iter().filter(|server| server.port() != primary.port());
        replicas.for_each(|replica| replica.resume());
        servers.await_new_primary(&old);
    });
    // Over each of its connections; the root's record is looked at alone.
    let answers = async || store.load("shop", "", Sequence::ZERO).await.is_ok();
    until_async("the store answers again", answers).await;
    assert_ne!(store.mark("shop", "acme").await.unwrap(), known.mark);
    // A process that never heard of the lost raise.
    let after = store.since("shop", "acme", known.mark, known.sequence).await.unwrap();
    assert!(after.floor >= lost, "{} is below the raise {lost} that was acknowledged", after.floor);
    publish(&bus, "after").await;
    ear.until_current().await;
    ear.assert_heard(&["before".to_owned(), "lost".to_owned(), "after".to_owned()]);
}
