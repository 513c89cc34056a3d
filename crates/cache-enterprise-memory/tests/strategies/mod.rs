//! Both stores, the second one under every policy there is.
#![allow(dead_code, reason = "each target uses its part")]

use std::sync::Arc;

use cache_enterprise_core::{CacheKey, Entry, LocalStore, PolicyFactory, Scoped};
use cache_enterprise_memory::{Level1Store, QUICK, StoreConfig};
use cache_enterprise_strategies::eviction;

/// A way to choose what leaves.
#[derive(Clone, Debug)]
pub(crate) struct Strategy(Option<Arc<dyn PolicyFactory>>);

impl Strategy {
    pub(crate) fn name(&self) -> &str {
        self.0.as_ref().map_or(QUICK, |factory| factory.name())
    }

    pub(crate) fn open<K: CacheKey, V: Send + Sync + 'static>(
        &self,
        config: StoreConfig<K, V>,
    ) -> Level1Store<K, V> {
        Level1Store::new(config, self.0.as_deref())
    }
}

/// All of them.
pub(crate) fn strategies() -> Vec<Strategy> {
    let policies = eviction::all().into_iter().map(|factory| Strategy(Some(factory)));
    std::iter::once(Strategy(None)).chain(policies).collect()
}

/// quick_cache's own, and one for each way in which hits are recorded.
pub(crate) fn one_of_each_kind() -> Vec<Strategy> {
    named(&[QUICK, "fifo", "sieve", "lru"])
}

/// Those of these names.
pub(crate) fn named(names: &[&str]) -> Vec<Strategy> {
    strategies().into_iter().filter(|strategy| names.contains(&strategy.name())).collect()
}

/// The keys and entries a store shows.
pub(crate) fn shown<K: CacheKey, V: Send + Sync + 'static>(
    store: &Level1Store<K, V>,
) -> Vec<(Scoped<K>, Arc<Entry<V>>)> {
    let mut shown = Vec::new();
    store.for_each(|key, entry| shown.push((key.clone(), Arc::clone(entry))));
    shown
}
