//! Rules of a business as a strategy: what is marked as important is cached, sessions for half an
//! hour, everything else for an hour. A composite lets other rules join in.

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{MIB, Result, secs};
use cache_enterprise_strategies::admission::BySize;
use cache_enterprise_strategies::{
    CacheStrategy, Composite, StrategyContext, StrategyRegistry, WithAdmission,
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

fn main() -> Result<()> {
    let registry = StrategyRegistry::default();
    registry.register("business_logic", Arc::new(BusinessLogic))?;
    let rules = Composite::new([
        registry.strategy("business_logic")?,
        Arc::new(WithAdmission(BySize::at_most(MIB)?)),
    ]);
    for (key, priority, bytes) in [
        ("user_session:7", "high", 400),
        ("playlist:7", "high", 9_000),
        ("playlist:8", "low", 9_000),
        ("video:1", "high", 80 * MIB),
    ] {
        let said = [("cache_priority", priority)];
        let context = StrategyContext::new(key).attributes(&said).bytes(bytes);
        match rules.should_cache(&context).then(|| rules.ttl(&context)) {
            Some(ttl) => println!("{key}: cached for {:?}", ttl.unwrap_or_default()),
            None => println!("{key}: not cached"),
        }
    }
    if let Err(error) = registry.strategy("buisness_logic") {
        println!("{error}");
    }
    Ok(())
}
