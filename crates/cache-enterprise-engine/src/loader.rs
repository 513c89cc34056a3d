//! A loader that is registered once: read-through, and refreshes behind its callers.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cache_enterprise_core::{CacheKey, CacheLevel, Cached, Lookup};

use crate::access::Access;
use crate::cache::Cache;
use crate::context::{Fetched, LoadContext, Telling};
use crate::error::LoadError;
use crate::failures::SharedError;
use crate::options::Options;
use crate::owned::Found;
use crate::policy::{Leases, OnError, OnNoWaiters, Refresh};
use crate::read::{Call, Hit, Loaded, Owned, Source, Want};

/// Where the values of a cache come from.
///
/// Called once a load, from a task of the cache's own, so it owns what it uses: a pool, a client.
/// It may take its time; the cache bounds how long callers wait. A panic is a load without an
/// answer. Several loads of different keys run at once.
///
/// ```
/// use cache_enterprise_core::{Capacity, mins};
/// use cache_enterprise_engine::{
///     CacheManager, CacheSpec, Fetched, LoadContext, Loader, block_on,
/// };
///
/// struct Squares;
///
/// impl Loader<u64, u64> for Squares {
///     type Error = std::num::TryFromIntError;
///
///     async fn load(&self, n: &u64, _: LoadContext<u64>) -> Result<Fetched<u64>, Self::Error> {
///         let n = u32::try_from(*n)?;
///         Ok((u64::from(n) * u64::from(n)).into())
///     }
/// }
///
/// static SQUARES: CacheSpec<u64, u64> = CacheSpec::new("squares").ttl(mins(5)).refresh_at(0.8);
/// let manager = CacheManager::in_memory(Capacity::entries(100))?;
/// let squares = manager.open(&SQUARES)?.with_loader(Squares);
/// assert_eq!(block_on(squares.load(&12)).map(|square| *square).ok(), Some(144));
/// assert!(block_on(squares.load(&u64::MAX)).is_err());
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub trait Loader<K, V>: Send + Sync + 'static {
    /// Why there may be no answer.
    type Error: Send + Sync + 'static;

    /// The value of `key`. The context tells of the value that is there, and takes what the cache
    /// should know about the new one.
    fn load(
        &self,
        key: &K,
        cx: LoadContext<V>,
    ) -> impl Future<Output = Result<Fetched<V>, Self::Error>> + Send;
}

/// A cache with the loader of its values: [`load`](Self::load) reads through, and what is about to
/// end, or has just ended, is refreshed behind its callers. A clone costs a few reference counts.
/// Everything a [`Cache`] does it does as well.
///
/// The policies below go over those of the spec for loads by this handle.
pub struct Loading<K: CacheKey, V: Send + Sync + 'static, L> {
    cache: Cache<K, V>,
    loader: Arc<L>,
    options: Options,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The cache with a loader of its own; see [`Loader`] for an example.
    pub fn with_loader<L: Loader<K, V>>(&self, loader: L) -> Loading<K, V, L> {
        let options = self.view.core.options;
        Loading { cache: self.clone(), loader: Arc::new(loader), options }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, L: Loader<K, V>> Loading<K, V, L> {
    /// A value up to this long past its life answers at once while it is refreshed, and when that
    /// fails. Default: the spec's.
    #[must_use]
    pub fn stale_for(mut self, grace: Duration) -> Self {
        self.options.stale_for = Some(grace);
        self
    }

    /// After so long a value past its life answers, while the load goes on. Default: the spec's.
    #[must_use]
    pub fn soft_timeout(mut self, limit: Duration) -> Self {
        self.options.soft_timeout = Some(limit);
        self
    }

    /// Longest a caller waits. The load itself goes on for as long again. Default: the spec's.
    #[must_use]
    pub fn hard_timeout(mut self, limit: Duration) -> Self {
        self.options.hard_timeout = Some(limit);
        self
    }

    /// Values are loaded anew from this share of their life on; see [`Refresh::At`]. Default: the
    /// spec's.
    #[must_use]
    pub fn refresh_at(self, share: f32) -> Self {
        self.refresh_early(Refresh::At(share))
    }

    /// When values are loaded anew before their life is over. Default: the spec's.
    #[must_use]
    pub fn refresh_early(mut self, refresh: Refresh) -> Self {
        self.options.refresh = Some(refresh);
        self
    }

    /// What becomes of the loader's errors. Default: the spec's.
    #[must_use]
    pub fn on_error(mut self, policy: OnError) -> Self {
        self.options.on_error = Some(policy);
        self
    }

    /// What becomes of a load that nobody waits for. Default: the spec's.
    #[must_use]
    pub fn on_no_waiters(mut self, policy: OnNoWaiters) -> Self {
        self.options.on_no_waiters = Some(policy);
        self
    }

    /// Which loads one process does for all. Default: the spec's.
    #[must_use]
    pub fn leases(mut self, leases: Leases) -> Self {
        self.options.leases = Some(leases);
        self
    }

    /// The value under `key`, loaded when no level holds it. Callers of one key share one load.
    /// A hit is ready at the first poll and allocates nothing. Await it, perhaps after saying how
    /// it reads:
    ///
    /// ```
    /// # use cache_enterprise_engine::{LoadError, Loader, Loading};
    /// # async fn again<L: Loader<u64, String>>(users: Loading<u64, String, L>)
    /// # -> Result<(), LoadError<L::Error>> {
    /// let user = users.load(&7).await?;
    /// let newer = users.load(&7).refresh().await?;
    /// # drop((user, newer));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The loader's, [`LoadError::Absent`] where it found nothing, [`LoadError::Timeout`],
    /// [`LoadError::Recursive`] or [`LoadError::Panicked`].
    pub fn load<'a, Q: Lookup<K> + ?Sized>(&'a self, key: &'a Q) -> Load<'a, K, V, L, Q> {
        Load { loading: self, stage: Stage::Start(key, None) }
    }

    /// As [`load`](Self::load), where there may be nothing.
    ///
    /// # Errors
    /// As [`load`](Self::load), without [`LoadError::Absent`].
    pub async fn load_opt<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
    ) -> Result<Option<Cached<V>>, LoadError<L::Error>> {
        match self.load(key).await {
            Ok(value) => Ok(Some(value)),
            Err(LoadError::Absent) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`load`](Self::load), with where the value came from, its age and its version.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_entry<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
    ) -> Result<Hit<V>, LoadError<L::Error>> {
        let found = match self.hit(key) {
            Some(hit) => (hit, Source::Memory.into()),
            None => self.climb(key.to_key(), Asked::of(self.options)).await?,
        };
        Ok(Hit::new(found.0, found.1))
    }

    /// Level 1's answer, which may start a refresh.
    #[inline]
    fn hit<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Option<Cached<V>> {
        let (hit, is_due) = self.cache.hit_or_due(key)?;
        if is_due {
            self.refresh(key.to_key(), &hit);
        }
        Some(hit)
    }

    #[cold]
    fn refresh(&self, key: K, hit: &Cached<V>) {
        let (call, told) = self.call(Asked::of(self.options));
        let loader = self.loader_of(key.clone(), told);
        self.cache.refresh_early(key, hit, loader, call);
    }

    async fn climb(&self, key: K, asked: Asked) -> Found<V, L::Error> {
        let (call, told) = self.call(asked);
        if let Some(hit) = self.cache.hit_for(&key, &call) {
            return Ok((hit, Source::Memory.into()));
        }
        let loader = self.loader_of(key.clone(), told);
        Box::pin(self.cache.climb_owned(key, loader, call)).await
    }

    /// Loads `key` behind everybody, unless that is under way or failed lately.
    pub(crate) fn load_behind(&self, key: K) {
        let (call, told) = self.call(Asked::of(self.options));
        let loader = self.loader_of(key.clone(), told);
        self.cache.refresh_behind(key, loader, call);
    }

    fn call(&self, asked: Asked) -> (Call, Telling) {
        let Asked { options, access } = asked;
        let told = Telling::default();
        let call = Call {
            want: Want::Option,
            access,
            error: Some(TypeId::of::<L::Error>()),
            owned: Some(Owned::telling(&told)),
            ..Call::with(options, Vec::new())
        };
        (self.cache.timed(call), told)
    }

    fn loader_of(
        &self,
        key: K,
        told: Telling,
    ) -> impl FnOnce(Option<Cached<V>>) -> LoaderFuture<V> + Send + 'static {
        let loader = Arc::clone(&self.loader);
        move |stale| {
            Box::pin(async move {
                let loaded = loader.load(&key, LoadContext::new(told, stale)).await;
                loaded.map_err(|error| Arc::new(error) as SharedError)
            })
        }
    }
}

type LoaderFuture<V> = Pin<Box<dyn Future<Output = Loaded<V>> + Send>>;

/// How one call wants to load.
#[derive(Debug)]
struct Asked {
    options: Options,
    access: Access,
}

impl Asked {
    fn of(options: Options) -> Self {
        Self { options, access: Access::PLAIN }
    }
}

/// A load that has not happened yet: await it. See [`Loading::load`].
#[must_use = "a load does nothing until it is awaited"]
pub struct Load<'a, K: CacheKey, V: Send + Sync + 'static, L: Loader<K, V>, Q: ?Sized> {
    loading: &'a Loading<K, V, L>,
    stage: Stage<'a, V, L::Error, Q>,
}

enum Stage<'a, V, E, Q: ?Sized> {
    /// The key, and how the call reads where it says so.
    Start(&'a Q, Option<Box<Asked>>),
    Climbing(Pin<Box<dyn Future<Output = Found<V, E>> + Send + 'a>>),
    Done,
}

/// Nothing in it is pinned in place but the box.
impl<K, V, L, Q> Unpin for Load<'_, K, V, L, Q>
where
    K: CacheKey,
    V: Send + Sync + 'static,
    L: Loader<K, V>,
    Q: ?Sized,
{
}

impl<K, V, L, Q> Load<'_, K, V, L, Q>
where
    K: CacheKey,
    V: Send + Sync + 'static,
    L: Loader<K, V>,
    Q: ?Sized,
{
    /// Runs the loader whatever the levels hold, and stores what it gives.
    pub fn refresh(self) -> Self {
        self.asking(|asked| asked.access = asked.access.refresh())
    }

    /// Neither reads nor fills this level; see [`Access`].
    pub fn bypass(self, level: CacheLevel) -> Self {
        self.asking(|asked| asked.access = asked.access.bypass(level))
    }

    /// Stores what is found or loaded in no level.
    pub fn read_only(self) -> Self {
        self.asking(|asked| asked.access = asked.access.read_only())
    }

    /// A value up to this long past its life answers at once while it is refreshed.
    pub fn stale_for(self, grace: Duration) -> Self {
        self.asking(|asked| asked.options.stale_for = Some(grace))
    }

    /// After so long a value past its life answers, while the load goes on.
    pub fn soft_timeout(self, limit: Duration) -> Self {
        self.asking(|asked| asked.options.soft_timeout = Some(limit))
    }

    /// Longest this call waits.
    pub fn hard_timeout(self, limit: Duration) -> Self {
        self.asking(|asked| asked.options.hard_timeout = Some(limit))
    }

    fn asking(mut self, change: impl FnOnce(&mut Asked)) -> Self {
        if let Stage::Start(_, asked) = &mut self.stage {
            let options = self.loading.options;
            change(asked.get_or_insert_with(|| Box::new(Asked::of(options))));
        }
        self
    }
}

impl<K, V, L, Q> Future for Load<'_, K, V, L, Q>
where
    K: CacheKey,
    V: Send + Sync + 'static,
    L: Loader<K, V>,
    Q: Lookup<K> + ?Sized,
{
    type Output = Result<Cached<V>, LoadError<L::Error>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Start(key, None) = &self.stage
            && let Some(hit) = self.loading.hit(*key)
        {
            return Poll::Ready(Ok(hit));
        }
        self.climb(cx)
    }
}

impl<K, V, L, Q> Load<'_, K, V, L, Q>
where
    K: CacheKey,
    V: Send + Sync + 'static,
    L: Loader<K, V>,
    Q: Lookup<K> + ?Sized,
{
    /// The first poll when nothing was hit, and every later one.
    #[cold]
    fn climb(&mut self, cx: &mut Context<'_>) -> Poll<Result<Cached<V>, LoadError<L::Error>>> {
        if let Stage::Start(key, asked) = &mut self.stage {
            let (key, options) = (key.to_key(), self.loading.options);
            let asked = asked.take().map_or_else(|| Asked::of(options), |asked| *asked);
            self.stage = Stage::Climbing(Box::pin(self.loading.climb(key, asked)));
        }
        let Stage::Climbing(climb) = &mut self.stage else {
            unreachable!("a future is not polled again after its answer");
        };
        let found = climb.as_mut().poll(cx);
        if found.is_ready() {
            self.stage = Stage::Done;
        }
        found.map(|found| found.map(|(value, _)| value))
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, L> Clone for Loading<K, V, L> {
    fn clone(&self) -> Self {
        let (cache, loader) = (self.cache.clone(), Arc::clone(&self.loader));
        Self { cache, loader, options: self.options }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, L> Deref for Loading<K, V, L> {
    type Target = Cache<K, V>;

    fn deref(&self) -> &Cache<K, V> {
        &self.cache
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, L> fmt::Debug for Loading<K, V, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loading").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl<K, V, L, Q> fmt::Debug for Load<'_, K, V, L, Q>
where
    K: CacheKey,
    V: Send + Sync + 'static,
    L: Loader<K, V>,
    Q: ?Sized,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("loading", &self.loading).finish_non_exhaustive()
    }
}
