//! A glob over a tier that cannot list its keys is kept and compared with what is read: it ends
//! what matches at once, in every process, and nothing else.

use std::future::IntoFuture;

use cache_enterprise_core::coherence::{PATTERN_BYTES_MAX, PATTERNS_MAX};
use cache_enterprise_core::{Backend, Capabilities, ErrorKind, mins, secs};
use cache_enterprise_engine::{Cache, CacheSpec, Reach, SweepReport, SweepWay};
use cache_enterprise_testkit::coherence::Link;

use super::{Fleet, Process};

static TEXTS: CacheSpec<String, u64> =
    CacheSpec::new("texts").ttl(mins(60)).stale_if_error(mins(5)).negative_ttl(mins(5));

type Texts = Cache<String, u64>;

/// Processes over a tier that cannot list its keys.
fn mute() -> Fleet {
    let fleet = Fleet::new();
    let capabilities = Capabilities { scan: false, ..fleet.tier.capabilities() };
    Fleet { tier: fleet.tier.claiming(capabilities), ..fleet }
}

async fn process(fleet: &Fleet) -> (Process, Texts) {
    let process = fleet.process().await;
    let texts = process.manager.open(&TEXTS).unwrap();
    (process, texts)
}

async fn set(cache: &Texts, key: &str, value: u64) {
    cache.set(key, value).strict().into_future().await.unwrap();
}

async fn get(cache: &Texts, key: &str) -> Option<u64> {
    cache.get(key).await.unwrap().map(|value| *value)
}

/// What the report must say: nothing was counted, and how far it reached.
#[track_caller]
fn expect_lazy(report: &SweepReport) {
    assert_eq!(report.way, SweepWay::Lazy { cache_ended_at: None });
    assert_eq!((report.listed, report.matched), (0, 0));
    let receipt = report.receipt.as_ref().unwrap();
    assert!(receipt.reach == Reach::Published && receipt.failure.is_none(), "{receipt:?}");
}

#[tokio::test(start_paused = true)]
async fn what_matches_is_refused_at_once_in_every_process_and_nothing_else() {
    let fleet = mute();
    let ((_one, texts), (other, others)) = (process(&fleet).await, process(&fleet).await);
    let (deaf, deafs) = process(&fleet).await;
    for key in ["user:1:temp", "user:2:temp", "user:1:name", "a:b%c:temp"] {
        set(&texts, key, 1).await;
        assert_eq!((get(&others, key).await, get(&deafs, key).await), (Some(1), Some(1)));
    }
    deaf.bus.set(Link::Deaf);
    deafs.drop_level1();
    expect_lazy(&texts.delete_pattern("user:*:temp").await.unwrap());
    expect_lazy(&texts.delete_pattern("a:b%?:*").await.unwrap());
    assert!(texts.peek("user:1:temp").is_none() && texts.peek("user:1:name").is_some());
    other.heard("the patterns", || others.peek("a:b%c:temp").is_none()).await;
    assert!(others.peek("user:2:temp").is_none() && others.peek("user:1:name").is_some());
    for cache in [&texts, &others, &deafs] {
        for key in ["user:1:temp", "user:2:temp", "a:b%c:temp"] {
            assert_eq!(get(cache, key).await, None, "{key}");
        }
        assert_eq!(get(cache, "user:1:name").await, Some(1));
    }
    set(&texts, "user:1:temp", 2).await;
    for cache in [&texts, &others, &deafs] {
        assert_eq!(get(cache, "user:1:temp").await, Some(2), "what came after is served");
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_the_pattern_overtook_is_served_to_nobody_after() {
    let fleet = mute();
    let (_one, texts) = process(&fleet).await;
    let load = || async {
        texts.delete_pattern("user:*:temp").await.unwrap();
        7_u64
    };
    assert_eq!(*texts.get_with("user:1:temp", load).await, 7, "its own caller asked before");
    assert_eq!(*texts.get_with("user:1:name", || async { 8_u64 }).await, 8);
    assert!(texts.peek("user:1:temp").is_none() && texts.peek("user:1:name").is_some());
    texts.drop_level1();
    assert_eq!(get(&texts, "user:1:temp").await, None, "the tier's copy is from before it too");
}

#[tokio::test(start_paused = true)]
async fn a_known_absence_that_matches_is_asked_for_again() {
    let fleet = mute();
    let (_one, texts) = process(&fleet).await;
    for key in ["user:1:temp", "user:1:name"] {
        assert!(texts.get_opt_with(key, || async { None::<u64> }).await.is_none());
    }
    texts.delete_pattern("*:temp").await.unwrap();
    let found = |key| texts.get_opt_with(key, || async { Some(1_u64) });
    assert!(found("user:1:temp").await.is_some());
    assert!(found("user:1:name").await.is_none(), "that one is still known");
}

#[tokio::test(start_paused = true)]
async fn a_soft_end_leaves_a_fallback_and_a_hard_one_none() {
    let fleet = mute();
    let ((_one, texts), (_other, others)) = (process(&fleet).await, process(&fleet).await);
    let broken = || async { Err::<u64, _>("the origin is down") };
    for key in ["a:1", "a:2", "b:1"] {
        set(&texts, key, 1).await;
    }
    texts.delete_pattern("a:2").await.unwrap();
    expect_lazy(&texts.expire_pattern("a:*").await.unwrap());
    for cache in [&texts, &others] {
        assert_eq!((get(cache, "a:1").await, get(cache, "b:1").await), (None, Some(1)));
        assert_eq!(*cache.try_get_with("a:1", broken).await.unwrap(), 1);
        assert!(cache.try_get_with("a:2", broken).await.is_err(), "hard beats soft");
    }
    texts.delete_pattern("a:[0-9]").await.unwrap();
    for cache in [&texts, &others] {
        cache.drop_level1();
        assert!(cache.try_get_with("a:1", broken).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn more_patterns_than_are_kept_end_the_cache_and_say_so() {
    let fleet = mute();
    let ((_one, texts), (_other, others)) = (process(&fleet).await, process(&fleet).await);
    set(&texts, "old", 1).await;
    let first = texts.delete_pattern("x0:*").await.unwrap().receipt.unwrap().sequence;
    set(&texts, "young", 2).await;
    for number in 1..PATTERNS_MAX {
        expect_lazy(&texts.delete_pattern(&format!("x{number}:*")).await.unwrap());
    }
    assert_eq!((get(&texts, "old").await, get(&others, "young").await), (Some(1), Some(2)));
    let report = texts.delete_pattern("one too many").await.unwrap();
    assert_eq!(report.way, SweepWay::Lazy { cache_ended_at: Some(first) });
    for cache in [&texts, &others] {
        cache.drop_level1();
        assert_eq!((get(cache, "old").await, get(cache, "young").await), (None, Some(2)));
    }
}

#[tokio::test(start_paused = true)]
async fn patterns_belong_to_their_tenant_and_cache() {
    let fleet = mute();
    let (one, texts) = process(&fleet).await;
    let acme = one.manager.tenant("acme").unwrap().open(&TEXTS).unwrap();
    set(&texts, "a:1", 1).await;
    set(&acme, "a:1", 2).await;
    one.set(1, 10).await;
    acme.delete_pattern("?*").await.unwrap();
    assert_eq!((get(&texts, "a:1").await, get(&acme, "a:1").await), (Some(1), None));
    texts.delete_pattern("?*").await.unwrap();
    assert_eq!((get(&texts, "a:1").await, one.get(1).await), (None, Some(10)));
}

#[tokio::test(start_paused = true)]
async fn what_was_derived_from_a_key_that_matches_ends_too() {
    let fleet = mute();
    let (one, texts) = process(&fleet).await;
    set(&texts, "page:1", 1).await;
    one.cache.set(&1, 10_u64).depends_on(&texts, "page:1").strict().into_future().await.unwrap();
    assert_eq!(one.get(1).await, Some(10));
    texts.delete_pattern("page:?").await.unwrap();
    assert_eq!(one.get(1).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_lazily_is_refused_before_anything_is_done() {
    let fleet = mute();
    let (_one, texts) = process(&fleet).await;
    set(&texts, "a:1", 1).await;
    let shortened = texts.expire_pattern("a:*").ttl(secs(5)).await.unwrap_err();
    assert_eq!(shortened.kind(), ErrorKind::Unsupported);
    let long = format!("a:{}", "*1".repeat(PATTERN_BYTES_MAX / 2));
    let refused = texts.delete_pattern(&long).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!(get(&texts, "a:1").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_record_ends_everything_older() {
    let fleet = mute();
    let ((_one, texts), (_other, others)) = (process(&fleet).await, process(&fleet).await);
    set(&texts, "a:1", 1).await;
    set(&texts, "b:1", 1).await;
    texts.delete_pattern("a:*").await.unwrap();
    fleet.epochs.lose("fleet", "");
    for cache in [&texts, &others] {
        cache.drop_level1();
        assert_eq!((get(cache, "a:1").await, get(cache, "b:1").await), (None, None));
    }
    set(&texts, "b:1", 2).await;
    assert_eq!(get(&others, "b:1").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn people_are_told_which_pattern_refuses_a_copy() {
    let fleet = mute();
    let (_one, texts) = process(&fleet).await;
    set(&texts, "user:1:temp", 1).await;
    texts.delete_pattern("user:*:temp").await.unwrap();
    let told = texts.explain("user:1:temp").await.to_string();
    assert!(told.contains("pattern user:*:temp of cache texts was invalidated"), "{told}");
}
