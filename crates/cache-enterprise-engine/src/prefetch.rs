//! Loading what is likely to be asked for next.
//!
//! Requests are told to a predictor beside the load, and what it names is loaded behind everybody,
//! on the usual way: one load of a key at a time, and within the limits that all loads have. A
//! request that finds the predictor busy goes untold: nobody waits for it.

use std::collections::VecDeque;
use std::fmt;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{CacheKey, Cached, Lookup};
use cache_enterprise_strategies::predict::{GateStats, Prefetcher};
use hashbrown::{DefaultHashBuilder, HashMap};

use crate::error::LoadError;
use crate::loader::{Loader, Loading};

/// Keys that can be loaded again by their hash; the oldest make room.
const KEYS_MAX: usize = 65_536;

/// What a value is taken to weigh before one was loaded.
const BYTES_USUAL: u64 = 1_024;

/// A cache with a loader that also loads ahead, which [`Loading::prefetching`] gives. The handles of
/// the cache without it cost and do what they did.
pub struct Prefetching<K: CacheKey, V: Send + Sync + 'static, L> {
    loading: Loading<K, V, L>,
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    ahead: Mutex<Ahead<K>>,
    hasher: DefaultHashBuilder,
    /// What a value weighs, roughly.
    bytes: AtomicU64,
}

/// What is known of requests so far.
struct Ahead<K> {
    prefetcher: Prefetcher,
    /// The way back from a hash to its key.
    keys: HashMap<u64, K>,
    order: VecDeque<u64>,
    fetch: Vec<u64>,
}

impl<K: CacheKey> Ahead<K> {
    fn keep<Q: Lookup<K> + ?Sized>(&mut self, hash: u64, key: &Q) {
        if self.keys.contains_key(&hash) {
            return;
        }
        if self.keys.len() >= KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        self.keys.insert(hash, key.to_key());
        self.order.push_back(hash);
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, L: Loader<K, V>> Loading<K, V, L> {
    /// A handle whose loads are told to `prefetcher`, and which loads what that names. Up to 65 536
    /// keys are kept for it. A load costs a lock that is not waited for, and some microseconds for
    /// the predictor.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{
    ///     CacheManager, CacheSpec, Fetched, LoadContext, Loader, block_on,
    /// };
    /// use cache_enterprise_strategies::predict::{PrefetchBudget, Prefetcher};
    ///
    /// static PAGES: CacheSpec<u64, String> = CacheSpec::new("pages").ttl(mins(5));
    ///
    /// struct Pages;
    ///
    /// impl Loader<u64, String> for Pages {
    ///     type Error = std::io::Error;
    ///
    ///     async fn load(&self, id: &u64, _: LoadContext<String>) -> std::io::Result<Fetched<String>> {
    ///         Ok(format!("page {id}").into())
    ///     }
    /// }
    ///
    /// let pages = CacheManager::in_memory(Capacity::entries(1_000))?.open(&PAGES)?;
    /// let budget = PrefetchBudget { per_second: 50.0, ..PrefetchBudget::default() };
    /// let pages = pages.with_loader(Pages).prefetching(Prefetcher::with_next_access(budget)?);
    /// assert_eq!(block_on(pages.load(&7)).ok().as_deref().map(String::as_str), Some("page 7"));
    /// println!("{} of {} were used", pages.prefetched().used, pages.prefetched().fetched);
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn prefetching(&self, prefetcher: Prefetcher) -> Prefetching<K, V, L> {
        let (keys, order, fetch) = (HashMap::new(), VecDeque::new(), Vec::new());
        let shared = Shared {
            ahead: Mutex::new(Ahead { prefetcher, keys, order, fetch }),
            hasher: DefaultHashBuilder::default(),
            bytes: AtomicU64::new(BYTES_USUAL),
        };
        Prefetching { loading: self.clone(), shared: Arc::new(shared) }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, L: Loader<K, V>> Prefetching<K, V, L> {
    /// The value under `key`, as [`Loading::load`] gives it; and what is likely to be asked for
    /// next is loaded behind it.
    ///
    /// # Errors
    /// As [`Loading::load`].
    pub async fn load<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
    ) -> Result<Cached<V>, LoadError<L::Error>> {
        self.tell(key);
        let value = self.loading.load(key).await?;
        let weight = u64::from(Cached::entry(&value).weight()).max(1);
        // A mean over some sixteen loads; of two that race one is lost.
        let mean = self.shared.bytes.load(Ordering::Relaxed);
        self.shared.bytes.store((mean * 15 + weight).div_ceil(16), Ordering::Relaxed);
        Ok(value)
    }

    /// What came of loading ahead so far. Waits for a request that is being told.
    pub fn prefetched(&self) -> GateStats {
        self.shared.ahead.lock().prefetcher.stats()
    }

    fn tell<Q: Lookup<K> + ?Sized>(&self, key: &Q) {
        let Some(mut ahead) = self.shared.ahead.try_lock() else { return };
        let hash = self.shared.hasher.hash_one(self.scoped(key));
        ahead.keep(hash, key);
        let (now, bytes) = (self.view.clock.now(), self.shared.bytes.load(Ordering::Relaxed));
        let Ahead { prefetcher, keys, fetch, .. } = &mut *ahead;
        // What cannot be loaded by its hash any more counts as held.
        let holds = |hash: u64| keys.get(&hash).is_none_or(|key| self.loading.contains(key));
        prefetcher.request(hash, now, bytes, holds, fetch);
        let wanted: Vec<K> = fetch.drain(..).filter_map(|hash| keys.get(&hash).cloned()).collect();
        drop(ahead);
        for key in wanted {
            self.loading.load_behind(key);
        }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, L> Clone for Prefetching<K, V, L> {
    fn clone(&self) -> Self {
        Self { loading: self.loading.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, L> Deref for Prefetching<K, V, L> {
    type Target = Loading<K, V, L>;

    fn deref(&self) -> &Loading<K, V, L> {
        &self.loading
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, L> fmt::Debug for Prefetching<K, V, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefetching").field("loading", &self.loading).finish_non_exhaustive()
    }
}
