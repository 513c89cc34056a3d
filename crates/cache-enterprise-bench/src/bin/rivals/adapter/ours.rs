//! cache-enterprise through its umbrella: `get_with`, `remove`, `invalidate`, `get_many_with`. The
//! shared tier is the test kit's backend and store of epochs, as one server would keep both.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use cache_enterprise::core::mins;
use cache_enterprise::serializers::MessagePack;
use cache_enterprise::{
    Backend, Cache, CacheManager, CacheSpec, Capabilities, Capacity, Clock, ErrorKind,
    OpenedBackend, Tag,
};
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode};
use cache_enterprise_testkit::coherence::SharedEpochs;
use cache_enterprise_testkit::{ModelBackend, Seed};

use super::{CAPACITY, OURS};
use crate::library::{Answer, Instance, Library, Load, LoadMany, Refusal, SharedTier};

static SPEC: CacheSpec<String, u64> = CacheSpec::new("rivals").ttl(mins(60));

pub(super) struct Ours;

#[async_trait]
impl Library for Ours {
    fn name(&self) -> &'static str {
        OURS
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    async fn alone(&self) -> Answer<Arc<dyn Instance>> {
        let manager = CacheManager::in_memory(Capacity::entries(CAPACITY.into()));
        let manager = manager.map_err(Refusal::failed)?;
        let cache = manager.open(&SPEC).map_err(Refusal::failed)?;
        Ok(Arc::new(Process { manager, cache }))
    }

    async fn shared(&self) -> Answer<Box<dyn SharedTier>> {
        let backend = ModelBackend::new(Clock::system());
        let shared = Capabilities { shared: true, ..backend.capabilities() };
        let backend = ChaosBackend::new(Arc::new(backend.claiming(shared)), Seed(0));
        Ok(Box::new(Server {
            backend: Arc::new(backend),
            epochs: SharedEpochs::new(Clock::system()),
        }))
    }
}

/// The managers of one process. `C` is the codec of its tiers.
struct Process<C> {
    manager: CacheManager<C>,
    cache: Cache<String, u64>,
}

#[async_trait]
impl<C: Send + Sync + 'static> Instance for Process<C> {
    async fn get_or_load(&self, key: &str, tag: Option<&str>, load: Load) -> Answer<u64> {
        let Some(tag) = tag else {
            return Ok(*self.cache.get_with(key, load).await);
        };
        let load = || async { Ok::<u64, Infallible>(load().await) };
        let loaded = self.cache.fetch(key).tags([tag_of(tag)]).with(load).await;
        loaded.map(|value| *value).map_err(Refusal::failed)
    }

    async fn remove(&self, key: &str) -> Answer<()> {
        self.cache.remove(key).await;
        Ok(())
    }

    async fn invalidate_tag(&self, tag: &str) -> Answer<()> {
        self.manager.invalidate(tag_of(tag)).strict().await.map(drop).map_err(Refusal::failed)
    }

    async fn get_many(&self, keys: Vec<String>, mut load: LoadMany) -> Answer<Vec<u64>> {
        let loaded = self.cache.get_many_with(keys, |missing| load(missing.into_keys())).await;
        let values = loaded.into_values().map_err(Refusal::failed)?;
        Ok(values.into_iter().flatten().map(|value| *value).collect())
    }
}

fn tag_of(text: &str) -> Tag {
    Tag::new(text)
}

/// What processes share: bytes and epochs.
struct Server {
    backend: Arc<ChaosBackend>,
    epochs: SharedEpochs,
}

#[async_trait]
impl SharedTier for Server {
    async fn join(&self) -> Answer<Arc<dyn Instance>> {
        let source = OpenedBackend::new(Arc::clone(&self.backend) as Arc<dyn Backend>);
        // One client for all processes, so that the outage is everybody's.
        let source = source.with_epochs(Arc::new(self.epochs.clone()));
        let manager = CacheManager::builder("rivals").l2(source).codec(MessagePack).build().await;
        let manager = manager.map_err(Refusal::failed)?;
        let cache = manager.open(&SPEC).map_err(Refusal::failed)?;
        Ok(Arc::new(Process { manager, cache }))
    }

    fn fail(&self) {
        self.backend.set(Mode::Fail(ErrorKind::Unavailable));
        self.epochs.set(Mode::Fail(ErrorKind::Unavailable));
    }
}
