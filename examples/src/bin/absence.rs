//! That there is nothing is an answer too: it is remembered for a time of its own, and no longer
//! than until something is set.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicU32, Ordering};

use cache_enterprise::Clock;
use cache_enterprise::prelude::*;

static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(1)).negative_ttl(secs(10));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let clock = Clock::manual();
    let manager = CacheManager::builder("shop").clock(clock.clone()).build_in_memory()?;
    let users = manager.open(&USERS)?;
    let asked = AtomicU32::new(0);
    let nobody = || async {
        asked.fetch_add(1, Ordering::Relaxed);
        None::<String>
    };

    assert!(users.get_opt_with(&7, nobody).await.is_none());
    assert!(users.get_opt_with(&7, nobody).await.is_none());
    println!("asked twice, the origin once: {}", asked.load(Ordering::Relaxed));
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    clock.advance(secs(10));
    assert!(users.get_opt_with(&7, nobody).await.is_none());
    assert_eq!(asked.load(Ordering::Relaxed), 2, "its 10 seconds are over");

    users.set(&7, "Ada").await;
    assert!(users.get_opt_with(&7, nobody).await.is_some());
    assert_eq!(asked.load(Ordering::Relaxed), 2, "what is set is no longer absent");
    Ok(())
}
