//! A life that a pattern shortened is that short in level 1 of other processes too.

use cache_enterprise_core::secs;
use cache_enterprise_engine::Happening;

use super::Fleet;

#[tokio::test(start_paused = true)]
async fn copies_of_others_go_and_the_tier_gives_the_rest_of_the_life() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    for key in [10, 11, 20] {
        one.set(key, key).await;
        assert_eq!(other.get(key).await, Some(key));
    }
    let report = one.cache.expire_pattern("1?").ttl(secs(10)).await.unwrap();
    assert!(report.failure.is_none(), "{report:?}");
    other.heard("both copies are gone", || [10, 11].map(|key| other.peek(key)) == [None; 2]).await;
    assert_eq!(other.peek(20), Some(20), "it did not match");
    assert_eq!((other.get(10).await, other.get(11).await), (Some(10), Some(11)));
    assert_eq!(other.peek(10), Some(10), "it has climbed again");
    fleet.clock.advance(secs(9));
    assert_eq!((one.get(10).await, other.get(10).await), (Some(10), Some(10)));
    fleet.clock.advance(secs(1));
    for process in [&one, &other] {
        assert_eq!((process.get(10).await, process.get(11).await), (None, None));
        assert_eq!(process.get(20).await, Some(20));
    }
}

#[tokio::test(start_paused = true)]
async fn what_ends_sooner_anyway_is_told_to_nobody() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.process().await, fleet.process().await);
    one.set(10, 10).await;
    one.cache.expire_pattern("1?").ttl(secs(10)).await.unwrap();
    other.heard("both", || other.manager.bus_stats().unwrap().heard >= 2).await;
    let mut events = other.manager.events(100);
    one.cache.expire_pattern("1?").ttl(secs(20)).await.unwrap();
    one.set(20, 20).await;
    other.heard("the set", || other.manager.bus_stats().unwrap().heard >= 3).await;
    let first = events.try_recv();
    assert!(
        matches!(&first, Some(Happening::Changed { keys, .. }) if keys == &["20"]),
        "{first:?}"
    );
}
