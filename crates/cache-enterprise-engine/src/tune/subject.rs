//! What a tuner does to a cache, whatever it holds.

use std::sync::Arc;

use cache_enterprise_core::{CacheKey, LocalStore, Result, StoreStats};

use super::ear::{Facts, Sample};
use super::watch::Watch;
use crate::cache::CacheCore;
use crate::holding::Holding;
use crate::options::{Life, Options};
use crate::strategy::Policies;
use crate::weight::Unit;

/// The hands of a tuner.
pub(crate) trait Subject: Send + Sync {
    /// The name of the cache.
    fn name(&self) -> &str;

    fn watch(&self) -> &Watch;

    fn options(&self) -> &Options;

    /// The life that its spec or its manager gives entries.
    fn own_life(&self) -> Life;

    /// The numbers of the store that is tuned.
    fn stats(&self) -> StoreStats;

    fn counts_entries(&self) -> bool;

    /// Whether its capacity is its own, in entries, and moved by nobody else.
    fn has_own_capacity(&self) -> bool;

    /// What decides now; `None` where quick_cache does.
    fn policies(&self) -> Option<Policies>;

    /// Lets other policies decide.
    fn exchange(&self, policies: &Policies) -> Result<()>;

    fn resize(&self, capacity: u64);

    /// Marks the entries of sampled keys, and tells what they are. Walks the store.
    fn mark(&self, sample: &Sample) -> Vec<(u64, Facts)>;

    /// Takes all marks away. Walks the store.
    fn unmark(&self);

    /// The life that the cache gives entries now.
    fn life(&self) -> Life {
        self.watch().life().map_or(self.own_life(), Life::For)
    }
}

/// One cache, for its tenants without a quota or for one with.
pub(super) struct OfCache<K: CacheKey, V: Send + Sync + 'static> {
    pub(super) core: Arc<CacheCore<K, V>>,
    pub(super) holding: Arc<Holding<K, V>>,
}

/// A cache as all its tenants without a quota share it.
pub(crate) fn subject_of<K: CacheKey, V: Send + Sync + 'static>(
    core: &Arc<CacheCore<K, V>>,
) -> Box<dyn Subject> {
    let holding = Arc::clone(core.holdings.shared());
    Box::new(OfCache { core: Arc::clone(core), holding })
}

impl<K: CacheKey, V: Send + Sync + 'static> Subject for OfCache<K, V> {
    fn name(&self) -> &str {
        self.core.name
    }

    fn watch(&self) -> &Watch {
        self.holding.watch()
    }

    fn options(&self) -> &Options {
        &self.core.options
    }

    fn own_life(&self) -> Life {
        self.core.life
    }

    fn stats(&self) -> StoreStats {
        self.holding.values().stats()
    }

    fn counts_entries(&self) -> bool {
        self.core.holdings.unit() == Unit::Entries
    }

    fn has_own_capacity(&self) -> bool {
        self.counts_entries() && !self.core.holdings.is_divided()
    }

    fn policies(&self) -> Option<Policies> {
        self.watch().policies().or_else(|| self.core.holdings.policies())
    }

    fn exchange(&self, policies: &Policies) -> Result<()> {
        self.holding.values().exchange(&**policies)?;
        self.watch().set_policies(policies);
        Ok(())
    }

    fn resize(&self, capacity: u64) {
        LocalStore::resize(&**self.holding.values(), capacity, &mut Default::default());
    }

    fn mark(&self, sample: &Sample) -> Vec<(u64, Facts)> {
        let mut found = Vec::new();
        self.holding.values().for_each(|key, entry| {
            if let Some(hash) = sample.hash(key) {
                entry.watch();
                found.push((hash, Facts::of(entry)));
            }
        });
        found
    }

    fn unmark(&self) {
        self.holding.values().for_each(|_, entry| entry.unwatch());
    }
}
