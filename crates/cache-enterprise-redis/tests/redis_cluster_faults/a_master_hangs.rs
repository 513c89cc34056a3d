//! A master of a cluster hangs: its process is stopped, its sockets stay open. A replica is
//! promoted; the watchdog has to find it while the other shards notice nothing.

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Backend, BackendHealth, OpContext, secs};
use cache_enterprise_testkit::servers::RedisCluster;
use cache_enterprise_testkit::wait::{until, until_async};
use tokio::task::block_in_place;

use super::traffic::{Fate, Traffic, backend_of, home, keys_of};

/// What is promised is 3 s after the election; a busy machine may take ten times as long.
const BACK_WITHIN: Duration = secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_shard_is_back_after_the_election_and_stays_away_without_the_watchdog() {
    let _alone = super::alone().await;
    let servers = RedisCluster::start(3, 1);
    let watched: Arc<dyn Backend> = backend_of(&servers).open().await.unwrap();
    let unwatched: Arc<dyn Backend> = backend_of(&servers).unwatched().open().await.unwrap();
    let key = keys_of(&*watched, "watched", 1, 1).remove(0);
    let shard = watched.node(&key);
    let without_shard = unwatched.node(&key);
    let traffic = Traffic::on(&watched, "watched");
    let without = Traffic::on(&unwatched, "unwatched");
    until_async("every shard answers", async || {
        (0..3).all(|shard| traffic.answered(shard, Duration::ZERO) > 50)
            && (0..3).all(|shard| without.answered(shard, Duration::ZERO) > 50)
    })
    .await;

    let (hung, slot) = block_in_place(|| home(&servers, &key));
    let (fell, fell_without) = (traffic.now(), without.now());
    hung.pause();
    until_async("the hung shard is told", async || {
        matches!(watched.health().await, BackendHealth::Degraded(why) if why.contains(&hung.address()))
    })
    .await;
    block_in_place(|| servers.await_new_master(slot, &hung.address()));
    let elected = traffic.now();
    until_async("the shard answers again", async || traffic.answered(shard, elected) > 50).await;
    // All this time the other one did not find its way, and it will not while the master hangs.
    // Its calls of before the fall have ended by then.
    let others = (0..3).filter(|other| *other != without_shard);
    let goes_on = |shard: u32| without.answered(shard, fell_without) > 200;
    until_async("the others go on", async || others.clone().all(goes_on)).await;
    assert_eq!(without.answered(without_shard, fell_without + secs(3)), 0, "red without it");
    until_async("health is well", async || watched.health().await == BackendHealth::Up).await;

    // The old master comes back and believes in itself for a moment. Nobody writes to it.
    let resumed = traffic.now();
    hung.resume();
    block_in_place(|| {
        until("the old master follows", || hung.cli(&["ROLE"]).starts_with("slave"));
        servers.await_whole();
    });
    let demoted = traffic.now();
    until_async("calls go on", async || traffic.answered(shard, demoted) > 100).await;
    let calls = traffic.end().await;
    without.end().await;

    println!("hung at {fell:?}, replica promoted at {elected:?}, resumed at {resumed:?}");
    let fates: Vec<Fate> = (0..3).map(|shard| Fate::of(shard, &calls)).collect();
    for fate in &fates {
        println!("{fate}");
        assert_eq!(fate.lost, [""; 0], "shard {}", fate.shard);
        if fate.shard != shard {
            assert_eq!(fate.failed, [""; 0], "shard {} is well", fate.shard);
        }
    }
    let fate = &fates[shard as usize];
    let back = fate.back.expect("the shard came back");
    println!("back {:?} after the election", back.saturating_sub(elected));
    assert!(!fate.failed.is_empty(), "the master did hang");
    assert!(back < elected + BACK_WITHIN, "{fate}");
    assert!(back < resumed, "the old master was not waited for: {fate}");

    // What was acknowledged since is at the new master, and came to the old one with it.
    let value = watched.get(&key, &OpContext::default()).await.unwrap().unwrap();
    let (now, _) = block_in_place(|| home(&servers, &key));
    assert_ne!(now.address(), hung.address());
    assert_eq!(value.len(), 8);
}
