//! A backend of one's own, written against core and checked by testkit's conformance suite.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, Capabilities, OpContext, Put, PutOutcome, Result, Sequence, StoredKey,
};
use parking_lot::Mutex;

/// Keeps bytes in a map for as long as the process runs. What it does not claim, the engine does
/// without: expiry comes from the envelope, fences from the key's gate.
#[derive(Debug, Default)]
struct Map {
    entries: Mutex<BTreeMap<StoredKey, Bytes>>,
}

#[async_trait]
impl Backend for Map {
    fn name(&self) -> &str {
        "map"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn get(&self, key: &StoredKey, _: &OpContext) -> Result<Option<Bytes>> {
        Ok(self.entries.lock().get(key).cloned())
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        _: Put,
        _: &OpContext,
    ) -> Result<PutOutcome> {
        self.entries.lock().insert(key.clone(), value);
        Ok(PutOutcome::Stored)
    }

    async fn remove(&self, key: &StoredKey, _: Sequence, _: &OpContext) -> Result<bool> {
        Ok(self.entries.lock().remove(key).is_some())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use cache_enterprise::prelude::*;

    static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(1));
    let backend = std::sync::Arc::new(Map::default());
    let manager = CacheManager::builder("shop").l2(backend).codec(MessagePack).build().await?;
    let names = manager.open(&NAMES)?;
    names.set(&1, "Ada").await;
    names.drop_level1();
    let hit = names.get_entry(&1).await?.ok_or("the backend lost the entry")?;
    println!("{} came from {:?}", *hit.value, hit.source);
    Ok(())
}
