//! memcached cannot list its keys: what a glob matches there is refused when it is read.
//!
//! A process is a manager with connections of its own; nothing but the server joins them.
#![allow(clippy::unwrap_used)]

use std::future::IntoFuture;

use cache_enterprise::prelude::*;
use cache_enterprise::{Reach, Receipt, SweepReport, SweepWay};
use cache_enterprise_core::coherence::PATTERNS_MAX;
use cache_enterprise_testkit::servers::MemcachedServer;
use cache_enterprise_testkit::wait::until_async;
use twox_hash::XxHash3_128;

static TEXTS: CacheSpec<String, u64> =
    CacheSpec::new("texts").ttl(hours(1)).stale_if_error(hours(1));

type Texts = Cache<String, u64>;

/// One process.
async fn process(server: &MemcachedServer) -> Texts {
    let memcached = Memcached::servers([server.address()]).unwrap();
    let patient = memcached.connect_timeout(secs(20)).read_timeout(secs(20));
    let manager = CacheManager::builder("shop")
        .l2(Tier::new(patient.write_timeout(secs(20))).timeout(secs(20)))
        .codec(MessagePack)
        .build()
        .await
        .unwrap();
    manager.open(&TEXTS).unwrap()
}

/// Sets a value, again until the server has it: a busy machine may be late.
async fn set(cache: &Texts, key: &str, value: u64) {
    until_async("the server has the value", async || {
        cache.set(key, value).strict().into_future().await.is_ok()
    })
    .await;
}

/// Deletes by a pattern, or expires where `is_soft`, again until the server has it.
async fn end(cache: &Texts, pattern: &str, is_soft: bool) -> (SweepReport, Receipt) {
    let mut ended = None;
    until_async("the server has the pattern", async || {
        let sweep = match is_soft {
            true => cache.expire_pattern(pattern),
            false => cache.delete_pattern(pattern),
        };
        let report = sweep.await.unwrap();
        let receipt = report.receipt.clone().expect("nothing is walked");
        let is_stored = receipt.reach == Reach::Stored && receipt.failure.is_none();
        ended = is_stored.then_some((report, receipt));
        is_stored
    })
    .await;
    ended.expect("it was waited for")
}

/// What the server and the epochs make of a key, whatever level 1 holds.
async fn below(cache: &Texts, key: &str) -> Option<u64> {
    let mut found = None;
    until_async("the server answers", async || {
        cache.drop_level1();
        found = cache.get_strict(key).await.ok();
        found.is_some()
    })
    .await;
    found.flatten().map(|value| *value)
}

/// What answers in the place of a load that fails.
async fn fallback(cache: &Texts, key: &str) -> Option<u64> {
    let broken = || async { Err::<u64, _>("the origin is down") };
    cache.try_get_with(key, broken).await.ok().map(|value| *value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_matches_is_hidden_at_once_from_every_process_and_nothing_else() {
    let server = MemcachedServer::start();
    let (one, other) = (process(&server).await, process(&server).await);
    for key in ["user:1:temp", "user:2:temp", "user:1:name"] {
        set(&one, key, 1).await;
        assert_eq!(below(&other, key).await, Some(1));
    }
    let (report, _) = end(&one, "user:*:temp", false).await;
    assert_eq!(report.way, SweepWay::Lazy { cache_ended_at: None });
    assert_eq!((report.matched, report.next), (0, None), "nothing is counted");
    assert!(one.peek("user:1:temp").is_none() && one.peek("user:1:name").is_some());
    let late = process(&server).await;
    for cache in [&one, &other, &late] {
        assert_eq!(below(cache, "user:1:temp").await, None);
        assert_eq!(below(cache, "user:2:temp").await, None);
        assert_eq!(below(cache, "user:1:name").await, Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_values_after_the_pattern_are_served() {
    let server = MemcachedServer::start();
    let (one, other) = (process(&server).await, process(&server).await);
    set(&one, "user:1:temp", 1).await;
    end(&one, "user:*:temp", false).await;
    // Without a bus a process learns of it when it reads: a load is as old as its start.
    assert_eq!(below(&other, "user:1:temp").await, None);
    until_async("what was loaded is there", async || {
        assert_eq!(*other.get_with("user:1:temp", || async { 2_u64 }).await, 2);
        below(&other, "user:1:temp").await == Some(2)
    })
    .await;
    set(&other, "user:3:temp", 3).await;
    for cache in [&one, &other] {
        assert_eq!(below(cache, "user:1:temp").await, Some(2));
        assert_eq!(below(cache, "user:3:temp").await, Some(3));
    }
    end(&one, "user:*:temp", false).await;
    assert_eq!(below(&other, "user:1:temp").await, None, "the same pattern once more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_end_is_a_fallback_in_every_process_until_a_hard_one() {
    let server = MemcachedServer::start();
    let (one, other) = (process(&server).await, process(&server).await);
    set(&one, "user:1:temp", 1).await;
    end(&one, "user:*", true).await;
    for cache in [&one, &other] {
        assert_eq!(below(cache, "user:1:temp").await, None);
        until_async("the older value answers", async || {
            fallback(cache, "user:1:temp").await == Some(1)
        })
        .await;
    }
    end(&one, "user:*", false).await;
    for cache in [&one, &other] {
        cache.drop_level1();
        assert_eq!(fallback(cache, "user:1:temp").await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_patterns_than_are_kept_end_what_is_older_than_the_oldest() {
    let server = MemcachedServer::start();
    let (one, other) = (process(&server).await, process(&server).await);
    set(&one, "old", 1).await;
    let oldest = end(&one, "x0:*", false).await.1.sequence;
    set(&one, "young", 2).await;
    for number in 1..PATTERNS_MAX {
        end(&one, &format!("x{number}:*"), false).await;
    }
    assert_eq!((below(&other, "old").await, below(&other, "young").await), (Some(1), Some(2)));
    let (report, _) = end(&one, "one too many", false).await;
    assert_eq!(report.way, SweepWay::Lazy { cache_ended_at: Some(oldest) });
    let late = process(&server).await;
    for cache in [&one, &other, &late] {
        assert_eq!((below(cache, "old").await, below(cache, "young").await), (None, Some(2)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_lost_ends_everything_older() {
    let server = MemcachedServer::start();
    let (one, other) = (process(&server).await, process(&server).await);
    for key in ["user:1:temp", "user:1:name"] {
        set(&one, key, 1).await;
    }
    end(&one, "user:*:temp", false).await;
    let hash = |name: &str| format!("{:032x}", XxHash3_128::oneshot(name.as_bytes()));
    let record = format!("@t{}{}", hash("shop"), hash(""));
    assert_eq!(server.ask(&format!("delete {record}")), "DELETED");
    for cache in [&other, &one] {
        assert_eq!(below(cache, "user:1:temp").await, None, "the pattern is forgotten with it");
        assert_eq!(below(cache, "user:1:name").await, None, "and nobody knows what else was");
    }
    set(&one, "user:1:name", 2).await;
    assert_eq!(below(&other, "user:1:name").await, Some(2));
}
