//! For tests of your own: time moves when you say so, and nothing sleeps.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;
use cache_enterprise::{Clock, block_on};

static SESSIONS: CacheSpec<u64, String> =
    CacheSpec::new("sessions").ttl(hours(8)).idle(mins(30)).jitter(0.0);

fn main() -> cache_enterprise::Result<()> {
    let clock = Clock::manual();
    let manager = CacheManager::builder("site").clock(clock.clone()).build_in_memory()?;
    let sessions = manager.open(&SESSIONS)?;
    for key in [1, 2] {
        block_on(async { sessions.set(&key, "Ada").await });
    }

    clock.advance(mins(20));
    assert!(block_on(sessions.get(&1))?.is_some(), "a read keeps it alive");
    clock.advance(mins(20));
    assert!(sessions.contains(&1) && !sessions.contains(&2), "30 minutes without a read");
    // 40 minutes are over; from here on it is read every 20.
    for _ in 2..24 {
        assert!(block_on(sessions.get(&1))?.is_some(), "never idle, within its 8 hours");
        clock.advance(mins(20));
    }
    assert!(!sessions.contains(&1), "its life is over, idle or not");
    println!("8 hours went by");
    Ok(())
}
