//! multi-tier-cache: `get_or_compute_typed` and `invalidate`. It has no tags; what it documents
//! for related keys is `invalidate_pattern`, so the tag leads the key. The shared tier is its own
//! map in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use multi_tier_cache::{
    CacheBackend, CacheError, CacheManager, CacheResult, CacheStrategy, CacheTier, DashMapCache,
    L2CacheBackend, MokaCache, MokaCacheConfig,
};

use super::{CAPACITY, TTL};
use crate::library::{Answer, Instance, Library, Load, Refusal, SharedTier, locked};

pub(super) struct MultiTier;

fn memory() -> Answer<Arc<MokaCache>> {
    let config =
        MokaCacheConfig { max_capacity: CAPACITY.into(), time_to_live: TTL, time_to_idle: TTL };
    Ok(Arc::new(MokaCache::new(config).map_err(Refusal::failed)?))
}

#[async_trait]
impl Library for MultiTier {
    fn name(&self) -> &'static str {
        "multi-tier-cache"
    }

    fn version(&self) -> String {
        locked("multi-tier-cache")
    }

    async fn alone(&self) -> Answer<Arc<dyn Instance>> {
        let level1 = CacheTier::new(memory()?, 1, false, 1, 1.0);
        let manager = CacheManager::new_with_tiers(vec![level1], None);
        Ok(Arc::new(Tiers(manager.map_err(Refusal::failed)?)))
    }

    async fn shared(&self) -> Answer<Box<dyn SharedTier>> {
        let map = Map { inner: DashMapCache::new(), is_down: AtomicBool::new(false) };
        Ok(Box::new(Server(Arc::new(map))))
    }
}

struct Tiers(CacheManager);

#[async_trait]
impl Instance for Tiers {
    async fn get_or_load(&self, key: &str, tag: Option<&str>, load: Load) -> Answer<u64> {
        let key = tag.map_or_else(|| key.to_owned(), |tag| format!("{tag}:{key}"));
        let load = || async { Ok(load().await) };
        let strategy = CacheStrategy::Custom(TTL);
        self.0.get_or_compute_typed(&key, strategy, load).await.map_err(Refusal::failed)
    }

    async fn remove(&self, key: &str) -> Answer<()> {
        self.0.invalidate(key).await.map_err(Refusal::failed)
    }

    async fn invalidate_tag(&self, tag: &str) -> Answer<()> {
        self.0.invalidate_pattern(&format!("{tag}:*")).await.map_err(Refusal::failed)
    }
}

/// What instances share: bytes.
struct Server(Arc<Map>);

#[async_trait]
impl SharedTier for Server {
    async fn join(&self) -> Answer<Arc<dyn Instance>> {
        let shared = Arc::clone(&self.0) as Arc<dyn L2CacheBackend>;
        let manager = CacheManager::new_with_backends(memory()?, shared, None);
        Ok(Arc::new(Tiers(manager.map_err(Refusal::failed)?)))
    }

    fn fail(&self) {
        self.0.is_down.store(true, Ordering::Relaxed);
    }
}

/// The library's own map, which can be made to fail. A read cannot say that it failed: a failure
/// is a miss there.
struct Map {
    inner: DashMapCache,
    is_down: AtomicBool,
}

impl Map {
    fn up(&self) -> CacheResult<&DashMapCache> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(CacheError::BackendError("the tier is down on purpose".to_owned()));
        }
        Ok(&self.inner)
    }
}

/// A future that borrows the backend and its arguments.
type Borrowed<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl CacheBackend for Map {
    fn get<'a>(&'a self, key: &'a str) -> Borrowed<'a, Option<Bytes>> {
        Box::pin(async move { self.up().ok()?.get(key).await })
    }

    fn set_with_ttl<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> Borrowed<'a, CacheResult<()>> {
        Box::pin(async move { self.up()?.set_with_ttl(key, value, ttl).await })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Borrowed<'a, CacheResult<()>> {
        Box::pin(async move { self.up()?.remove(key).await })
    }

    fn health_check(&self) -> Borrowed<'_, bool> {
        Box::pin(async move { self.up().is_ok() })
    }

    fn remove_pattern<'a>(&'a self, pattern: &'a str) -> Borrowed<'a, CacheResult<()>> {
        Box::pin(async move { self.up()?.remove_pattern(pattern).await })
    }

    fn name(&self) -> &'static str {
        "shared map"
    }
}

impl L2CacheBackend for Map {
    fn get_with_ttl<'a>(&'a self, key: &'a str) -> Borrowed<'a, Option<(Bytes, Option<Duration>)>> {
        Box::pin(async move { self.up().ok()?.get_with_ttl(key).await })
    }
}
