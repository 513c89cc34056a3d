//! Rules of the business and the cost of loading decide which entries stay where level 1 is full;
//! a strategy is asked by every way in that stores a value.

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Capacity, Clock, ErrorKind, Sequence, mins, ms, secs};
use cache_enterprise_engine::{
    Cache, CacheManager, CacheSpec, Compute, Computed, ManagerBuilder, Memory, Options, block_on,
};
use cache_enterprise_strategies::business::{BusinessRule, BusinessRules, PriorityClass};
use cache_enterprise_strategies::{CacheStrategy, StrategyContext};
use cache_enterprise_testkit::Seed;
use rand::RngExt;

const ENTRIES: u64 = 1_000;

static PAGES: CacheSpec<String, u64> = CacheSpec::new("pages").forever();

fn builder(clock: &Clock) -> ManagerBuilder {
    let options = Options { jitter: Some(0.0), ..Options::NONE };
    CacheManager::builder("worth").options(options).clock(clock.clone())
}

fn level1(strategy: &'static str) -> Memory {
    Memory::entries(ENTRIES).strategy(strategy)
}

/// Invoices are worth eight times a normal entry and keep a fifth of the room; drafts a quarter.
fn rules() -> BusinessRules {
    BusinessRules::new(
        [
            PriorityClass::new("gold", 8.0).unwrap().floor(0.2).unwrap(),
            PriorityClass::new("bulk", 0.25).unwrap(),
        ],
        [
            BusinessRule::class("gold").key("invoice:*").unwrap(),
            BusinessRule::class("gold").data_type("contract").ttl(secs(30)).unwrap(),
            BusinessRule::class("bulk").key("draft:*").unwrap(),
        ],
    )
    .unwrap()
}

fn held(cache: &Cache<String, u64>, kind: &str) -> usize {
    cache.keys().iter().filter(|key| key.starts_with(kind)).count()
}

/// Two hundred invoices, then ten thousand pages that nobody asks for again.
fn scanned(manager: &CacheManager) -> Cache<String, u64> {
    let pages = manager.open(&PAGES).unwrap();
    block_on(async {
        pages.set_many((0..100_u64).map(|key| (format!("invoice:{key}"), key))).await;
        for key in 100..200_u64 {
            pages.get_with(&format!("invoice:{key}"), || async move { key }).await;
        }
        for key in 0..10_000_u64 {
            pages.set(&format!("page:{key}"), key).await;
        }
    });
    pages
}

#[test]
fn what_is_dear_survives_a_scan_of_what_is_cheap() {
    let clock = Clock::manual();
    let manager = builder(&clock).l1(Capacity::entries(ENTRIES)).business_rules(rules()).unwrap();
    let pages = scanned(&manager.build_in_memory().unwrap());
    assert_eq!((held(&pages, "invoice:"), pages.len() as u64), (200, ENTRIES));
    let manager = builder(&clock).l1(level1("business-priority")).build_in_memory().unwrap();
    let pages = scanned(&manager);
    assert_eq!(held(&pages, "invoice:"), 0, "without rules nothing speaks for them");
}

#[test]
fn a_class_keeps_its_floor_against_one_of_higher_worth() {
    let clock = Clock::manual();
    let rules = BusinessRules::new(
        [
            PriorityClass::new("gold", 8.0).unwrap(),
            PriorityClass::new("bulk", 0.25).unwrap().floor(0.1).unwrap(),
        ],
        [
            BusinessRule::class("gold").key("invoice:*").unwrap(),
            BusinessRule::class("bulk").key("draft:*").unwrap(),
        ],
    )
    .unwrap();
    let level1 = level1("business_priority");
    let manager = builder(&clock).l1(level1).business_rules(rules).unwrap();
    let pages = manager.build_in_memory().unwrap().open(&PAGES).unwrap();
    block_on(async {
        for key in 0..300_u64 {
            pages.set(&format!("draft:{key}"), key).await;
        }
        for key in 0..5_000_u64 {
            pages.set(&format!("invoice:{key}"), key).await;
        }
    });
    assert_eq!(held(&pages, "draft:"), 100, "a tenth of the room");
}

#[test]
fn learned_multiplies_what_it_learned_by_the_worth() {
    let seed = Seed::from_env_or(7);
    let _guard = seed.print_on_panic();
    let clock = Clock::manual();
    let manager = builder(&clock).l1(level1("learned")).business_rules(rules()).unwrap();
    let pages = manager.build_in_memory().unwrap().open(&PAGES).unwrap();
    let mut random = seed.rng();
    block_on(async {
        for _ in 0..60_000 {
            let key = random.random_range(0..3_000_u64);
            let kind = if key.is_multiple_of(2) { "invoice" } else { "page" };
            pages.get_with(&format!("{kind}:{key}"), || async move { key }).await;
        }
    });
    let [dear, cheap] = ["invoice:", "page:"].map(|kind| held(&pages, kind));
    assert!(dear > 2 * cheap, "{dear} of them and {cheap} others, asked for equally often");
}

#[test]
fn what_is_slow_to_load_outlives_what_is_quick() {
    let seed = Seed::from_env_or(11);
    let _guard = seed.print_on_panic();
    for strategy in ["learned", "adaptive"] {
        let clock = Clock::manual();
        let manager = builder(&clock).l1(level1(strategy)).build_in_memory().unwrap();
        let pages = manager.open(&PAGES).unwrap();
        let mut random = seed.rng();
        block_on(async {
            for _ in 0..60_000 {
                let key = random.random_range(0..3_000_u64);
                let (kind, takes) = if key % 2 == 0 { ("slow", ms(80)) } else { ("quick", ms(1)) };
                let load = || async {
                    clock.advance(takes);
                    key
                };
                pages.get_with(&format!("{kind}:{key}"), load).await;
            }
        });
        let [slow, quick] = ["slow:", "quick:"].map(|kind| held(&pages, kind));
        assert!(slow > 2 * quick, "{strategy}: {slow} slow ones and {quick} quick ones");
    }
}

#[test]
fn rules_give_lives_and_hear_the_type_of_data() {
    let clock = Clock::manual();
    let manager = builder(&clock).l1(Capacity::entries(ENTRIES)).business_rules(rules()).unwrap();
    let pages = manager.build_in_memory().unwrap().open(&PAGES).unwrap();
    block_on(async {
        pages.set("a", 1_u64).data_type("contract").await;
        pages.set("b", 2_u64).await;
    });
    clock.advance(secs(30));
    assert!(!pages.contains("a") && pages.contains("b"));
}

#[test]
fn a_key_explains_who_decides_over_it_and_why_it_stands_there() {
    let clock = Clock::manual();
    let manager = builder(&clock).l1(Capacity::entries(ENTRIES)).business_rules(rules()).unwrap();
    let pages = manager.build_in_memory().unwrap().open(&PAGES).unwrap();
    let explained = |key: &str| block_on(pages.explain(key)).levels.swap_remove(0);
    block_on(async { pages.set("invoice:7", 7_u64).await });
    let view = explained("invoice:7");
    assert_eq!(view.strategy.as_deref(), Some("business-priority"));
    let standing = view.standing.unwrap();
    assert!(standing.contains("class 1, worth about 8"), "{standing}");
    assert!(standing.contains("floor is 200"), "{standing}");
    assert!(block_on(pages.explain("invoice:7")).to_string().contains(&standing));
    assert_eq!(explained("invoice:8").standing, None, "it is not there");
    let row = pages.effective_options("invoice:7").row("l1.strategy").unwrap().clone();
    assert_eq!(
        (row.value.as_str(), row.origin.to_string()),
        ("business-priority", "manager".into())
    );
}

#[test]
fn rules_are_given_once_and_a_chosen_strategy_stays() {
    let clock = Clock::manual();
    let strategy = |builder: ManagerBuilder| {
        let manager = builder.business_rules(rules()).unwrap().build_in_memory().unwrap();
        manager.describe().row("l1.strategy").map(|row| row.value.clone()).unwrap()
    };
    assert_eq!(strategy(builder(&clock)), "business-priority");
    assert_eq!(strategy(builder(&clock).l1(level1("lru"))), "lru");
    assert_eq!(strategy(builder(&clock).l1(level1("quick"))), "quick");
    let twice = builder(&clock).business_rules(rules()).unwrap().business_rules(rules());
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::Conflict);
}

/// Lets in what is even, for as many seconds; has no opinion on zero.
#[derive(Debug)]
struct Even;

impl CacheStrategy for Even {
    fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
        context.value_as::<u64>().is_none_or(|value| value % 2 == 0)
    }

    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        context.value_as::<u64>().filter(|value| **value > 0).map(|value| secs(*value))
    }
}

static NUMBERS: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).fill_strategy("even");

fn numbers() -> (Cache<u64, u64>, Clock) {
    let clock = Clock::manual();
    let manager = builder(&clock).register_strategy("even", Arc::new(Even)).unwrap();
    (manager.build_in_memory().unwrap().open(&NUMBERS).unwrap(), clock)
}

#[test]
fn a_computation_asks_the_strategy_as_a_set_does() {
    let (cache, clock) = numbers();
    let put = |value: u64| {
        let computed = cache.entry(&1).and_compute_with(|_| async move { Compute::Put(value) });
        block_on(computed).unwrap()
    };
    assert!(matches!(put(4), Computed::Inserted(value) if *value == 4));
    clock.advance(secs(3));
    assert!(cache.contains(&1));
    let declined = put(5);
    assert!(matches!(&declined, Computed::Declined(value) if **value == 5));
    assert!(declined.value().is_none() && !cache.contains(&1), "nobody reads the older value");
    assert_eq!(cache.stats().declined, 1);
    put(4);
    clock.advance(secs(4));
    assert!(!cache.contains(&1), "it lived as long as the strategy said");
    let named = cache.entry(&1).ttl(secs(9)).and_compute_with(|_| async { Compute::Put(2) });
    block_on(named).unwrap();
    clock.advance(secs(8));
    assert!(cache.contains(&1), "a life that the call names stands");
}

#[test]
fn a_conditional_set_lives_as_long_as_the_strategy_says_and_always_comes_in() {
    let (cache, clock) = numbers();
    let set = |value: u64| block_on(cache.set_if_version(&1, value, Sequence::ZERO)).unwrap();
    assert!(set(7).is_stored());
    clock.advance(secs(6));
    assert!(cache.contains(&1));
    clock.advance(secs(1));
    assert!(!cache.contains(&1));
}

#[test]
fn a_value_of_the_facade_without_any_life_is_refused() {
    let clock = Clock::manual();
    let manager = builder(&clock).register_strategy("even", Arc::new(Even)).unwrap();
    let manager = manager.fill_strategy("even").build_in_memory().unwrap();
    block_on(async {
        let error = manager.set("none", &0_u64).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("no life"), "{error}");
        assert!(manager.set("none", &0_u64).multi_level().await.is_err());
        assert!(manager.set("none", &0_u64).data_type("unknown").await.is_err());
        assert_eq!(manager.get::<u64>("none").await.unwrap(), None);
        manager.set("none", &1_u64).await.unwrap();
        assert_eq!(manager.get::<u64>("none").await.unwrap(), None, "declined, and no error");
        manager.set("some", &2_u64).await.unwrap();
        manager.set("named", &0_u64).ttl(secs(5)).await.unwrap();
    });
    let held = |key| block_on(async { manager.get::<u64>(key).await }).unwrap().is_some();
    clock.advance(secs(2));
    assert!(!held("some") && held("named"));
}
