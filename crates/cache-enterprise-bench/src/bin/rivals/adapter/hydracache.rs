//! HydraCache: `get_or_load`, `invalidate_key`, `invalidate_tag`. Its cluster carries
//! invalidations between members; values lie in the members, in no tier beside them.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use hydracache::{CacheOptions, HydraCache};

use super::{CAPACITY, TTL};
use crate::library::{Answer, Instance, Library, Load, Refusal, SharedTier, locked};

pub(super) struct Hydra;

#[async_trait]
impl Library for Hydra {
    fn name(&self) -> &'static str {
        "hydracache"
    }

    fn version(&self) -> String {
        locked("hydracache")
    }

    async fn alone(&self) -> Answer<Arc<dyn Instance>> {
        let cache = HydraCache::local().max_capacity(CAPACITY.into()).default_ttl(TTL).build();
        Ok(Arc::new(Local(cache)))
    }

    async fn shared(&self) -> Answer<Box<dyn SharedTier>> {
        Err(Refusal::NotOffered("members share invalidations; no tier holds values beside them"))
    }
}

struct Local(HydraCache);

#[async_trait]
impl Instance for Local {
    async fn get_or_load(&self, key: &str, tag: Option<&str>, load: Load) -> Answer<u64> {
        let options = CacheOptions::new().tags(tag);
        let load = move || async move { Ok::<u64, Infallible>(load().await) };
        self.0.get_or_load(key, options, load).await.map_err(Refusal::failed)
    }

    async fn remove(&self, key: &str) -> Answer<()> {
        self.0.invalidate_key(key).await.map(drop).map_err(Refusal::failed)
    }

    async fn invalidate_tag(&self, tag: &str) -> Answer<()> {
        self.0.invalidate_tag(tag).await.map(drop).map_err(Refusal::failed)
    }
}
