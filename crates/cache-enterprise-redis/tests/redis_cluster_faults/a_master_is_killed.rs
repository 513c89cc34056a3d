//! A master of a cluster is killed. Its shard is away until a replica is promoted, the others
//! notice nothing; what fails in one shard fails no call of another.

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Backend, OpContext, secs};
use cache_enterprise_testkit::servers::RedisCluster;
use cache_enterprise_testkit::wait::until_async;
use tokio::task::block_in_place;

use super::traffic::{Fate, Traffic, backend_of, home, keys_of};

/// What is promised is 3 s after the election; a busy machine may take ten times as long.
const BACK_WITHIN: Duration = secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_and_its_shard_is_back_after_the_election() {
    let _alone = super::alone().await;
    let servers = RedisCluster::start(3, 1);
    let backend: Arc<dyn Backend> = backend_of(&servers).open().await.unwrap();
    let key = keys_of(&*backend, "acme", 2, 1).remove(0);
    let shard = backend.node(&key);
    let traffic = Traffic::on(&backend, "acme");
    until_async("every shard answers", async || {
        (0..3).all(|shard| traffic.answered(shard, Duration::ZERO) > 50)
    })
    .await;

    let (killed, slot) = block_in_place(|| home(&servers, &key));
    let fell = traffic.now();
    killed.kill();
    // A batch over all shards has the answers of those that live.
    let healthy: Vec<_> = (0..2).flat_map(|other| keys_of(&*backend, "acme", other, 4)).collect();
    let found = backend.get_many(&healthy, &OpContext::default()).await.unwrap();
    assert!(found.iter().all(Option::is_some), "{found:?}");

    block_in_place(|| servers.await_new_master(slot, &killed.address()));
    let elected = traffic.now();
    until_async("the shard answers again", async || traffic.answered(shard, elected) > 50).await;
    assert_eq!(backend.node(&key), shard, "a shard keeps its number when its master is replaced");

    // The killed one comes back as a replica, and its master falls: the table was kept up to date.
    killed.restart();
    block_in_place(|| servers.await_whole());
    let (second, _) = block_in_place(|| home(&servers, &key));
    let fell_again = traffic.now();
    second.kill();
    block_in_place(|| servers.await_new_master(slot, &second.address()));
    let elected_again = traffic.now();
    until_async("the shard answers once more", async || {
        traffic.answered(shard, elected_again) > 50
    })
    .await;
    let calls = traffic.end().await;

    println!("killed at {fell:?}, replica promoted at {elected:?}");
    println!("killed again at {fell_again:?}, replica promoted at {elected_again:?}");
    for fate in (0..3).map(|shard| Fate::of(shard, &calls)) {
        println!("{fate}");
        assert_eq!(fate.lost, [""; 0], "shard {}", fate.shard);
        match fate.back {
            _ if fate.shard != shard => assert_eq!(fate.failed, [""; 0], "shard {}", fate.shard),
            Some(back) => {
                println!("back {:?} after the election", back.saturating_sub(elected_again));
                assert!(back < elected_again + BACK_WITHIN, "{fate}");
            }
            None => panic!("the shard did not fail: {fate}"),
        }
    }
}
