//! Warming up by what a model says is likely in a context.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cache_enterprise_core::{CacheKey, Cached, Lookup, Result};
use cache_enterprise_strategies::predict::model::{
    Access, ModelContext, ModelEvent, ModelRegistry, Ranked, worth_warming,
};

use crate::cache::Cache;
use crate::filling::text_of;
use crate::loader::Loader;
use crate::warm::{Warm, WarmReport};

/// A cache that learns what is asked for in which circumstances, and warms itself up by it. Models
/// are found by name in a registry, which other caches may share.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::{Capacity, mins};
/// use cache_enterprise_engine::{
///     CacheManager, CacheSpec, Fetched, LoadContext, Loader, SmartCache, block_on,
/// };
/// use cache_enterprise_strategies::predict::model::{
///     ContextCounts, CountsLimits, ModelRegistry, ModelRules,
/// };
///
/// static TRACKS: CacheSpec<String, u64> = CacheSpec::new("tracks").ttl(mins(5));
///
/// struct Plays;
///
/// impl Loader<String, u64> for Plays {
///     type Error = std::io::Error;
///
///     async fn load(&self, track: &String, _: LoadContext<u64>) -> std::io::Result<Fetched<u64>> {
///         Ok((track.len() as u64).into())
///     }
/// }
///
/// let models = Arc::new(ModelRegistry::new(ModelRules::default())?);
/// models.register("popularity", Box::new(ContextCounts::new(CountsLimits::default())?))?;
/// let tracks = CacheManager::in_memory(Capacity::entries(1_000))?.open(&TRACKS)?;
/// let tracks = SmartCache::new(tracks, models);
///
/// let friday = [("time", "friday_evening"), ("region", "EU")];
/// for _ in 0..10 {
///     tracks.learn("popularity", "dance", &friday)?;
/// }
/// let report = block_on(tracks.predict_and_warm("popularity", &friday, Plays))?;
/// assert!(report.loaded == 1 && tracks.contains("dance"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub struct SmartCache<K: CacheKey, V: Send + Sync + 'static> {
    cache: Cache<K, V>,
    models: Arc<ModelRegistry>,
    most: usize,
    bytes_max: u64,
    how: Warm,
}

impl<K: CacheKey, V: Send + Sync + 'static> SmartCache<K, V> {
    /// A warm-up loads 1 000 keys and 64 MiB at most, as [`Warm::new`] goes about it.
    pub fn new(cache: Cache<K, V>, models: Arc<ModelRegistry>) -> Self {
        let bytes_max = 64 * cache_enterprise_core::MIB;
        Self { cache, models, most: 1_000, bytes_max, how: Warm::new() }
    }

    /// Keys that one warm-up loads at most. Default: 1 000.
    #[must_use]
    pub fn most(mut self, keys: usize) -> Self {
        self.most = keys;
        self
    }

    /// Bytes that one warm-up loads at most, by what the values weighed before. Default: 64 MiB.
    #[must_use]
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// How a warm-up goes about it. Default: [`Warm::new`].
    #[must_use]
    pub fn warming(mut self, how: Warm) -> Self {
        self.how = how;
        self
    }

    /// The models.
    pub fn models(&self) -> &Arc<ModelRegistry> {
        &self.models
    }

    /// Tells a model that `key` was asked for in this context, and gives what the model decided by
    /// it. The model is scored on the request before it learns from it. Costs microseconds and a
    /// lock; a request path may tell it of a sample.
    ///
    /// What the value weighs is told where level 1 holds it, what loading it took is not: level 1
    /// does not keep that. Who knows it tells [`models`](Self::models) of the request instead, with
    /// [`Access::load_time`].
    ///
    /// # Errors
    /// When no model has this name, or the context cannot be used.
    pub fn learn<Q: Lookup<K> + ?Sized>(
        &self,
        model: &str,
        key: &Q,
        context: &[(&str, &str)],
    ) -> Result<Option<ModelEvent>> {
        let context = ModelContext::new(context.iter().copied())?;
        let text = text_of(&key.to_key());
        let held = self.cache.peek(key);
        let bytes = held.map_or(0, |value| u64::from(Cached::entry(&value).weight()));
        let access = Access::new(&text, &context, self.now()).bytes(bytes);
        self.models.learn(model, &access)
    }

    /// Loads the keys that a model ranks highest in this context on the usual way, those first that
    /// are likeliest a byte, and save most load time a byte where the model was told of it.
    ///
    /// # Errors
    /// When no model has this name, or the context cannot be used. A load that fails is counted.
    pub async fn predict_and_warm<L: Loader<K, V>>(
        &self,
        model: &str,
        context: &[(&str, &str)],
        loader: L,
    ) -> Result<WarmReport>
    where
        K: FromStr,
    {
        let context = ModelContext::new(context.iter().copied())?;
        let ranked = self.models.rank(model, &context, self.now(), self.most)?;
        let plan = worth_warming(ranked, self.bytes_max);
        // A text that is no key came from a model of another cache.
        let keys = plan.iter().filter_map(|Ranked { key, .. }| key.parse::<K>().ok());
        let keys: Vec<K> = keys.collect();
        Ok(self.cache.with_loader(loader).warm(keys, self.how.clone()).await)
    }

    /// Wall time: models outlive the process.
    fn now(&self) -> u64 {
        u64::try_from(self.cache.view.clock.wall_ms()).unwrap_or(0)
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> std::ops::Deref for SmartCache<K, V> {
    type Target = Cache<K, V>;

    fn deref(&self) -> &Cache<K, V> {
        &self.cache
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> fmt::Debug for SmartCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models = self.models.names();
        f.debug_struct("SmartCache").field("cache", &self.cache).field("models", &models).finish()
    }
}
