use cache_enterprise::prelude::*;
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;

use super::Process;

/// The copy has the values, and neither the removal nor the invalidation that ended them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_saved_before_an_end_and_restarted_after_it() {
    let server = RedisServer::options().arg("save", "3600 1").start();
    let (mine, other) = (Process::at(&server.url()).await, Process::at(&server.url()).await);
    for key in 0..3 {
        mine.set(key, key).await;
        other.keeps(key, key).await;
    }
    assert_eq!(server.cli(&["SAVE"]), "OK");
    mine.cache.remove(&0).await;
    mine.manager.invalidate(tag!("all")).await;
    server.kill();
    server.restart();
    assert!(server.cli(&["KEYS", "*"]).contains("fleet::numbers:0"), "the copy has the value");
    for process in [&mine, &other] {
        for key in 0..3 {
            until_async("the level answers again", async || process.cache.get(&key).await.is_ok())
                .await;
            assert_eq!(process.get(key).await, None, "key {key} came back");
        }
    }
    // Who finds the loss last ends once more whatever was written before, and a breaker may be open.
    until_async("the fleet goes on", async || {
        let is_there = other.get(9).await == Some(9);
        if !is_there {
            let _ = mine.cache.set(&9, 9_u64).strict().into_future().await;
        }
        is_there && other.peek(9) == Some(9)
    })
    .await;
}
