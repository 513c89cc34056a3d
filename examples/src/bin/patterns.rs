//! Deleting by pattern: a walk over the keys of a cache, or one number where keys are paths.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::SweepWay;
use cache_enterprise::prelude::*;

static FILES: CacheSpec<String, u64> = CacheSpec::new("files").ttl(mins(5));
static PAGES: CacheSpec<String, String> = CacheSpec::new("pages").ttl(mins(5)).paths_at('/');

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let manager = CacheManager::in_memory(Capacity::bytes(16 * MIB))?;
    let (files, pages) = (manager.open(&FILES)?, manager.open(&PAGES)?);
    for file in ["user:1:temp_a", "user:2:temp_b", "user:1:name"] {
        files.set(file, 1_u64).await;
    }
    for page in ["eu/paris", "eu/rome", "europe"] {
        pages.set(page, "<h1>A page</h1>").await;
    }

    let report = files.delete_pattern("user:*:temp_*").await?;
    println!("{} of {} keys were deleted", report.matched, report.listed);
    assert_eq!((report.way, report.matched), (SweepWay::Walk, 2));
    assert!(files.contains("user:1:name"));

    let report = pages.delete_pattern("eu/*").await?;
    println!("of the pages {} keys were looked at", report.listed);
    assert_eq!((report.way, report.listed), (SweepWay::Epoch, 0));
    assert!(!pages.contains("eu/paris") && !pages.contains("eu/rome"));
    assert!(pages.contains("europe"), "a prefix ends with its separator");

    files.expire_pattern("user:1:*").await?;
    assert!(files.get("user:1:name").await?.is_none(), "past its life");
    Ok(())
}
