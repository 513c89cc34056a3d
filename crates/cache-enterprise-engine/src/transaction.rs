//! Invalidations that are collected while a database transaction runs, and sent once it committed.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cache_enterprise_core::coherence::EpochTarget;
use cache_enterprise_core::{CacheKey, Error, Event, Lookup, Result, Tag};

use crate::cache::Cache;
use crate::invalidate::{Receipt, raise};
use crate::manager::CacheManager;
use crate::path::Under;
use crate::shared::{Shared, TenantState};

type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keys and groups that are to end together, once something else has succeeded: see
/// [`CacheManager::invalidations`].
#[must_use = "nothing is sent before `apply` is awaited"]
pub struct Invalidations {
    shared: Arc<Shared>,
    tenant: Arc<TenantState>,
    caches: Vec<Box<dyn Keys>>,
    targets: Vec<EpochTarget>,
    /// Why something that was named cannot be ended here.
    failure: Option<Error>,
}

/// The keys of one cache.
trait Keys: Send + Sync {
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn len(&self) -> usize;
    /// Removes them in one batch; answers what was derived from them.
    fn remove(&self) -> Work<'_, (Vec<EpochTarget>, Result<()>)>;
}

struct KeysOf<K: CacheKey, V: Send + Sync + 'static> {
    cache: Cache<K, V>,
    keys: Vec<K>,
}

impl<K: CacheKey, V: Send + Sync + 'static> Keys for KeysOf<K, V> {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn remove(&self) -> Work<'_, (Vec<EpochTarget>, Result<()>)> {
        Box::pin(async move {
            let removed = self.cache.try_remove_many(&self.keys).await;
            let derived = self.keys.iter().filter_map(|key| self.cache.dependents(key)).collect();
            (derived, removed.map(drop))
        })
    }
}

impl<C> CacheManager<C> {
    /// Collects invalidations of this tenant, to be [applied](Invalidations::apply) when a
    /// transaction has committed. Dropped without that, nothing is sent: right after a rollback,
    /// and in a debug build an [`Event::InvalidationsDropped`] for those who forgot.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    ///
    /// static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(5));
    /// let manager = CacheManager::in_memory(Capacity::entries(100))?;
    /// let users = manager.open(&USERS)?;
    /// block_on(async {
    ///     users.set(&1, "Ada").await;
    ///     users.set(&2, "Bob").tags(["org:7"]).await;
    ///     let mut ended = manager.invalidations();
    ///     ended.key(&users, &1).tag("org:7");
    ///     // The database transaction commits here.
    ///     ended.apply().await;
    ///     assert!(!users.contains(&1) && !users.contains(&2));
    /// });
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn invalidations(&self) -> Invalidations {
        Invalidations {
            shared: Arc::clone(&self.shared),
            tenant: Arc::clone(&self.tenant),
            caches: Vec::new(),
            targets: Vec::new(),
            failure: None,
        }
    }
}

impl Invalidations {
    /// A key of a cache of this tenant.
    pub fn key<K, V, Q>(&mut self, cache: &Cache<K, V>, key: &Q) -> &mut Self
    where
        K: CacheKey,
        V: Send + Sync + 'static,
        Q: Lookup<K> + ?Sized,
    {
        if !self.owns(cache) {
            return self;
        }
        let known = self.caches.iter_mut().find_map(|keys| {
            let keys = keys.as_any_mut().downcast_mut::<KeysOf<K, V>>()?;
            Arc::ptr_eq(&keys.cache.view.core, &cache.view.core).then_some(keys)
        });
        match known {
            Some(known) => known.keys.push(key.to_key()),
            None => {
                let keys = vec![key.to_key()];
                self.caches.push(Box::new(KeysOf { cache: cache.clone(), keys }));
            }
        }
        self
    }

    /// A tag of this tenant.
    pub fn tag(&mut self, tag: impl Into<Tag>) -> &mut Self {
        self.targets.push(EpochTarget::Tag(tag.into()));
        self
    }

    /// What lies under a path of a cache of this tenant.
    pub fn under<K, V>(&mut self, under: Under<'_, K, V>) -> &mut Self
    where
        K: CacheKey,
        V: Send + Sync + 'static,
    {
        if self.owns(under.cache()) {
            self.targets.extend(under.clear().into_targets());
        }
        self
    }

    /// A whole cache of this tenant.
    pub fn cache<K, V>(&mut self, cache: &Cache<K, V>) -> &mut Self
    where
        K: CacheKey,
        V: Send + Sync + 'static,
    {
        if self.owns(cache) {
            self.targets.extend(cache.clear().into_targets());
        }
        self
    }

    /// Whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.caches.is_empty() && self.targets.is_empty()
    }

    /// Ends everything that was collected: the keys of each cache in one batch, and all groups,
    /// with what was derived from the keys, by one number. Keys first.
    ///
    /// Not atomic: a reader may find one key gone and another there while it runs. The receipt's
    /// failure is the first there was, also one of a key that belongs to another tenant; the rest
    /// was done.
    pub async fn apply(mut self) -> Receipt {
        let caches = std::mem::take(&mut self.caches);
        let mut targets = std::mem::take(&mut self.targets);
        let (mut failure, mut removed) = (self.failure.take(), 0);
        let mut levels = self.shared.all_levels();
        for keys in &caches {
            let (derived, told) = keys.remove().await;
            targets.extend(derived);
            removed += keys.len();
            if let Err(error) = told {
                // Which levels took it is told by their debts; here only level 1 is sure.
                levels.truncate(1);
                failure = failure.or(Some(error));
            }
        }
        let mut receipt = if targets.is_empty() {
            Receipt::of_keys(self.tenant.epochs.sequence().newest())
        } else {
            raise(&self.shared, &self.tenant, targets).await
        };
        receipt.targets += removed;
        receipt.levels = levels;
        receipt.failure = failure.or(receipt.failure);
        receipt
    }

    /// Nothing is sent, and nobody is warned.
    pub fn discard(mut self) {
        self.caches.clear();
        self.targets.clear();
    }

    /// Whether a cache belongs to the tenant whose invalidations these are.
    fn owns<K, V>(&mut self, cache: &Cache<K, V>) -> bool
    where
        K: CacheKey,
        V: Send + Sync + 'static,
    {
        let is_own = Arc::ptr_eq(&cache.view.tenant, &self.tenant);
        if !is_own {
            let text = "a key or cache of another tenant was not ended; collect for each tenant";
            self.failure = Some(Error::invalid(text).with("cache", cache.name()));
        }
        is_own
    }
}

impl Drop for Invalidations {
    fn drop(&mut self) {
        if cfg!(debug_assertions) && !self.is_empty() {
            let keys = self.caches.iter().map(|keys| keys.len() as u64).sum();
            let groups = self.targets.len() as u64;
            self.shared.event(&Event::InvalidationsDropped { keys, groups });
        }
    }
}

impl fmt::Debug for Invalidations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: usize = self.caches.iter().map(|keys| keys.len()).sum();
        let mut debug = f.debug_struct("Invalidations");
        debug.field("keys", &keys).field("targets", &self.targets).finish_non_exhaustive()
    }
}
