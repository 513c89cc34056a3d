//! The rules a shop might write: only what is marked as important is cached, sessions for half an
//! hour, the rest for an hour; and they are found by their name, alone and in company.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{ErrorKind, MIB, secs};
use cache_enterprise_strategies::admission::BySize;
use cache_enterprise_strategies::lifetime::TtlByDataType;
use cache_enterprise_strategies::{
    CacheStrategy, Composite, StrategyContext, StrategyRegistry, WithAdmission, WithLifetime,
};

#[derive(Debug)]
struct BusinessLogic;

impl CacheStrategy for BusinessLogic {
    fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
        context.attribute("cache_priority") == Some("high")
    }

    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        Some(secs(if context.key.contains("user_session") { 1_800 } else { 3_600 }))
    }
}

const HIGH: &[(&str, &str)] = &[("region", "EU"), ("cache_priority", "high")];
const LOW: &[(&str, &str)] = &[("cache_priority", "low")];

#[test]
fn sessions_live_half_as_long_and_only_what_matters_is_cached() {
    let registry = StrategyRegistry::default();
    registry.register("business_logic", Arc::new(BusinessLogic)).unwrap();
    let rules = registry.strategy("business_logic").unwrap();

    let session = StrategyContext::new("tenant1:user_session:42").attributes(HIGH);
    assert!(rules.should_cache(&session));
    assert_eq!(rules.ttl(&session), Some(secs(1_800)));

    let track = StrategyContext::new("track:42").attributes(HIGH);
    assert!(rules.should_cache(&track));
    assert_eq!(rules.ttl(&track), Some(secs(3_600)));

    assert!(!rules.should_cache(&StrategyContext::new("track:42").attributes(LOW)));
    assert!(!rules.should_cache(&StrategyContext::new("track:42")));
}

#[test]
fn in_company_every_rule_has_a_veto_and_the_first_life_counts() {
    let company = Composite::new([
        Arc::new(WithLifetime(TtlByDataType::new([("chart", secs(60))]).unwrap())) as _,
        Arc::new(BusinessLogic) as Arc<dyn CacheStrategy>,
        Arc::new(WithAdmission(BySize::at_most(MIB).unwrap())),
    ]);
    let chart = StrategyContext::new("chart:EU").attributes(HIGH).data_type("chart").bytes(1_000);
    assert!(company.should_cache(&chart));
    assert_eq!(company.ttl(&chart), Some(secs(60)));
    assert_eq!(company.ttl(&StrategyContext::new("user_session:1")), Some(secs(1_800)));
    assert!(!company.should_cache(&chart.bytes(2 * MIB)));
    assert!(!company.should_cache(&chart.attributes(LOW)));
}

#[test]
fn a_name_nobody_registered_is_answered_with_those_there_are() {
    let registry = StrategyRegistry::default();
    registry.register("business_logic", Arc::new(BusinessLogic)).unwrap();
    let error = registry.strategy("buisness_logic").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("business_logic"), "{error}");
}
