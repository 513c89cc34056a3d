//! Loads of single keys that come close to each other are one call of a loader of several keys.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_enterprise::prelude::*;
use cache_enterprise::{Batcher, Missing};

static PRICES: CacheSpec<u32, u64> = CacheSpec::new("prices").ttl(mins(1));

#[derive(Debug)]
struct NoConnection;

/// What each part of a page does, and none knows of the others.
async fn price(prices: &Batcher<u32, u64, NoConnection>, id: u32) -> Option<u64> {
    prices.load(&id).await.ok().flatten().map(|price| *price)
}

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let prices = CacheManager::in_memory(Capacity::entries(1_000))?.open(&PRICES)?;
    let queries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&queries);
    let query = move |missing: Missing<u32>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let rows: Vec<_> = missing.into_iter().map(|id| (id, u64::from(id) * 10)).collect();
        async move { Ok::<_, NoConnection>(rows) }
    };
    // Three keys close the window at once; fewer would wait for a minute at most.
    let batcher = prices.batcher(query).keys_max(3).wait(mins(1));

    let page = tokio::join!(price(&batcher, 1), price(&batcher, 2), price(&batcher, 3));
    println!("three prices by {} query: {page:?}", queries.load(Ordering::Relaxed));
    assert_eq!(page, (Some(10), Some(20), Some(30)));
    assert_eq!(queries.load(Ordering::Relaxed), 1);

    assert_eq!(price(&batcher, 2).await, Some(20));
    assert_eq!(queries.load(Ordering::Relaxed), 1, "what is held opens no window");
    Ok(())
}
