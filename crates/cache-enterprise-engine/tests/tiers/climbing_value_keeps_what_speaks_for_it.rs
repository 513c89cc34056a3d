//! What climbs into level 1 is worth there what it was worth when it was stored: by its key, and by
//! what loading it took.

use cache_enterprise_core::{Clock, ms};
use cache_enterprise_engine::{CacheSpec, Memory};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_strategies::business::{BusinessRule, BusinessRules, PriorityClass};

use crate::{builder, tier};

static PAGES: CacheSpec<String, u64> = CacheSpec::new("pages").forever();

#[tokio::test]
async fn rules_are_asked_of_what_climbs() {
    let rules = BusinessRules::new(
        [PriorityClass::new("gold", 8.0).unwrap()],
        [BusinessRule::class("gold").key("invoice:*").unwrap()],
    )
    .unwrap();
    let clock = Clock::manual();
    let manager = builder(&clock).l1(Memory::entries(100)).business_rules(rules).unwrap();
    let manager = manager.l2(tier("below")).codec(MessagePack).build().await.unwrap();
    let pages = manager.open(&PAGES).unwrap();
    for key in 0..20_u64 {
        pages.set(&format!("invoice:{key}"), key).await;
    }
    pages.drop_level1();
    for key in 0..20_u64 {
        assert!(pages.get(&format!("invoice:{key}")).await.unwrap().is_some());
    }
    for key in 0..1_000_u64 {
        pages.set(&format!("page:{key}"), key).await;
    }
    let held = (0..20).filter(|key| pages.contains(&format!("invoice:{key}"))).count();
    assert_eq!(held, 20);
}

#[tokio::test]
async fn what_a_load_took_is_remembered_below() {
    let clock = Clock::manual();
    let level1 = Memory::entries(100).strategy("learned");
    let manager = builder(&clock).l1(level1).l2(tier("below")).codec(MessagePack);
    let pages = manager.build().await.unwrap().open(&PAGES).unwrap();
    for key in 0..300_u64 {
        let takes = if key % 2 == 0 { ms(80) } else { ms(1) };
        let load = || async {
            clock.advance(takes);
            key
        };
        pages.get_with(&key.to_string(), load).await;
    }
    pages.drop_level1();
    // Nothing is loaded any more: what is told of loads comes from below.
    for round in 0..60_u64 {
        for step in 0..300_u64 {
            let key = (step * 7 + round * 13) % 300;
            assert!(pages.get(&key.to_string()).await.unwrap().is_some());
        }
    }
    let slow = (0..300_u64).filter(|key| key % 2 == 0 && pages.contains(&key.to_string())).count();
    let held = pages.len();
    assert!(slow > 2 * (held - slow), "{slow} slow ones among {held}");
}
