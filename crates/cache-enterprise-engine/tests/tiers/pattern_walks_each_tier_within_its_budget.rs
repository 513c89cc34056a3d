//! A glob walks what each tier lists, pauses at its budget, and is kept where a tier cannot list.

use std::sync::Arc;

use cache_enterprise_core::{Clock, ErrorKind, mins, secs};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Happening, Reach, SweepWay, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode as ChaosMode};
use cache_enterprise_testkit::{ModelBackend, Seed};

use crate::{builder, tier};

static SPEC: CacheSpec<String, u64> = CacheSpec::new("texts").ttl(mins(5)).stale_if_error(mins(5));

struct World {
    clock: Clock,
    manager: CacheManager<MessagePack>,
    cache: Cache<String, u64>,
}

async fn world() -> World {
    let clock = Clock::manual();
    let model = || Arc::new(ModelBackend::new(clock.clone()));
    let manager = builder(&clock).l2(model()).l3(model()).codec(MessagePack);
    let manager = manager.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    World { clock, manager, cache }
}

async fn fill(cache: &Cache<String, u64>, count: u64) {
    for number in 0..count {
        cache.set(&format!("user:{number}:temp"), number).await;
        cache.set(&format!("user:{number}:name"), number).await;
    }
}

async fn left(cache: &Cache<String, u64>, count: u64) -> [usize; 2] {
    let mut left = [0, 0];
    for number in 0..count {
        for (kind, text) in ["temp", "name"].into_iter().enumerate() {
            let found = cache.get(&format!("user:{number}:{text}")).await.unwrap();
            left[kind] += usize::from(found.is_some());
        }
    }
    left
}

#[tokio::test]
async fn what_matches_leaves_every_level_and_the_rest_stays() {
    let World { cache, manager, .. } = world().await;
    let acme = manager.tenant("acme").unwrap().open(&SPEC).unwrap();
    fill(&cache, 20).await;
    fill(&acme, 1).await;
    // Half of it is in the tiers alone.
    cache.drop_level1();
    for number in 0..10 {
        cache.get(&format!("user:{number}:temp")).await.unwrap();
    }
    let report = cache.delete_pattern("user:*:temp").await.unwrap();
    assert_eq!((report.matched, report.next), (20, None));
    assert_eq!(left(&cache, 20).await, [0, 20]);
    assert_eq!(left(&acme, 1).await, [1, 1], "another tenant's keys are none of its");
}

#[tokio::test]
async fn listeners_hear_of_the_keys_that_tiers_alone_hold() {
    let World { cache, manager, .. } = world().await;
    fill(&cache, 2).await;
    cache.drop_level1();
    let mut events = manager.events(100);
    cache.expire_pattern("*:name").await.unwrap();
    cache.delete_pattern("*:temp").await.unwrap();
    let (mut expired, mut removed) = (Vec::new(), Vec::new());
    while let Some(happening) = events.try_recv() {
        match happening {
            Happening::Expired { cache, keys, is_heard: false, .. } if cache == "texts" => {
                expired.extend(keys);
            }
            Happening::Removed { cache, keys, .. } if cache == "texts" => removed.extend(keys),
            other => panic!("{other:?}"),
        }
    }
    expired.sort();
    removed.sort();
    let each_level = ["user%3A0%3Aname", "user%3A0%3Aname", "user%3A1%3Aname", "user%3A1%3Aname"];
    assert_eq!(expired, each_level);
    assert_eq!(removed, ["user%3A0%3Atemp", "user%3A1%3Atemp"]);
}

#[tokio::test]
async fn a_budget_pauses_and_the_cursor_goes_on() {
    let World { cache, .. } = world().await;
    fill(&cache, 50).await;
    cache.drop_level1();
    let (mut next, mut rounds, mut matched) = (None, 0, 0);
    loop {
        let report = cache.delete_pattern("*:temp").keys_max(30).resume(next).await.unwrap();
        assert!(report.listed <= 31, "{report:?}");
        matched += report.matched;
        rounds += 1;
        next = report.next;
        if next.is_none() {
            break;
        }
    }
    assert!(rounds >= 4 && matched == 50, "{rounds} rounds, {matched} keys");
    assert_eq!(left(&cache, 50).await, [0, 50]);
}

#[tokio::test]
async fn lives_get_shorter_in_the_tiers_and_soft_ends_leave_a_fallback() {
    let World { cache, clock, .. } = world().await;
    fill(&cache, 3).await;
    cache.expire_pattern("*:temp").ttl(secs(60)).await.unwrap();
    cache.drop_level1();
    clock.advance(secs(59));
    assert_eq!(left(&cache, 3).await, [3, 3]);
    cache.drop_level1();
    clock.advance(secs(1));
    assert_eq!(left(&cache, 3).await, [0, 3]);

    cache.expire_pattern("*:name").await.unwrap();
    cache.drop_level1();
    assert_eq!(left(&cache, 3).await, [0, 0]);
    let load = || async { Err::<u64, _>("the origin is down") };
    assert_eq!(*cache.try_get_with("user:2:name", load).await.unwrap(), 2);
}

#[tokio::test]
async fn what_a_tier_did_not_do_is_in_the_report() {
    let clock = Clock::manual();
    let tier = Arc::new(ModelBackend::new(clock.clone()));
    let tier = Arc::new(ChaosBackend::new(tier, Seed(7)));
    let manager = builder(&clock).l2(Tier::new(tier.clone()).bare()).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    fill(&cache, 40).await;
    cache.drop_level1();
    for fate in ["shortened", "expired", "deleted"] {
        let sweep = || match fate {
            "shortened" => cache.expire_pattern("*:temp").ttl(secs(60)),
            "expired" => cache.expire_pattern("*:temp"),
            _ => cache.delete_pattern("*:temp"),
        };
        tier.set(ChaosMode::FailShare(0.5));
        let report = loop {
            // A listing that fails is the call's error.
            if let Ok(report) = sweep().await {
                break report;
            }
        };
        assert!(report.failure.is_some(), "{report:?}");
        tier.set(ChaosMode::Healthy);
        let report = sweep().await.unwrap();
        assert!(report.failure.is_none(), "{report:?}");
    }
    assert_eq!(left(&cache, 40).await, [0, 40]);
}

#[tokio::test]
async fn a_tier_that_cannot_list_is_compared_as_it_is_read() {
    let clock = Clock::manual();
    let model = Arc::new(ModelBackend::new(clock.clone()));
    let manager = builder(&clock).l2(model).l3(tier("mute")).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    fill(&cache, 2).await;
    let error = cache.expire_pattern("*:temp").ttl(secs(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("mute"), "{error}");
    assert_eq!(left(&cache, 2).await, [2, 2]);
    let report = cache.delete_pattern("*:temp").await.unwrap();
    assert_eq!(report.way, SweepWay::Lazy { cache_ended_at: None });
    assert_eq!(report.receipt.unwrap().reach, Reach::Process, "no tier keeps epochs here");
    cache.drop_level1();
    assert_eq!(left(&cache, 2).await, [0, 2]);
    assert_eq!(cache.delete_pattern("*").await.unwrap().way, SweepWay::Epoch);
    assert_eq!(left(&cache, 2).await, [0, 0]);
}
