//! A spec brings its own codec: blobs travel as they are, the other caches keep the manager's.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise::Backend;
use cache_enterprise::core::envelope::{Envelope, Limits};
use cache_enterprise::core::{KeySpace, OpContext};
use cache_enterprise::prelude::*;
use own_backend::MapBackend;

static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(1));
static COVERS: CacheSpec<u64, Bytes, cache_enterprise::core::Own<Raw>> =
    CacheSpec::new("covers").ttl(mins(1)).codec(Raw);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tier = Arc::new(MapBackend::default());
    let level2 = Arc::clone(&tier);
    let manager = CacheManager::builder("shop").l2(level2).codec(MessagePack).build().await?;
    let (names, covers) = (manager.open(&NAMES)?, manager.open(&COVERS)?);
    names.set(&1, "Ada").await;
    covers.set(&1, Bytes::from_static(b"\xff\xd8 a picture")).await;

    names.drop_level1();
    covers.drop_level1();
    let cover = covers.get(&1).await?.ok_or("the tier lost the cover")?;
    let name = names.get(&1).await?.ok_or("the tier lost the name")?;
    println!("{} and {} bytes came back", *name, cover.len());

    let payload = async |cache| {
        let key = KeySpace::new("shop", "", cache)?.key(&1_u64)?;
        let stored = tier.get(&key, &OpContext::default()).await?.unwrap_or_default();
        Envelope::open(&stored, &key, None, &Limits::default()).map(|opened| opened.body.payload)
    };
    assert_eq!(payload("covers").await?, *cover, "as it is");
    assert_eq!(payload("names").await?, &b"\xa3Ada"[..], "as MessagePack: a text of three bytes");
    Ok(())
}
