//! `cache.fetch(..)`: a load with options of its own, borrowed or owned.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{CacheKey, CacheLevel, Cached, Lookup, Tag};

use crate::access::Access;
use crate::cache::Cache;
use crate::context::{IntoFetched, LoadContext, Telling};
use crate::error::LoadError;
use crate::failures::SharedError;
use crate::options::{Life, Options};
use crate::owned::Found;
use crate::policy::{Leases, OnError, OnNoWaiters, Refresh};
use crate::read::{Call, Hit, Owned, Source, Want};

/// A fetch that may borrow or own its loader.
#[derive(Debug)]
pub enum Any {}

/// A fetch whose loader must own what it uses, because it may outlive the call.
#[derive(Debug)]
pub enum Owning {}

/// A load that has not happened yet; see [`Cache::fetch`].
///
/// What only an owned loader can do leaves only [`detached`](Self::detached): a mix does not
/// compile.
///
/// ```compile_fail,E0599
/// # use cache_enterprise_core::{mins, hours};
/// # use cache_enterprise_engine::Cache;
/// # async fn mix(pages: Cache<u64, String>) {
/// pages.fetch(&1).stale_for(hours(1)).with(|| async { Ok::<_, ()>("home") }).await;
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # use cache_enterprise_engine::Cache;
/// # async fn mix(pages: Cache<u64, String>) {
/// pages.fetch(&1).refresh_at(0.8).with(|| async { Ok::<_, ()>("home") }).await;
/// # }
/// ```
///
/// ```compile_fail,E0373
/// # use cache_enterprise_engine::Cache;
/// # async fn mix(pages: Cache<u64, String>, title: &str) {
/// pages.fetch(&1).detached(|_| async { Ok::<_, ()>(title.to_owned()) }).await;
/// # }
/// ```
#[must_use = "a fetch does nothing until `.with(..)` or `.detached(..)`"]
pub struct Fetch<'a, K: CacheKey, V: Send + Sync + 'static, S = Any> {
    cache: &'a Cache<K, V>,
    key: K,
    options: Options,
    tags: Vec<Tag>,
    parents: Vec<Tag>,
    access: Access,
    mode: PhantomData<fn() -> S>,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Starts a load of `key` with options of its own.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, hours, mins, ms, tag};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    ///
    /// static PAGES: CacheSpec<String, String> = CacheSpec::new("pages").forever();
    /// let pages = CacheManager::in_memory(Capacity::entries(100))?.open(&PAGES)?;
    /// let page = block_on(pages.fetch("home").ttl(mins(1)).stale_for(hours(1)).detached(
    ///     move |cx| async move {
    ///         cx.tag(tag!("layout"));
    ///         Ok::<_, std::io::Error>("<h1>Home</h1>")
    ///     },
    /// ));
    /// assert_eq!(*page.expect("the loader does not fail"), "<h1>Home</h1>");
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn fetch<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Fetch<'_, K, V> {
        Fetch {
            cache: self,
            key: key.to_key(),
            options: self.view.core.options,
            tags: Vec::new(),
            parents: Vec::new(),
            access: Access::PLAIN,
            mode: PhantomData,
        }
    }
}

impl<'a, K: CacheKey, V: Send + Sync + 'static, S> Fetch<'a, K, V, S> {
    /// Life of the loaded entry. Default: the spec's.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = Some(Life::For(ttl));
        self
    }

    /// Labels the loaded entry. Default: none.
    pub fn tags<I>(mut self, tags: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Tag>,
    {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// The loaded value is derived from that of `key`: see [`Set::depends_on`](crate::Set::depends_on).
    /// A parent that changes while the load runs ends what it gives. Where the parent belongs to
    /// another tenant or manager the value is given and not stored.
    pub fn depends_on<K2, V2, Q>(mut self, cache: &Cache<K2, V2>, key: &Q) -> Self
    where
        K2: CacheKey,
        V2: Send + Sync + 'static,
        Q: Lookup<K2> + ?Sized,
    {
        match self.cache.is_beside(cache) {
            true => self.parents.extend(cache.adopted_by(key)),
            false => self.parents.push(Tag::from("")),
        }
        self
    }

    /// How long past its life a value may answer when this load fails. Default: the spec's.
    pub fn stale_if_error(mut self, grace: Duration) -> Self {
        self.options.stale_if_error = Some(grace);
        self
    }

    /// Longest this load may take. Default: the spec's, 30 s.
    pub fn hard_timeout(mut self, limit: Duration) -> Self {
        self.options.hard_timeout = Some(limit);
        self
    }

    /// What becomes of the loader's error. Default: the spec's.
    pub fn on_error(mut self, policy: OnError) -> Self {
        self.options.on_error = Some(policy);
        self
    }

    /// Whether one process loads for all. Default: the spec's.
    pub fn leases(mut self, leases: Leases) -> Self {
        self.options.leases = Some(leases);
        self
    }

    /// Runs the loader whatever the levels hold, and stores what it gives. Default: when no level
    /// has the value.
    pub fn refresh(mut self) -> Self {
        self.access = self.access.refresh();
        self
    }

    /// Neither reads nor fills this level; see [`Access`]. Default: all levels are.
    pub fn bypass(mut self, level: CacheLevel) -> Self {
        self.access = self.access.bypass(level);
        self
    }

    /// Stores what is found or loaded in no level. Default: in all.
    pub fn read_only(mut self) -> Self {
        self.access = self.access.read_only();
        self
    }

    /// Which levels it reads and writes, all in one. Default: [`Access::PLAIN`].
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// A value up to this long past its life answers at once, and one refresh starts behind it.
    /// It also answers when the load fails. Only an owned loader can do that, so only
    /// [`detached`](Self::detached) remains. Default: the spec's.
    pub fn stale_for(mut self, grace: Duration) -> Fetch<'a, K, V, Owning> {
        self.options.stale_for = Some(grace);
        self.owning()
    }

    /// After so long a value past its life answers, while the load goes on. Only an owned loader
    /// can do that, so only [`detached`](Self::detached) remains. Default: the spec's.
    pub fn soft_timeout(mut self, limit: Duration) -> Fetch<'a, K, V, Owning> {
        self.options.soft_timeout = Some(limit);
        self.owning()
    }

    /// The loader runs again behind a call from this share of the life on; see [`Refresh::At`].
    /// Only [`detached`](Self::detached) remains. Default: the spec's.
    pub fn refresh_at(self, share: f32) -> Fetch<'a, K, V, Owning> {
        self.refresh_early(Refresh::At(share))
    }

    /// When the loader runs again behind a call before the life is over. Only
    /// [`detached`](Self::detached) remains. Default: the spec's.
    pub fn refresh_early(mut self, refresh: Refresh) -> Fetch<'a, K, V, Owning> {
        self.options.refresh = Some(refresh);
        self.owning()
    }

    /// What becomes of the load when nobody waits for it. Only [`detached`](Self::detached)
    /// remains. Default: the spec's.
    pub fn on_no_waiters(mut self, policy: OnNoWaiters) -> Fetch<'a, K, V, Owning> {
        self.options.on_no_waiters = Some(policy);
        self.owning()
    }

    fn owning(self) -> Fetch<'a, K, V, Owning> {
        let Self { cache, key, options, tags, parents, access, .. } = self;
        Fetch { cache, key, options, tags, parents, access, mode: PhantomData }
    }

    fn into_call(self) -> (&'a Cache<K, V>, K, Call) {
        let Self { cache, key, options, tags, parents, access, .. } = self;
        (cache, key, cache.timed(Call { access, parents, ..Call::with(options, tags) }))
    }

    /// Loads with an owned loader that goes on when this call is dropped. Needs a runtime or, in
    /// a manager without tiers, starts a thread for the load. The loader gives a value, or what a
    /// method of its [`LoadContext`] makes.
    ///
    /// # Errors
    /// The loader's, [`LoadError::Absent`] where it found nothing, [`LoadError::Timeout`],
    /// [`LoadError::Recursive`] or [`LoadError::Panicked`].
    pub async fn detached<F, Fut, O, E, M>(self, load: F) -> Result<Cached<V>, LoadError<E>>
    where
        F: FnOnce(LoadContext<V>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        O: IntoFetched<V, M> + Send + 'static,
        E: Send + Sync + 'static,
    {
        self.find_detached(load).await.map(|(value, _)| value)
    }

    /// As [`detached`](Self::detached), with where the value came from.
    ///
    /// # Errors
    /// As [`detached`](Self::detached).
    pub async fn detached_entry<F, Fut, O, E, M>(self, load: F) -> Result<Hit<V>, LoadError<E>>
    where
        F: FnOnce(LoadContext<V>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        O: IntoFetched<V, M> + Send + 'static,
        E: Send + Sync + 'static,
    {
        self.find_detached(load).await.map(|(value, via)| Hit::new(value, via))
    }

    async fn find_detached<F, Fut, O, E, M>(self, load: F) -> Found<V, E>
    where
        F: FnOnce(LoadContext<V>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        O: IntoFetched<V, M> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let is_plain = self.access == Access::PLAIN;
        let hit = if is_plain { self.cache.hit_or_due(&self.key) } else { None };
        if let Some((hit, false)) = hit {
            return Ok((hit, Source::Memory.into()));
        }
        let (cache, key, call) = self.into_call();
        let told = Telling::default();
        let owned = Some(Owned::telling(&told));
        let call = Call { want: Want::Option, owned, error: Some(TypeId::of::<E>()), ..call };
        let loader = move |stale| async move {
            match load(LoadContext::new(told, stale)).await {
                Ok(answer) => Ok(answer.into_fetched()),
                Err(error) => Err(Arc::new(error) as SharedError),
            }
        };
        if let Some((hit, _)) = hit {
            cache.refresh_early(key, &hit, loader, call);
            return Ok((hit, Source::Memory.into()));
        }
        if let Some(hit) = cache.hit_for(&key, &call) {
            return Ok((hit, Source::Memory.into()));
        }
        Box::pin(cache.climb_owned(key, loader, call)).await
    }

    /// Looks for the value in the levels this fetch reads, without a loader.
    ///
    /// # Errors
    /// As [`Cache::get`].
    pub async fn look(self) -> cache_enterprise_core::Result<Option<Hit<V>>> {
        let (cache, key, call) = self.into_call();
        let call = Call { want: Want::Lookup, deadline: None, ..call };
        if let Some(hit) = cache.hit_for(&key, &call) {
            return Ok(Some(Hit::new(hit, Source::Memory)));
        }
        let found = Box::pin(cache.look_below(&key, call)).await?;
        Ok(found.map(|(value, via)| Hit::new(value, via)))
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Fetch<'_, K, V, Any> {
    /// Loads with a loader that may borrow; it runs inside this task.
    ///
    /// # Errors
    /// The loader's, [`LoadError::Timeout`] or [`LoadError::Recursive`].
    pub async fn with<F, Fut, O, E>(self, load: F) -> Result<Cached<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<O, E>>,
        O: Into<V>,
        E: Send + Sync + 'static,
    {
        self.find_with(load).await.map(|(value, _)| value)
    }

    /// As [`with`](Self::with), with where the value came from.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub async fn with_entry<F, Fut, O, E>(self, load: F) -> Result<Hit<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<O, E>>,
        O: Into<V>,
        E: Send + Sync + 'static,
    {
        self.find_with(load).await.map(|(value, via)| Hit::new(value, via))
    }

    async fn find_with<F, Fut, O, E>(self, load: F) -> Found<V, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<O, E>>,
        O: Into<V>,
        E: Send + Sync + 'static,
    {
        if self.access.reads(CacheLevel::L1)
            && let Some(hit) = self.cache.hit(&self.key)
        {
            return Ok((hit, Source::Memory.into()));
        }
        let (cache, key, call) = self.into_call();
        Box::pin(cache.try_find(&key, load, call)).await
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, S> fmt::Debug for Fetch<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("cache", &self.cache).finish_non_exhaustive()
    }
}
