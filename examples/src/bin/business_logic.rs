//! A strategy of one's own: what is stored at all, and for how long.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use cache_enterprise::prelude::*;
use cache_enterprise::strategies::{CacheStrategy, StrategyContext};
use cache_enterprise::{SetOutcome, block_on};

/// Caches what was marked as important; sessions live half an hour, all else an hour.
#[derive(Debug)]
struct BusinessLogic;

impl CacheStrategy for BusinessLogic {
    fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
        context.attribute("cache_priority") == Some("high")
    }

    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        let is_session = context.key.contains("user_session");
        Some(secs(if is_session { 1_800 } else { 3_600 }))
    }
}

static TEXTS: CacheSpec<String, String> =
    CacheSpec::new("texts").ttl(mins(5)).jitter(0.0).fill_strategy("business_logic");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manager = CacheManager::in_memory(Capacity::bytes(16 * MIB))?;
    manager.register_strategy("business_logic", Arc::new(BusinessLogic))?;
    let texts = manager.open(&TEXTS)?;
    block_on(async {
        for (key, expected) in [("user_session:7", "1800s"), ("track:7", "3600s")] {
            texts.set(key, "worth keeping").attribute("cache_priority", "high").await;
            let options = texts.effective_options(key);
            let life = options.row("entry.life").map(|row| row.value.as_str());
            println!("{key} lives {}", life.unwrap_or("as the spec says"));
            assert_eq!(life, Some(expected));
        }
        let outcome = texts.set("track:8", "not worth keeping").await;
        assert_eq!(outcome, SetOutcome::Declined);
        println!("track:8 is not stored: {outcome:?}");
    });
    Ok(())
}
