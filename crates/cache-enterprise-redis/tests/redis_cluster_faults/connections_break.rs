//! All nodes break all connections, again and again: what many clients see when a device between
//! them and a cluster restarts. Every shard is back each time.

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::Backend;
use cache_enterprise_testkit::servers::RedisCluster;
use cache_enterprise_testkit::wait::{until, until_async};
use tokio::task::block_in_place;

use super::traffic::{Fate, Traffic, backend_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shard_is_back() {
    let _alone = super::alone().await;
    let servers = RedisCluster::start(3, 0);
    let backend: Arc<dyn Backend> = backend_of(&servers).open().await.unwrap();
    let traffic = Traffic::on(&backend, "acme");
    let mut longest = Duration::ZERO;
    for _ in 0..8 {
        let before = traffic.now();
        until_async("every shard answers", async || {
            (0..3).all(|shard| traffic.answered(shard, before) > 50)
        })
        .await;
        let broken = traffic.now();
        block_in_place(|| {
            for node in servers.running() {
                until("the connections break", || {
                    // Two lanes a client; `redis-cli` spares itself.
                    node.cli(&["CLIENT", "KILL", "TYPE", "normal"]).parse::<u32>().unwrap() > 1
                });
            }
        });
        until_async("every shard answers again", async || {
            (0..3).all(|shard| traffic.answered(shard, broken) > 50)
        })
        .await;
        longest = longest.max(traffic.now() - broken);
    }
    let calls = traffic.end().await;
    println!("broken and back with 50 answers a shard, at most {longest:?}");
    let fates: Vec<Fate> = (0..3).map(|shard| Fate::of(shard, &calls)).collect();
    for fate in &fates {
        println!("{fate}");
        assert_eq!(fate.lost, [""; 0], "{fate}");
    }
    let failed: usize = fates.iter().map(|fate| fate.failed.len()).sum();
    assert!(failed > 0, "the calls met the breaks");
}
