//! An eviction policy of one's own, handed to the manager like one of ours.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use cache_enterprise::prelude::*;
use own_policy::BulkyFirst;

static PAGES: CacheSpec<u64, String> = CacheSpec::new("pages").ttl(mins(5));

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let level1 = Memory::bytes(MIB).strategy(Arc::new(BulkyFirst));
    let manager = CacheManager::builder("shop").l1(level1).build_in_memory()?;
    let pages = manager.open(&PAGES)?;
    tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
        // Twice as many bytes as fit: small pages and large ones, turn about.
        for page in 0..400_u64 {
            let bytes = if page % 2 == 0 { 100 } else { 10_000 };
            pages.set(&page, "x".repeat(bytes)).await;
        }
    });
    let keys = pages.keys();
    let small = keys.iter().filter(|page| *page % 2 == 0).count();
    println!("{} of 200 small pages stayed, and {} large ones", small, keys.len() - small);
    assert!(small > keys.len() - small, "the large pages should have left");
    let options = manager.describe();
    let strategy = &options.row("l1.strategy").ok_or("level 1 is on")?.value;
    println!("{strategy}");
    assert_eq!(strategy, "bulky-first");
    Ok(())
}
