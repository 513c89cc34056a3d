//! What processes tell each other through a cluster.
#![allow(clippy::unwrap_used)]

#[path = "support/hearing.rs"]
mod hearing;

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{secs, tag};
use cache_enterprise_redis::{Password, Redis, RedisBus};
use cache_enterprise_testkit::conformance::epoch_store::{self, Fixture};
use cache_enterprise_testkit::conformance::{bus, lease};
use cache_enterprise_testkit::servers::RedisCluster;
use cache_enterprise_testkit::wait::until_async;
use tokio::task::block_in_place;
use tokio::time::timeout;

use hearing::{Ear, publish};

/// Small, so that the cases at the limit do not move half a gibibyte each.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Who may be shut out alone.
const GUEST: &str = "guest";

fn settings(cluster: &RedisCluster) -> Redis {
    Redis::cluster(cluster.urls()).unwrap().read_timeout(secs(3)).write_timeout(secs(3))
}

/// Nothing hangs in a suite: a busy machine makes it wait and not fail.
fn patient(cluster: &RedisCluster) -> Redis {
    settings(cluster).read_timeout(secs(20)).write_timeout(secs(20))
}

/// Asks every master of a cluster the same.
fn ask_all(cluster: &RedisCluster, command: &[&str]) {
    for master in cluster.running().filter(|node| node.cli(&["ROLE"]).starts_with("master")) {
        master.cli(command);
    }
}

/// One start for all: it takes seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_numbers_and_epochs_and_loses_none_in_a_failover() {
    let cluster = RedisCluster::start(3, 1);
    let redis = patient(&cluster);
    let report = epoch_store::run(|| async {
        ask_all(&cluster, &["FLUSHALL"]);
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

/// One start for both: it takes seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_passes_the_suites_of_leases_and_of_buses() {
    let cluster = Arc::new(RedisCluster::start(3, 0));
    leases_pass_the_suite(&cluster).await;
    buses_pass_the_suite(&cluster).await;
}

async fn leases_pass_the_suite(cluster: &RedisCluster) {
    let limited = patient(cluster).value_bytes_max(VALUE_BYTES_MAX);
    let report = lease::run(|| async {
        ask_all(cluster, &["FLUSHALL"]);
        let one = limited.clone().open().await.unwrap();
        let two = limited.clone().open().await.unwrap();
        let leases = [Arc::new(one.lease()), Arc::new(two.lease())];
        let [first, second] = leases;
        lease::Fixture::new(one, first, second).keep(two)
    })
    .await;
    report.assert_passed();
    // The one that lets an hour pass.
    assert_eq!((report.not_claimed(), report.not_tried()), (0, 1), "{report}");
}

/// A client goes where a cluster sends it, past any proxy: to cut one end off, every node throws
/// its user out and lets it in no more.
async fn buses_pass_the_suite(cluster: &Arc<RedisCluster>) {
    ask_all(cluster, &["ACL", "SETUSER", GUEST, "on", ">secret", "~*", "&*", "+@all"]);
    let report = bus::run(|| async {
        ask_all(cluster, &["ACL", "SETUSER", GUEST, "on"]);
        ask_all(cluster, &["FLUSHALL"]);
        let one = RedisBus::with(patient(cluster));
        let guest = patient(cluster).user(GUEST).password(Password::new("secret"));
        let two = Arc::new(RedisBus::with(guest));
        let (shut, cut, log) = (Arc::clone(&two), Arc::clone(cluster), Arc::clone(cluster));
        bus::Fixture::new(Arc::new(one), two)
            .cut(move |is_cut| {
                ask_all(&cut, &["ACL", "SETUSER", GUEST, if is_cut { "off" } else { "on" }]);
                if is_cut {
                    ask_all(&cut, &["CLIENT", "KILL", "USER", GUEST]);
                }
                await_shut(Arc::clone(&shut), is_cut)
            })
            .forget(move || {
                let slot = log.slot_of("{suite:}log");
                log.master_of(slot).cli(&["DEL", "{suite:}log"]);
                std::future::ready(())
            })
    })
    .await;
    report.assert_passed();
    assert_eq!(report.not_tried(), 0);
}

/// Waits until a bus that was cut off can publish nothing.
async fn await_shut(bus: Arc<RedisBus>, is_cut: bool) {
    let is_shut = async {
        while is_cut && bus.publish("elsewhere", Bytes::from_static(b"probe")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(secs(60), is_shut).await.expect("the nodes shut it out");
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
