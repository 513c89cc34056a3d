//! Why a read hits or misses: what each level holds of a key, and what would become of it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use cache_enterprise::Verdict;
use cache_enterprise::prelude::*;
use own_backend::MapBackend;

static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(5));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let level2 = Arc::new(MapBackend::default());
    let manager = CacheManager::builder("shop").l2(level2).codec(MessagePack).build().await?;
    let users = manager.open(&USERS)?;
    users.set(&7, "Ada").tags([tag!("org:1")]).await;

    users.drop_level1();
    let why = users.explain(&7).await;
    println!("{why}\n");
    assert!(matches!(why.levels[0].verdict, Verdict::Nothing));
    assert_eq!(why.answered_by(), Some(2), "the tier has it still");

    manager.invalidate(tag!("org:1")).await;
    let why = users.explain(&7).await;
    println!("{why}");
    assert!(matches!(&why.levels[1].verdict, Verdict::Invalidated(by) if by == "tag org:1"));
    assert_eq!(why.answered_by(), None, "it lies there, and is refused");
    Ok(())
}
