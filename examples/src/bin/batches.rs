//! Several keys in one call: one trip to each tier instead of one a key.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use cache_enterprise::prelude::*;
use own_backend::MapBackend;

static PRICES: CacheSpec<u32, u64> = CacheSpec::new("prices").ttl(mins(1));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let tier = Arc::new(MapBackend::default());
    let level2 = Arc::clone(&tier);
    let manager = CacheManager::builder("shop").l2(level2).codec(MessagePack).build().await?;
    let prices = manager.open(&PRICES)?;
    let before = tier.calls();
    let trips = || tier.calls() - before;

    let stored = prices.set_many([(1_u32, 250_u64), (2, 120), (3, 310)]).await;
    assert!(stored.iter().all(|outcome| *outcome == SetOutcome::Stored));
    assert_eq!(trips(), 1, "three prices were put");

    prices.drop_level1();
    let found = prices.get_many(&[3_u32, 9, 1]).await?;
    let shown: Vec<_> = found.iter().map(|price| price.as_deref().copied()).collect();
    println!("in the order of the question: {shown:?}");
    assert_eq!(shown, [Some(310), None, Some(250)]);
    assert_eq!(trips(), 2, "three prices were asked for");

    println!("{} of two were there", prices.remove_many(&[1_u32, 9]).await);
    assert_eq!(trips(), 3, "two prices were removed");
    Ok(())
}
