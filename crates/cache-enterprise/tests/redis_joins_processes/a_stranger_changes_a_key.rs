use cache_enterprise::prelude::*;
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;

use super::Process;

/// A process whose bus tracks the keys of the server.
async fn tracking(server: &RedisServer) -> Process {
    Process::within(secs(20), &server.url(), |bus| bus.tracking(true)).await
}

/// What `redis-cli` calls the entry of a number that stands there alone.
fn only_entry(server: &RedisServer) -> String {
    let names = server.cli(&["--scan", "--pattern", "{fleet:*fleet::numbers:*"]);
    let mut names = names.lines();
    let name = names.next().expect("an entry").to_owned();
    assert_eq!(names.next(), None);
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_or_overwritten_by_hand_leaves_level_1() {
    let server = RedisServer::start();
    let process = tracking(&server).await;
    process.set(7, 70).await;
    process.keeps(7, 70).await;
    let name = only_entry(&server);
    assert_eq!(server.cli(&["DEL", &name]).trim(), "1");
    until_async("the copy is gone", async || process.peek(7).is_none()).await;
    assert_eq!(process.get(7).await, None);
    process.set(7, 71).await;
    process.keeps(7, 71).await;
    server.cli(&["SET", &name, "a stranger's"]);
    until_async("the copy is gone", async || process.peek(7).is_none()).await;
    assert_eq!(*process.cache.get_with(&7, || async { 72_u64 }).await, 72);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_writes_itself_stays() {
    let server = RedisServer::start();
    let one = tracking(&server).await;
    one.set(1, 10).await;
    one.keeps(1, 10).await;
    let heard = || one.manager.bus_stats().unwrap();
    let mut number = 10;
    // A machine that stands still raises a doubt, which ends copies: such a round says nothing.
    until_async("its own write comes back and nothing was doubted", async || {
        number += 1;
        let before = heard();
        one.set(1, number).await;
        until_async("its own write comes back", async || heard().touched > before.touched).await;
        let (kept, after) = (one.peek(1), heard());
        let is_calm = !before.is_in_doubt && after.doubts == before.doubts;
        assert!(!is_calm || kept == Some(number), "its own write ended {kept:?}");
        is_calm
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_killed_comes_back_and_its_gap_is_doubted() {
    let server = RedisServer::start();
    let process = tracking(&server).await;
    process.set(7, 70).await;
    process.keeps(7, 70).await;
    let name = only_entry(&server);
    for round in 1..=3_u64 {
        assert_eq!(server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).trim(), "1");
        // Perhaps while nobody is told.
        server.cli(&["DEL", &name]);
        until_async("the copy is gone", async || process.peek(7).is_none()).await;
        assert_eq!(process.get(7).await, None);
        let lost = || process.manager.bus_stats().unwrap().lost;
        until_async("the gap is a loss", async || lost() >= round).await;
        process.set(7, 70 + round).await;
        process.keeps(7, 70 + round).await;
    }
    server.cli(&["DEL", &name]);
    until_async("it is heard again", async || process.peek(7).is_none()).await;
}
