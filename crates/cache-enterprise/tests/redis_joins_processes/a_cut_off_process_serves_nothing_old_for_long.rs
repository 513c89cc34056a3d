use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;

use super::Process;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_level_1_is_doubted_and_what_it_missed_is_heard_when_it_is_back() {
    let server = RedisServer::start();
    let proxy = TcpProxy::to(&server.address());
    let mine = Process::at(&server.url()).await;
    let cut = Process::hasty_at(&server.url_at(&proxy.address())).await;
    for (round, fault) in [Fault::BlackHole, Fault::Reset, Fault::Stall].into_iter().enumerate() {
        let round = 10 * round as u64;
        for key in 0..3 {
            mine.set(key, round).await;
            cut.keeps(key, round).await;
        }
        proxy.set(fault);
        mine.set(0, round + 1).await;
        mine.cache.remove(&1).await;
        until_async("level 1 is doubted", async || (0..3).all(|key| cut.peek(key).is_none())).await;
        for key in 0..3 {
            let found = cut.cache.get(&key).await.ok().flatten().map(|number| *number);
            assert!(found != Some(round) || key == 2, "{fault:?}: key {key} is old");
        }
        proxy.heal();
        cut.keeps(0, round + 1).await;
        assert_eq!(cut.get(1).await, None, "{fault:?}");
        cut.keeps(2, round).await;
    }
}
