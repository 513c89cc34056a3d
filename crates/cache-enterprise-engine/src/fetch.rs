//! `cache.fetch(..)`: a load with options of its own, borrowed or owned.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{CacheKey, Cached, Lookup, NEVER, Tag, saturating_millis};

use crate::cache::Cache;
use crate::error::LoadError;
use crate::flight::{Follow, Followed, Join, Lead, Seat};
use crate::options::{Life, Options};
use crate::read::{Answer, Call, Loaded, Source};
use crate::shared::TenantState;
use crate::timer::{Raced, race};

/// A fetch that may borrow or own its loader.
#[derive(Debug)]
pub enum Any {}

/// A fetch whose loader must own what it uses, because it may outlive the call.
#[derive(Debug)]
pub enum Owning {}

/// A load that has not happened yet; see [`Cache::fetch`].
#[must_use = "a fetch does nothing until `.with(..)` or `.detached(..)`"]
pub struct Fetch<'a, K: CacheKey, V: Send + Sync + 'static, S = Any> {
    cache: &'a Cache<K, V>,
    key: K,
    options: Options,
    tags: Vec<Tag>,
    parents: Vec<Tag>,
    stale_for: Option<Duration>,
    soft_timeout: Option<Duration>,
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
            stale_for: None,
            soft_timeout: None,
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

    /// A value up to this long past its life answers at once, and one refresh starts behind it.
    /// Only an owned loader can do that, so only [`detached`](Self::detached) remains.
    pub fn stale_for(mut self, grace: Duration) -> Fetch<'a, K, V, Owning> {
        let grace_kept = self.options.stale_if_error.map_or(grace, |held| held.max(grace));
        self.options.stale_if_error = Some(grace_kept);
        self.stale_for = Some(grace);
        self.owning()
    }

    /// After so long a value past its life answers, while the load goes on. Only an owned loader
    /// can do that, so only [`detached`](Self::detached) remains.
    pub fn soft_timeout(mut self, limit: Duration) -> Fetch<'a, K, V, Owning> {
        self.soft_timeout = Some(limit);
        self.owning()
    }

    fn owning(self) -> Fetch<'a, K, V, Owning> {
        Fetch {
            cache: self.cache,
            key: self.key,
            options: self.options,
            tags: self.tags,
            parents: self.parents,
            stale_for: self.stale_for,
            soft_timeout: self.soft_timeout,
            mode: PhantomData,
        }
    }

    /// Loads with an owned loader that goes on when this call is dropped. Needs a runtime or, in
    /// a manager without tiers, starts a thread for the load.
    ///
    /// # Errors
    /// The loader's, [`LoadError::Timeout`], [`LoadError::Recursive`] or
    /// [`LoadError::Panicked`].
    pub async fn detached<F, Fut, O, E>(self, load: F) -> Result<Cached<V>, LoadError<E>>
    where
        F: FnOnce(LoadContext) -> Fut + Send + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        O: Into<V> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let Self { cache, key, options, tags, parents, stale_for, soft_timeout, .. } = self;
        if let Some(hit) = cache.hit(&key) {
            return Ok(hit);
        }
        let context = LoadContext::default();
        let told = Some(context.clone());
        let call = Call { context: told, parents, ..Call::with(options, tags) };
        let call = cache.timed(call);
        let loader = move || async move {
            match load(context).await {
                Ok(value) => Ok(Some(value.into())),
                Err(error) => Err(Arc::new(error) as _),
            }
        };
        Box::pin(cache.fetch_owned(key, loader, call, stale_for, soft_timeout)).await
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
        if let Some(hit) = self.cache.hit(&self.key) {
            return Ok(hit);
        }
        let Self { cache, key, options, tags, parents, .. } = self;
        let call = cache.timed(Call { parents, ..Call::with(options, tags) });
        Box::pin(cache.try_climb(&key, load, call)).await
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    async fn fetch_owned<L, Fut, E>(
        &self,
        key: K,
        loader: L,
        call: Call,
        stale_for: Option<Duration>,
        soft_timeout: Option<Duration>,
    ) -> Result<Cached<V>, LoadError<E>>
    where
        L: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Loaded<V>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        self.view.core.counts.misses.add(1);
        if let Raced::TimedOut = self.in_time(&call, self.prepare_below()).await {
            return answer_of(self.give_up(&key, &call));
        }
        let stale = self.fallback(&key, &call);
        let is_stale_enough = self.is_within(stale.as_ref(), stale_for);
        let soft = soft_timeout.filter(|_| stale.is_some() && !is_stale_enough);
        let soft_until = soft.map(|soft| self.view.clock.now() + saturating_millis(soft));
        let hard_until = call.deadline.unwrap_or(NEVER);
        let call = Arc::new(call);
        let mut loader = Some(loader);
        let mut arrival = self.arrival(&call);
        // The flight whose lead this call gave to a task: it may land before it is joined again.
        let mut led: Option<Seat<V>> = None;
        loop {
            let seat = match led.take() {
                Some(seat) => seat,
                None if self.is_over(&call) => {
                    return answer_of(self.give_up_beside(&key, stale, &call));
                }
                None => {
                    arrival = self.arrival(&call);
                    match self.join(&key, arrival) {
                        Join::Known(value) => return Ok(value),
                        Join::Lead(seat) => {
                            let Some(loader) = loader.take() else {
                                return Err(self.without_loader(seat, &call));
                            };
                            let place = seat.clone();
                            self.lead_detached(key.clone(), seat, loader, Arc::clone(&call));
                            place
                        }
                        Join::Follow(seat) if seat.flight.is_recursion() => {
                            return Err(LoadError::Recursive);
                        }
                        Join::Follow(seat) => seat,
                    }
                }
            };
            if let (true, Some(stale)) = (is_stale_enough, &stale) {
                self.view.core.counts.stale_served.add(1);
                return Ok(stale.clone());
            }
            let follow = Follow::new(Arc::clone(&seat.flight));
            let at = soft_until.map_or(hard_until, |soft| soft.min(hard_until));
            let followed = match race(follow, Some(self.view.shared.timer.deadline(at))).await {
                Raced::Done(followed) => followed,
                Raced::TimedOut => return answer_of(self.give_up_beside(&key, stale, &call)),
            };
            match followed {
                Followed::Landed(landing) => {
                    if let Some(answer) = self.accept::<E>(landing, &seat, arrival, &call) {
                        return answer_of(answer);
                    }
                }
                Followed::Rejoin => {}
                Followed::Lead => match loader.take() {
                    Some(loader) => {
                        led = Some(seat.clone());
                        self.lead_detached(key.clone(), seat, loader, Arc::clone(&call));
                    }
                    None => return Err(self.without_loader(seat, &call)),
                },
                Followed::Alone => {
                    let Some(loader) = loader.take() else { return Err(LoadError::Panicked) };
                    return answer_of(self.load_alone(loader, &call).await);
                }
            }
        }
    }

    /// Whether `stale` is at most `grace` past its life.
    fn is_within(&self, stale: Option<&Cached<V>>, grace: Option<Duration>) -> bool {
        let (Some(stale), Some(grace)) = (stale, grace) else { return false };
        let fresh_until = Cached::entry(stale).dates().fresh_until;
        self.view.clock.now() < fresh_until.saturating_add(saturating_millis(grace))
    }

    /// Passes on the lead of a call whose own load has ended without an answer, and says why.
    fn without_loader<E>(&self, seat: Seat<V>, call: &Call) -> LoadError<E> {
        self.pass_on(seat, call);
        if self.is_over(call) { LoadError::Timeout } else { LoadError::Panicked }
    }

    /// The answer after a soft or hard timeout, with the value past its life that was seen first.
    fn give_up_beside(&self, key: &K, stale: Option<Cached<V>>, call: &Call) -> Answer<V> {
        match stale {
            Some(stale) => {
                self.view.core.counts.stale_served.add(1);
                Answer::Value(stale, Source::Memory)
            }
            None => self.give_up(key, call),
        }
    }

    /// Leads a flight in a task of its own, which ends with the load and not with the caller.
    fn lead_detached<L, Fut>(&self, key: K, seat: Seat<V>, loader: L, call: Arc<Call>)
    where
        L: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Loaded<V>> + Send + 'static,
    {
        let duty = Duty { cache: self.clone(), call, seat: Some(seat) };
        self.view.shared.spawn(Box::pin(async move {
            let mut duty = duty;
            let Some(seat) = duty.seat.take() else { return };
            // Followers, the caller among them, learn the answer from the flight.
            duty.cache.lead(&key, seat, loader, &duty.call).await;
        }));
    }

    /// Gives the lead of a flight to the next waiter.
    fn pass_on(&self, seat: Seat<V>, call: &Call) {
        drop(Lead::new(&self.view.core.flights, seat, self.leads_until(call)));
    }
}

/// The lead of a flight on its way to a task of its own. Where the task is never polled, because
/// no thread could be had or the runtime has ended, the lead goes to the next waiter.
struct Duty<K: CacheKey, V: Send + Sync + 'static> {
    cache: Cache<K, V>,
    call: Arc<Call>,
    seat: Option<Seat<V>>,
}

impl<K: CacheKey, V: Send + Sync + 'static> Drop for Duty<K, V> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.cache.pass_on(seat, &self.call);
        }
    }
}

/// The answer to a caller whose loader fails with `E`.
pub(crate) fn answer_of<V, E: Send + Sync + 'static>(
    answer: Answer<V>,
) -> Result<Cached<V>, LoadError<E>> {
    match answer {
        Answer::Value(value, _) => Ok(value),
        Answer::Failed(error) => match error.downcast::<E>() {
            Ok(error) => Err(LoadError::Loader(error)),
            Err(_) => unreachable!("errors of other types send their followers round once more"),
        },
        Answer::Broken(error) => Err(LoadError::Cache(error)),
        Answer::Recursive => Err(LoadError::Recursive),
        Answer::Overloaded => Err(LoadError::Overloaded),
        Answer::TimedOut | Answer::Absent => Err(LoadError::Timeout),
    }
}

/// What an owned loader may tell the cache about its value. A cheap clone; give it away by value.
#[derive(Clone, Debug, Default)]
pub struct LoadContext {
    told: Arc<Mutex<Told>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Vec<Tag>,
    /// What stands for the entries it is derived from, with the tenant they belong to.
    pub(crate) parents: Vec<(Arc<TenantState>, Vec<Tag>)>,
    pub(crate) is_skipped: bool,
}

impl LoadContext {
    /// The value lives this long.
    pub fn ttl(&self, ttl: Duration) {
        self.told.lock().ttl = Some(ttl);
    }

    /// The value carries this tag as well.
    pub fn tag(&self, tag: impl Into<Tag>) {
        self.told.lock().tags.push(tag.into());
    }

    /// The value is derived from that of `key`: see [`Set::depends_on`](crate::Set::depends_on).
    /// A parent that changes after the load began ends what it gives. Where the parent belongs to
    /// another tenant or manager the value is given and not stored.
    pub fn depends_on<K, V, Q>(&self, cache: &Cache<K, V>, key: &Q)
    where
        K: CacheKey,
        V: Send + Sync + 'static,
        Q: Lookup<K> + ?Sized,
    {
        let parent = (Arc::clone(&cache.view.tenant), cache.adopted_by(key));
        self.told.lock().parents.push(parent);
    }

    /// The value goes to those who wait for it and is not stored.
    pub fn skip(&self) {
        self.told.lock().is_skipped = true;
    }

    pub(crate) fn told(&self) -> Told {
        self.told.lock().clone()
    }
}

/// A future that runs by itself.
pub(crate) type Detached = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<K: CacheKey, V: Send + Sync + 'static, S> fmt::Debug for Fetch<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("cache", &self.cache).finish_non_exhaustive()
    }
}
