//! moka, its async cache: `get_with` and `invalidate`. Groups of entries are invalidated by a
//! predicate, which takes in what is there already; there are no tags.

use std::sync::Arc;

use async_trait::async_trait;
use moka::future::Cache;

use super::CAPACITY;
use crate::library::{Answer, Instance, Library, Load, Refusal, locked};

pub(super) struct Moka;

#[async_trait]
impl Library for Moka {
    fn name(&self) -> &'static str {
        "moka"
    }

    fn version(&self) -> String {
        locked("moka")
    }

    async fn alone(&self) -> Answer<Arc<dyn Instance>> {
        Ok(Arc::new(Memory(Cache::new(CAPACITY.into()))))
    }
}

struct Memory(Cache<String, u64>);

#[async_trait]
impl Instance for Memory {
    async fn get_or_load(&self, key: &str, _tag: Option<&str>, load: Load) -> Answer<u64> {
        Ok(self.0.get_with_by_ref(key, async { load().await }).await)
    }

    async fn remove(&self, key: &str) -> Answer<()> {
        self.0.invalidate(key).await;
        Ok(())
    }

    async fn invalidate_tag(&self, _tag: &str) -> Answer<()> {
        Err(Refusal::NotOffered("it has no tags; `invalidate_entries_if` takes a predicate"))
    }
}
