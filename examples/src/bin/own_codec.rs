//! A spec brings its own codec: blobs travel as they are, the other caches keep the manager's.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise::prelude::*;
use own_backend::MapBackend;

static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(1));
static COVERS: CacheSpec<u64, Bytes, cache_enterprise::core::Own<Raw>> =
    CacheSpec::new("covers").ttl(mins(1)).codec(Raw);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tier = Arc::new(MapBackend::default());
    let manager = CacheManager::builder("shop").l2(tier).codec(MessagePack).build().await?;
    let (names, covers) = (manager.open(&NAMES)?, manager.open(&COVERS)?);
    names.set(&1, "Ada").await;
    covers.set(&1, Bytes::from_static(b"\xff\xd8 a picture")).await;

    names.drop_level1();
    covers.drop_level1();
    let cover = covers.get(&1).await?.ok_or("the tier lost the cover")?;
    let name = names.get(&1).await?.ok_or("the tier lost the name")?;
    println!("{} and {} bytes came back", *name, cover.len());
    Ok(())
}
