//! amalgam: `get_or_set`, `remove`, `remove_by_tag` with hard removal, over its own distributed
//! cache and durable markers in memory, which several instances share. The profile is the
//! ordinary one, which its documentation names for availability.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amalgam::advanced::{CacheScope, MarkerAdvanceOutcome, MarkerError, MarkerKind, MarkerVersion};
use amalgam::provider::{
    DistributedBytes, DistributedCache, InMemoryDistributedCache, InMemoryInvalidationStore,
    InvalidationStore, JsonSerializer, SystemClock,
};
use amalgam::{Cache, CacheBuilder, EntryOptions, Error, RemoveByTagBehavior};
use async_trait::async_trait;

use super::{CAPACITY, TTL};
use crate::library::{Answer, Instance, Library, Load, Refusal, SharedTier, locked};

pub(super) struct Amalgam;

fn builder() -> CacheBuilder<u64> {
    Cache::builder()
        .name("rivals")
        .max_capacity(CAPACITY.into())
        .default_options(EntryOptions::new(TTL))
        .remove_by_tag_behavior(RemoveByTagBehavior::Remove)
}

#[async_trait]
impl Library for Amalgam {
    fn name(&self) -> &'static str {
        "amalgam-cache"
    }

    fn version(&self) -> String {
        locked("amalgam-cache")
    }

    async fn alone(&self) -> Answer<Arc<dyn Instance>> {
        Ok(Arc::new(Hybrid(builder().try_build().map_err(Refusal::failed)?)))
    }

    async fn shared(&self) -> Answer<Box<dyn SharedTier>> {
        let is_down = Arc::new(AtomicBool::new(false));
        let markers = Arc::new(Markers {
            inner: InMemoryInvalidationStore::default(),
            is_down: Arc::clone(&is_down),
        });
        let values = Values {
            inner: InMemoryDistributedCache::new(Arc::new(SystemClock)),
            markers,
            is_down,
        };
        Ok(Box::new(Server(Arc::new(values))))
    }
}

struct Hybrid(Cache<u64>);

#[async_trait]
impl Instance for Hybrid {
    async fn get_or_load(&self, key: &str, tag: Option<&str>, load: Load) -> Answer<u64> {
        let load = move |_| async move { Ok::<u64, Infallible>(load().await) };
        self.0.get_or_set(key, load).tags(tag).await.map_err(Refusal::failed)
    }

    async fn remove(&self, key: &str) -> Answer<()> {
        self.0.remove(key).await.map_err(Refusal::failed)
    }

    async fn invalidate_tag(&self, tag: &str) -> Answer<()> {
        self.0.remove_by_tag(tag).await.map_err(Refusal::failed)
    }
}

/// What instances share: bytes and markers of invalidations.
struct Server(Arc<Values>);

#[async_trait]
impl SharedTier for Server {
    async fn join(&self) -> Answer<Arc<dyn Instance>> {
        let cache = builder()
            .distributed(Arc::clone(&self.0) as Arc<dyn DistributedCache>)
            .serializer(Arc::new(JsonSerializer))
            .try_build();
        Ok(Arc::new(Hybrid(cache.map_err(Refusal::failed)?)))
    }

    fn fail(&self) {
        self.0.is_down.store(true, Ordering::Relaxed);
    }
}

fn outage() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "the tier is down on purpose")
}

/// The library's own distributed cache, which can be made to fail.
struct Values {
    inner: InMemoryDistributedCache,
    markers: Arc<Markers>,
    is_down: Arc<AtomicBool>,
}

impl Values {
    fn up(&self) -> amalgam::Result<&InMemoryDistributedCache> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(Error::distributed(outage()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl DistributedCache for Values {
    async fn get(&self, key: &str) -> amalgam::Result<Option<DistributedBytes>> {
        self.up()?.get(key).await
    }

    async fn set(&self, key: &str, value: Vec<u8>, ttl: Option<Duration>) -> amalgam::Result<()> {
        self.up()?.set(key, value, ttl).await
    }

    async fn remove(&self, key: &str) -> amalgam::Result<()> {
        self.up()?.remove(key).await
    }

    fn invalidation_store(&self) -> Option<Arc<dyn InvalidationStore>> {
        Some(Arc::clone(&self.markers) as Arc<dyn InvalidationStore>)
    }
}

/// The library's own durable markers, which fail with the values.
struct Markers {
    inner: InMemoryInvalidationStore,
    is_down: Arc<AtomicBool>,
}

impl Markers {
    fn up(&self) -> Result<&InMemoryInvalidationStore, MarkerError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(MarkerError::backend(outage()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl InvalidationStore for Markers {
    async fn read(
        &self,
        scope: &CacheScope,
        kind: &MarkerKind,
    ) -> Result<Option<MarkerVersion>, MarkerError> {
        self.up()?.read(scope, kind).await
    }

    async fn advance(
        &self,
        scope: &CacheScope,
        kind: MarkerKind,
        candidate: MarkerVersion,
    ) -> Result<MarkerAdvanceOutcome, MarkerError> {
        self.up()?.advance(scope, kind, candidate).await
    }
}
