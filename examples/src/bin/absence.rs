//! That there is nothing is an answer too: it is remembered until something is set.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicU32, Ordering};

use cache_enterprise::prelude::*;

static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(1)).negative_ttl(secs(10));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let users = CacheManager::in_memory(Capacity::entries(1_000))?.open(&USERS)?;
    let asked = AtomicU32::new(0);
    let nobody = || async {
        asked.fetch_add(1, Ordering::Relaxed);
        None::<String>
    };

    assert!(users.get_opt_with(&7, nobody).await.is_none());
    assert!(users.get_opt_with(&7, nobody).await.is_none());
    println!("asked twice, the origin once: {}", asked.load(Ordering::Relaxed));
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    users.set(&7, "Ada").await;
    assert!(users.get_opt_with(&7, nobody).await.is_some());
    Ok(())
}
