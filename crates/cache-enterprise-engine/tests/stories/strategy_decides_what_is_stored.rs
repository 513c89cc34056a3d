//! A strategy by its name decides which values are stored and for how long; it is asked where
//! values are set and loaded, hears what a reload brought, and is never asked on a hit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise_core::{Capacity, Clock, ErrorKind, SetOutcome, mins, secs};
use cache_enterprise_engine::{
    Cache, CacheManager, CacheSpec, Compute, Fetched, Life, LoadContext, Loader, Loading, Options,
    block_on,
};
use cache_enterprise_strategies::lifetime::AdaptiveTtl;
use cache_enterprise_strategies::{CacheStrategy, Composite, StrategyContext, WithLifetime};

use crate::manager;

/// A shop's rules: caches what is marked as important; sessions live half an hour, all
/// else an hour.
#[derive(Debug, Default)]
struct BusinessLogic {
    asked: AtomicU64,
}

impl CacheStrategy for BusinessLogic {
    fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        context.attribute("cache_priority") == Some("high")
    }

    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        Some(Duration::from_secs(if context.key.contains("user_session") { 1_800 } else { 3_600 }))
    }
}

static TEXTS: CacheSpec<String, String> =
    CacheSpec::new("texts").ttl(mins(5)).fill_strategy("business_logic");

fn texts() -> (Cache<String, String>, Clock, Arc<BusinessLogic>) {
    let (manager, clock) = manager();
    let strategy = Arc::new(BusinessLogic::default());
    manager.register_strategy("business_logic", strategy.clone()).unwrap();
    (manager.open(&TEXTS).unwrap(), clock, strategy)
}

async fn set(cache: &Cache<String, String>, key: &str, priority: &str) -> SetOutcome {
    cache.set(key, "value").attribute("cache_priority", priority).await
}

#[test]
fn the_business_example_keeps_its_numbers() {
    let (cache, clock, _) = texts();
    block_on(async {
        assert_eq!(set(&cache, "user_session:7", "high").await, SetOutcome::Stored);
        assert_eq!(set(&cache, "track:7", "high").await, SetOutcome::Stored);
        assert_eq!(set(&cache, "track:8", "low").await, SetOutcome::Declined);
        assert_eq!(cache.set("track:9", "value").await, SetOutcome::Declined);
    });
    assert_eq!((cache.len(), cache.stats().declined), (2, 2));
    clock.advance(secs(1_799));
    assert!(cache.contains("user_session:7"));
    clock.advance(secs(1));
    assert!(!cache.contains("user_session:7") && cache.contains("track:7"));
    clock.advance(secs(1_800));
    assert!(!cache.contains("track:7"));
}

#[test]
fn a_value_that_is_not_stored_ends_the_one_before_it() {
    let (cache, _clock, _) = texts();
    block_on(async {
        set(&cache, "track:7", "high").await;
        assert_eq!(set(&cache, "track:7", "low").await, SetOutcome::Declined);
        assert!(cache.get("track:7").await.unwrap().is_none(), "nobody reads the older value");
    });
}

#[test]
fn a_hit_asks_nobody_and_a_life_that_the_call_names_stands() {
    let (cache, clock, strategy) = texts();
    block_on(async {
        cache.set("track:7", "value").attribute("cache_priority", "high").ttl(secs(10)).await;
        let asked = strategy.asked.load(Ordering::Relaxed);
        for _ in 0..100 {
            assert!(cache.get("track:7").await.unwrap().is_some());
        }
        assert_eq!(strategy.asked.load(Ordering::Relaxed), asked);
    });
    clock.advance(secs(10));
    assert!(!cache.contains("track:7"));
}

/// Two hours for all.
#[derive(Debug)]
struct Hours;

impl CacheStrategy for Hours {
    fn ttl(&self, _: &StrategyContext<'_>) -> Option<Duration> {
        Some(mins(120))
    }
}

#[test]
fn a_life_that_is_named_stands_where_it_is_that_of_the_cache_too() {
    static NAMED: CacheSpec<u64, u64> = CacheSpec::new("named").ttl(mins(5)).fill_strategy("hours");
    let (manager, _clock) = manager();
    manager.register_strategy("hours", Arc::new(Hours)).unwrap();
    let cache = manager.open(&NAMED).unwrap();
    let load = |ttl: Option<Duration>| {
        move |cx: LoadContext<u64>| async move {
            ttl.inspect(|ttl| cx.ttl(*ttl));
            Ok::<_, ()>(Fetched::Value(1))
        }
    };
    block_on(async {
        let named = async |way: &str, is_named: bool| {
            let life = if is_named { "300s" } else { "7200s" };
            assert_eq!(self::life(&cache), life, "{way}");
            cache.remove(&1).await;
        };
        cache.set(&1, 1_u64).await;
        named("set", false).await;
        cache.set(&1, 1_u64).ttl(mins(5)).await;
        named("set", true).await;
        cache.bulk_set([(1_u64, 1_u64)], None).await;
        named("bulk", false).await;
        cache.bulk_set([(1_u64, 1_u64)], Some(mins(5))).await;
        named("bulk", true).await;
        cache.fetch(&1).detached(load(None)).await.unwrap();
        named("load", false).await;
        cache.fetch(&1).ttl(mins(5)).detached(load(None)).await.unwrap();
        named("load by its call", true).await;
        cache.fetch(&1).detached(load(Some(mins(5)))).await.unwrap();
        named("load by its loader", true).await;
        let entry = cache.entry(&1).ttl(mins(5));
        entry.and_compute_with(|_| async { Compute::Put(2) }).await.unwrap();
        named("computation", true).await;
    });
}

#[test]
fn a_batch_is_decided_key_by_key() {
    /// Even numbers, for as many seconds as they are.
    #[derive(Debug)]
    struct Even;

    impl CacheStrategy for Even {
        fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
            context.value_as::<u64>().is_some_and(|value| value % 2 == 0)
        }

        fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
            context.value_as::<u64>().map(|value| secs(*value))
        }
    }

    static NUMBERS: CacheSpec<u64, u64> =
        CacheSpec::new("numbers").ttl(mins(5)).fill_strategy("even");
    let (manager, clock) = manager();
    manager.register_strategy("even", Arc::new(Even)).unwrap();
    let numbers = manager.open(&NUMBERS).unwrap();
    let outcomes = block_on(numbers.set_many((1..=4_u64).map(|key| (key, key))));
    let (stored, declined) = (SetOutcome::Stored, SetOutcome::Declined);
    assert_eq!(outcomes, [declined, stored, declined, stored]);
    clock.advance(secs(2));
    assert_eq!(numbers.keys(), [4]);
}

#[test]
fn what_is_loaded_is_asked_about_too_and_answers_its_callers_in_any_case() {
    let (cache, _clock, strategy) = texts();
    let load = |priority: &'static str| {
        move |cx: LoadContext<String>| async move {
            cx.attribute("cache_priority", priority);
            Ok::<_, ()>(Fetched::Value(String::from("loaded")))
        }
    };
    for (key, priority, is_stored) in [("track:1", "high", true), ("track:2", "low", false)] {
        let value = block_on(cache.fetch(key).detached(load(priority))).unwrap();
        assert_eq!((value.as_str(), cache.contains(key)), ("loaded", is_stored));
    }
    assert_eq!(strategy.asked.load(Ordering::Relaxed), 2);
}

#[test]
fn the_facade_has_the_strategy_of_its_manager() {
    let clock = Clock::manual();
    let manager = CacheManager::builder("facade")
        .l1(Capacity::entries(1_000))
        .clock(clock.clone())
        .options(Options { jitter: Some(0.0), ..Options::NONE })
        .register_strategy("business_logic", Arc::new(BusinessLogic::default()))
        .unwrap()
        .fill_strategy("business_logic")
        .build_in_memory()
        .unwrap();
    block_on(async {
        let value = String::from("value");
        for key in ["user_session:1", "track:1"] {
            manager.set(key, &value).attribute("cache_priority", "high").await.unwrap();
        }
        manager.set("track:2", &value).await.unwrap();
        let held = async |key| manager.get::<String>(key).await.unwrap().is_some();
        assert!(held("user_session:1").await && !held("track:2").await);
        clock.advance(secs(1_800));
        assert!(!held("user_session:1").await && held("track:1").await);
        clock.advance(secs(1_800));
        assert!(!held("track:1").await);
    });
    let row = manager.describe().row("fill_strategy").unwrap().clone();
    assert_eq!((row.value.as_str(), row.origin.to_string()), ("business_logic", "manager".into()));
}

#[test]
fn a_life_that_a_bulk_set_of_the_facade_names_stands() {
    let clock = Clock::manual();
    let manager = CacheManager::builder("facade")
        .l1(Capacity::entries(1_000))
        .clock(clock.clone())
        .options(Options { ttl: Some(Life::For(mins(5))), jitter: Some(0.0), ..Options::NONE })
        .register_strategy("hours", Arc::new(Hours))
        .unwrap()
        .fill_strategy("hours")
        .build_in_memory()
        .unwrap();
    block_on(async {
        manager.bulk_set([("named", 1_u64)], Some(mins(5))).await.unwrap();
        manager.bulk_set([("left to it", 1_u64)], None).await.unwrap();
        clock.advance(mins(5));
        assert_eq!(manager.get::<u64>("named").await.unwrap(), None);
        assert!(manager.get::<u64>("left to it").await.unwrap().is_some());
    });
}

#[test]
fn a_name_that_nobody_registered_is_told_with_those_that_are() {
    let (manager, _clock) = manager();
    manager.register_strategy("other", Arc::new(Composite::default())).unwrap();
    let error = manager.open(&TEXTS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(text.contains("business_logic") && text.contains("known: other"), "{text}");
    let twice = manager.register_strategy("other", Arc::new(Composite::default())).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    let builder = CacheManager::builder("m").fill_strategy("nobody");
    assert_eq!(builder.build_in_memory().unwrap_err().kind(), ErrorKind::Config);
}

/// Gives what the test put there, with an etag if it wants.
struct Origin {
    value: Arc<AtomicU64>,
    by_etag: bool,
}

impl Loader<u64, u64> for Origin {
    type Error = ();

    async fn load(&self, _: &u64, cx: LoadContext<u64>) -> Result<Fetched<u64>, ()> {
        let value = self.value.load(Ordering::Relaxed);
        if self.by_etag {
            let etag = value.to_string();
            if cx.etag() == Some(&etag) {
                return Ok(cx.not_modified());
            }
            cx.keep_etag(etag);
        }
        Ok(value.into())
    }
}

static WATCHED: CacheSpec<u64, u64> = CacheSpec::new("watched")
    .ttl(secs(100))
    .stale_if_error(mins(60))
    .fill_strategy("adaptive_ttl")
    .same_value(|before, now| before == now);

fn watched(by_etag: bool) -> (Loading<u64, u64, Origin>, Clock, Arc<AtomicU64>) {
    let (manager, clock) = manager();
    let adaptive = AdaptiveTtl::new(secs(60), secs(3_600), 0.1).unwrap();
    let adaptive = adaptive.start(secs(100)).unwrap().caution(1).unwrap();
    manager.register_strategy("adaptive_ttl", Arc::new(WithLifetime(adaptive))).unwrap();
    let value = Arc::new(AtomicU64::new(1));
    let loader = Origin { value: Arc::clone(&value), by_etag };
    (manager.open(&WATCHED).unwrap().with_loader(loader), clock, value)
}

/// The fresh life of the entry of key 1.
fn life(cache: &Cache<u64, u64>) -> String {
    cache.effective_options(&1).row("entry.life").map(|row| row.value.clone()).unwrap_or_default()
}

#[test]
fn adaptive_lives_grow_while_a_value_stays_and_shrink_when_it_changes() {
    for by_etag in [false, true] {
        let (cache, clock, value) = watched(by_etag);
        let load = || drop(block_on(async { cache.load(&1).await }).unwrap());
        load();
        assert_eq!(life(&cache), "100s", "by etag: {by_etag}");
        clock.advance(secs(100));
        load();
        assert_eq!(life(&cache), "110s", "the same value, by etag: {by_etag}");
        clock.advance(secs(110));
        value.store(2, Ordering::Relaxed);
        load();
        assert_eq!(life(&cache), "99s", "another value, by etag: {by_etag}");
    }
}

#[test]
fn adaptive_lives_keep_to_their_bounds() {
    let (cache, clock, value) = watched(false);
    for round in 0..100 {
        block_on(async { cache.load(&1).await }).unwrap();
        if round < 60 {
            value.fetch_add(1, Ordering::Relaxed);
        }
        let entry = cache.peek(&1).unwrap();
        drop(entry);
        let seconds: f64 = life(&cache).trim_end_matches('s').parse().unwrap();
        assert!((60.0..=3_600.0).contains(&seconds), "{seconds}");
        clock.advance(Duration::from_secs_f64(seconds));
    }
    let seconds: f64 = {
        block_on(async { cache.load(&1).await }).unwrap();
        life(&cache).trim_end_matches('s').parse().unwrap()
    };
    assert!(seconds > 2_000.0, "forty reloads of the same value: {seconds}");
}
