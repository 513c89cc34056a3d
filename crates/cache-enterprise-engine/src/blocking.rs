//! The same calls without await, for threads that may block.

use std::fmt;

use cache_enterprise_core::{CacheKey, Cached, Lookup, Result, SetOutcome};

use crate::cache::Cache;
use crate::error::LoadError;
use crate::parking::block_on;

/// A cache whose calls block until they are done. Never use it inside an async task.
///
/// ```
/// use cache_enterprise_core::Capacity;
/// use cache_enterprise_engine::{CacheManager, CacheSpec};
///
/// static SQUARES: CacheSpec<u64, u64> = CacheSpec::new("squares").forever();
/// let squares = CacheManager::in_memory(Capacity::entries(100))?.open(&SQUARES)?.blocking();
/// assert_eq!(*squares.get_with(&7, || 49_u64), 49);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub struct Blocking<K: CacheKey, V: Send + Sync + 'static> {
    cache: Cache<K, V>,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The same cache for threads that may block.
    pub fn blocking(&self) -> Blocking<K, V> {
        Blocking { cache: self.clone() }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Blocking<K, V> {
    /// See [`Cache::get`].
    ///
    /// # Errors
    /// As there.
    pub fn get<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Result<Option<Cached<V>>> {
        block_on(self.cache.get(key))
    }

    /// See [`Cache::get_with`].
    pub fn get_with<Q, O>(&self, key: &Q, load: impl FnOnce() -> O) -> Cached<V>
    where
        Q: Lookup<K> + ?Sized,
        O: Into<V>,
    {
        block_on(self.cache.get_with(key, || async { load() }))
    }

    /// See [`Cache::try_get_with`].
    ///
    /// # Errors
    /// As there.
    pub fn try_get_with<Q, O, E>(
        &self,
        key: &Q,
        load: impl FnOnce() -> std::result::Result<O, E>,
    ) -> std::result::Result<Cached<V>, LoadError<E>>
    where
        Q: Lookup<K> + ?Sized,
        O: Into<V>,
        E: Send + Sync + 'static,
    {
        block_on(self.cache.try_get_with(key, || async { load() }))
    }

    /// See [`Cache::set`].
    pub fn set<Q: Lookup<K> + ?Sized>(&self, key: &Q, value: impl Into<V>) -> SetOutcome {
        block_on(std::future::IntoFuture::into_future(self.cache.set(key, value)))
    }

    /// See [`Cache::remove`].
    pub fn remove<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        block_on(self.cache.remove(key))
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> fmt::Debug for Blocking<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").field("cache", &self.cache).finish()
    }
}
