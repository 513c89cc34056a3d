//! What processes tell each other through a cluster.
#![allow(clippy::unwrap_used)]

#[path = "support/hearing.rs"]
mod hearing;

use std::sync::Arc;

use cache_enterprise_core::coherence::{Bus, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{secs, tag};
use cache_enterprise_redis::{Redis, RedisBus};
use cache_enterprise_testkit::conformance::epoch_store::{self, Fixture};
use cache_enterprise_testkit::servers::RedisCluster;
use cache_enterprise_testkit::wait::until_async;
use tokio::task::block_in_place;

use hearing::{Ear, publish};

fn settings(cluster: &RedisCluster) -> Redis {
    Redis::cluster(cluster.urls()).unwrap().read_timeout(secs(3)).write_timeout(secs(3))
}

/// One start for all: it takes seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_numbers_and_epochs_and_loses_none_in_a_failover() {
    let cluster = RedisCluster::start(3, 1);
    // Nothing hangs in the suite: a busy machine makes it wait and not fail.
    let redis = settings(&cluster).read_timeout(secs(20)).write_timeout(secs(20));
    let report = epoch_store::run(|| async {
        for master in cluster.running().filter(|node| node.cli(&["ROLE"]).starts_with("master")) {
            master.cli(&["FLUSHALL"]);
        }
        let again = redis.clone();
        Fixture::new(Arc::new(redis.clone().open().await.unwrap().epochs())).reopen(move || {
            let again = again.clone();
            async move { Arc::new(again.open().await.unwrap().epochs()) as _ }
        })
    })
    .await;
    report.assert_passed();

    a_failover_makes_the_record_anew(&cluster).await;
}

async fn a_failover_makes_the_record_anew(cluster: &RedisCluster) {
    let store = settings(cluster).open().await.unwrap().epochs();
    let org = [EpochTarget::Tag(tag!("org:7"))];
    let before = store.load("shop", "acme", Sequence::ZERO).await.unwrap();
    let raised = store.raise("shop", "acme", &org, Sequence(1 << 60)).await.unwrap();
    let slot = block_in_place(|| cluster.slot_of("{shop:acme}epochs"));
    block_in_place(|| {
        let old = cluster.master_of(slot).address();
        cluster.node_at(&old).kill();
        cluster.await_new_master(slot, &old);
    });
    let answers = async || store.load("shop", "other", Sequence::ZERO).await.is_ok();
    until_async("the store answers again", answers).await;
    let answers = async || store.mark("shop", "acme").await.is_ok();
    until_async("the shard answers again", answers).await;
    assert_ne!(store.mark("shop", "acme").await.unwrap(), before.mark);
    let after = store.since("shop", "acme", before.mark, raised).await.unwrap();
    assert!(after.floor >= raised && after.sequence > raised, "{after:?} after {raised}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_are_heard_through_a_failover_and_a_move_of_their_slot_or_their_loss_is_told() {
    let cluster = RedisCluster::start(3, 1);
    let bus = RedisBus::with(settings(&cluster));
    let mut ear = Ear::on(&bus).await;
    let mut texts = Vec::new();
    let mut tell = async |bus: &RedisBus, name: &str, count: usize| {
        for number in 0..count {
            let text = format!("{name} {number}");
            publish(bus, &text).await;
            texts.push(text);
        }
        texts.clone()
    };
    tell(&bus, "before", 50).await;
    ear.until_current().await;

    let slot = block_in_place(|| cluster.slot_of("{shop:}log"));
    let old = block_in_place(|| cluster.master_of(slot).address());
    let other = block_in_place(|| {
        let mut masters = cluster.nodes()[..3].iter().map(|node| node.address());
        masters.find(|address| *address != old).unwrap()
    });
    block_in_place(|| cluster.migrate(slot, &other).finish());
    let told = tell(&bus, "moved", 50).await;
    ear.until_current().await;
    ear.assert_heard_all(&told);

    block_in_place(|| cluster.node_at(&other).kill());
    let told = tell(&bus, "failed over", 50).await;
    ear.until_current().await;
    ear.assert_heard(&told);
    let losses = ear.losses;
    let told = tell(&bus, "after", 50).await;
    ear.until_current().await;
    assert!(told.iter().rev().take(50).all(|text| ear.frames.contains(text)));
    assert_eq!(ear.losses, losses);
    bus.close().await.unwrap();
}

/// A master that hangs keeps its connections: nothing ends them but the listener itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_leaves_a_master_that_hangs() {
    let cluster = RedisCluster::start(3, 1);
    let bus = RedisBus::with(settings(&cluster));
    let mut ear = Ear::on(&bus).await;
    publish(&bus, "before").await;
    ear.until_current().await;
    let slot = block_in_place(|| cluster.slot_of("{shop:}log"));
    let old = block_in_place(|| cluster.master_of(slot).address());
    block_in_place(|| {
        cluster.node_at(&old).pause();
        cluster.await_new_master(slot, &old);
    });
    publish(&bus, "after").await;
    ear.until_current().await;
    ear.assert_heard(&["before".to_owned(), "after".to_owned()]);
    block_in_place(|| cluster.node_at(&old).resume());
}
