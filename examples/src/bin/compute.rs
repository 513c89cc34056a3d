//! The next value is decided by the one there is, as one step: of two at a time none is lost.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;
use cache_enterprise::{Compute, Computed};

static STOCK: CacheSpec<String, u32> = CacheSpec::new("stock").ttl(mins(5));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let stock = CacheManager::in_memory(Capacity::entries(1_000))?.open(&STOCK)?;
    let sell = |count: u32| {
        stock.entry("tea").and_compute_with(move |left: Option<Cached<u32>>| async move {
            match left.map(|left| *left) {
                Some(left) if left > count => Compute::Put(left - count),
                Some(left) if left == count => Compute::Remove,
                _ => Compute::Keep,
            }
        })
    };

    stock.set("tea", 5_u32).await;
    let both = tokio::join!(sell(1), sell(2));
    println!("two sold at a time: {both:?}");
    assert!(matches!(both, (Ok(Computed::Replaced(_)), Ok(Computed::Replaced(_)))));
    assert_eq!(stock.peek("tea").as_deref(), Some(&2));

    assert!(matches!(sell(9).await, Ok(Computed::Unchanged(left)) if *left == 2));
    assert!(matches!(sell(2).await, Ok(Computed::Removed(last)) if *last == 2));
    assert!(matches!(sell(1).await, Ok(Computed::StillAbsent)));
    println!("sold out: {}", !stock.contains("tea"));
    assert!(!stock.contains("tea"));
    Ok(())
}
