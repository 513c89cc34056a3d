use cache_enterprise::prelude::*;
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;

use super::Process;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_a_replaced_and_an_invalidated_number_leave_the_level_1_of_the_other() {
    let server = RedisServer::start();
    let (mine, other) = (Process::at(&server.url()).await, Process::at(&server.url()).await);
    for round in 0..20 {
        mine.set(1, round).await;
        other.keeps(1, round).await;
        mine.cache.remove(&1).await;
        until_async("the removal is heard", async || other.peek(1).is_none()).await;
        assert_eq!(other.get(1).await, None, "round {round}");

        mine.set(2, round).await;
        other.keeps(2, round).await;
        mine.set(2, round + 100).await;
        other.keeps(2, round + 100).await;

        mine.set(3, round).await;
        other.keeps(3, round).await;
        mine.manager.invalidate(tag!("all")).await;
        until_async("the invalidation is heard", async || other.peek(3).is_none()).await;
        assert_eq!(other.get(3).await, None, "round {round}");
    }
}

/// The bus may be late; who reaches the shared level never sees what was ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_the_shared_level_sees_no_ended_number_whether_it_heard_or_not() {
    let server = RedisServer::start();
    let (mine, other) = (Process::at(&server.url()).await, Process::at(&server.url()).await);
    for key in 0..200 {
        mine.set(key, key).await;
        mine.manager.invalidate(tag!("all")).await;
        // Never read here before, so it is no business of level 1.
        assert_eq!(other.get(key).await, None, "key {key}");
    }
}
