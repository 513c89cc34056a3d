//! A backend that this project has never heard of, as level 2.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use cache_enterprise::Source;
use cache_enterprise::prelude::*;
use own_backend::MapBackend;

static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(1));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backend = Arc::new(MapBackend::default());
    let manager = CacheManager::builder("shop").l2(backend).codec(MessagePack).build().await?;
    let names = manager.open(&NAMES)?;
    names.set(&1, "Ada").await;
    names.drop_level1();
    let hit = names.get_entry(&1).await?.ok_or("the backend lost the entry")?;
    println!("{} came from {:?}", *hit.value, hit.source);
    assert_eq!(hit.source, Source::Tier(2));
    Ok(())
}
