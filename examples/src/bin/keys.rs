//! Keys of your own, keys of several parts, and look-ups that borrow.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use cache_enterprise::core::KeySpace;
use cache_enterprise::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct UserId(u64);

impl CacheKey for UserId {
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.key(&self.0);
    }
}

static USERS: CacheSpec<UserId, String> = CacheSpec::new("users").ttl(mins(1));
static PRICES: CacheSpec<(String, u32), u64> = CacheSpec::new("prices").ttl(mins(1));
static PAGES: CacheSpec<Arc<str>, String> = CacheSpec::new("pages").ttl(mins(1));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let manager = CacheManager::in_memory(Capacity::entries(1_000))?;
    let (users, prices) = (manager.open(&USERS)?, manager.open(&PRICES)?);
    users.set(&UserId(7), "Ada").await;
    let tea = ("tea".to_owned(), 2026);
    prices.set(&tea, 250_u64).await;
    assert!(users.contains(&UserId(7)) && prices.contains(&tea));

    // A `&str` finds `Arc<str>` and `String` keys; a hit copies nothing.
    let pages = manager.open(&PAGES)?;
    pages.set("home", "<h1>Home</h1>").await;
    assert!(pages.peek("home").is_some());

    // What a tier would see: readable, and never equal for two different keys.
    let space = KeySpace::new("shop", "acme", "prices")?;
    let (left, right) = (space.key(&("tea", "2026:1"))?, space.key(&("tea:2026", "1"))?);
    println!("{left}\n{right}");
    assert_ne!(left, right);
    Ok(())
}
