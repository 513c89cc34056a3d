//! cached: the macro on an async function, with the attribute that its documentation names for
//! concurrent first calls, and `remove` on the cache that the macro makes. Its stores on Redis
//! are removed from key by key and have no memory above them.

use std::sync::Arc;

use async_trait::async_trait;
use cached::Cached;
use cached::macros::cached;

use crate::library::{Answer, Instance, Library, Load, Refusal, SharedTier, locked};

/// The capacity is written out, as the macro wants it; the key is read by `convert`.
#[cached(
    name = "LOADED",
    max_size = 50_000,
    key = "String",
    convert = r#"{ _key.to_owned() }"#,
    sync_writes = "by_key",
    companions = false
)]
async fn loaded(_key: &str, load: Load) -> u64 {
    load().await
}

pub(super) struct CachedMacro;

#[async_trait]
impl Library for CachedMacro {
    fn name(&self) -> &'static str {
        "cached"
    }

    fn version(&self) -> String {
        locked("cached")
    }

    /// The macro makes one cache for the whole process; it is emptied.
    async fn alone(&self) -> Answer<Arc<dyn Instance>> {
        LOADED.write().await.cache_clear();
        Ok(Arc::new(Function))
    }

    async fn shared(&self) -> Answer<Box<dyn SharedTier>> {
        Err(Refusal::NotOffered("its stores on a server have no tags, and no memory above them"))
    }
}

struct Function;

#[async_trait]
impl Instance for Function {
    async fn get_or_load(&self, key: &str, _tag: Option<&str>, load: Load) -> Answer<u64> {
        Ok(loaded(key, load).await)
    }

    async fn remove(&self, key: &str) -> Answer<()> {
        let _: Option<u64> = LOADED.write().await.cache_remove(key);
        Ok(())
    }

    async fn invalidate_tag(&self, _tag: &str) -> Answer<()> {
        Err(Refusal::NotOffered("it has no tags"))
    }
}
