//! foyer, its cache in memory: `get_or_fetch` and `remove`. Its second level is the disk of one
//! process, so nothing is shared.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use foyer_memory::{Cache, CacheBuilder};

use super::CAPACITY;
use crate::library::{Answer, Instance, Library, Load, Refusal, locked};

pub(super) struct Foyer;

#[async_trait]
impl Library for Foyer {
    fn name(&self) -> &'static str {
        "foyer"
    }

    fn version(&self) -> String {
        locked("foyer-memory")
    }

    async fn alone(&self) -> Answer<Arc<dyn Instance>> {
        Ok(Arc::new(Memory(CacheBuilder::new(CAPACITY.into()).build())))
    }
}

struct Memory(Cache<String, u64>);

#[async_trait]
impl Instance for Memory {
    async fn get_or_load(&self, key: &str, _tag: Option<&str>, load: Load) -> Answer<u64> {
        let fetch = || async { Ok::<u64, Infallible>(load().await) };
        let entry = self.0.get_or_fetch(key, fetch).await.map_err(Refusal::failed)?;
        Ok(*entry.value())
    }

    async fn remove(&self, key: &str) -> Answer<()> {
        self.0.remove(key);
        Ok(())
    }

    async fn invalidate_tag(&self, _tag: &str) -> Answer<()> {
        Err(Refusal::NotOffered("it has no tags"))
    }
}
