//! `cache.set(..)`: what is set, how, and the future that does it.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cache_enterprise_core::{
    CacheKey, Error, ErrorKind, Lookup, Merit, Priority, Result, SetOutcome, Tag,
};

use crate::cache::Cache;
use crate::filling::{Advice, Said, value_is_untyped};
use crate::options::{Life, Options};
use crate::placement::Placed;
use crate::write::Labels;

/// A `set` that answers with its outcome and never fails.
#[derive(Debug)]
pub enum Lenient {}

/// A `set` that fails when the value is not where it should be.
#[derive(Debug)]
pub enum Strict {}

/// What a set answers.
pub trait SetMode: 'static {
    /// What awaiting the set gives.
    type Output;
    /// Whether it fails where the end of what a declined value replaces was not told everywhere.
    const FAILS: bool;
    /// From what happened to the answer.
    fn answer(done: Result<SetOutcome>) -> Self::Output;
}

impl SetMode for Lenient {
    type Output = SetOutcome;
    const FAILS: bool = false;

    fn answer(done: Result<SetOutcome>) -> SetOutcome {
        done.unwrap_or(SetOutcome::StoredAbove)
    }
}

impl SetMode for Strict {
    type Output = Result<SetOutcome>;
    const FAILS: bool = true;

    fn answer(done: Result<SetOutcome>) -> Result<SetOutcome> {
        match done? {
            SetOutcome::Refused => {
                Err(Error::new(ErrorKind::TooLarge, "level 1 did not take the value")
                    .operation("set"))
            }
            SetOutcome::Invalid => Err(invalid()),
            outcome => Ok(outcome),
        }
    }
}

/// A set that has not happened yet: await it.
///
/// ```
/// use cache_enterprise_core::{Capacity, SetOutcome, mins, tag};
/// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
///
/// static USERS: CacheSpec<u64, String> = CacheSpec::new("users").forever();
/// let users = CacheManager::in_memory(Capacity::entries(100))?.open(&USERS)?;
/// let outcome = block_on(users.set(&1, "Ada").ttl(mins(1)).tags([tag!("org:7")]).into_future());
/// assert_eq!(outcome, SetOutcome::Stored);
/// # use std::future::IntoFuture;
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[must_use = "a set does nothing until it is awaited"]
pub struct Set<'a, K: CacheKey, V: Send + Sync + 'static, M = Lenient> {
    cache: &'a Cache<K, V>,
    key: K,
    value: V,
    options: Options,
    tags: Vec<Tag>,
    /// What stands for the entries it was derived from.
    parents: Vec<Tag>,
    /// What a strategy hears of the value.
    said: Option<Box<Said>>,
    mode: PhantomData<fn() -> M>,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Puts `value` under `key` at every level. A load under way does not overwrite it.
    pub fn set<Q: Lookup<K> + ?Sized>(&self, key: &Q, value: impl Into<V>) -> Set<'_, K, V> {
        Set {
            cache: self,
            key: key.to_key(),
            value: value.into(),
            options: self.view.core.options,
            tags: Vec::new(),
            parents: Vec::new(),
            said: None,
            mode: PhantomData,
        }
    }
}

impl<'a, K: CacheKey, V: Send + Sync + 'static, M> Set<'a, K, V, M> {
    /// Life of this entry. Default: the spec's.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = Some(Life::For(ttl));
        self
    }

    /// Lets this entry live until it is removed, invalidated or evicted.
    pub fn forever(mut self) -> Self {
        self.options.ttl = Some(Life::Forever);
        self
    }

    /// Labels the entry. Default: none.
    pub fn tags<I>(mut self, tags: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Tag>,
    {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// The value was derived from that of `key`: it ends when that is removed, expired or
    /// replaced, and when what that depends on does. Costs one tag, and those that level 1 holds
    /// of the parent. The parent's spec says
    /// [`has_dependents`](crate::CacheSpec::has_dependents), so that other processes tell of their
    /// changes too; this one does from now on.
    ///
    /// A set counts as newer than everything before it: what was read from a parent that has
    /// changed since is not noticed here, and is by a load, see
    /// [`LoadContext::depends_on`](crate::LoadContext::depends_on). An entry of another tenant or
    /// manager is no parent: the set answers [`SetOutcome::Invalid`].
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    ///
    /// static USERS: CacheSpec<u64, String> =
    ///     CacheSpec::new("users").ttl(mins(5)).has_dependents();
    /// static PAGES: CacheSpec<u64, String> = CacheSpec::new("pages").ttl(mins(5));
    /// let manager = CacheManager::in_memory(Capacity::entries(100))?;
    /// let (users, pages) = (manager.open(&USERS)?, manager.open(&PAGES)?);
    /// block_on(async {
    ///     users.set(&1, "Ada").await;
    ///     pages.set(&1, "<h1>Ada</h1>").depends_on(&users, &1).await;
    ///     users.set(&1, "Countess").await;
    ///     assert!(!pages.contains(&1));
    /// });
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn depends_on<K2, V2, Q>(mut self, cache: &Cache<K2, V2>, key: &Q) -> Self
    where
        K2: CacheKey,
        V2: Send + Sync + 'static,
        Q: Lookup<K2> + ?Sized,
    {
        match self.cache.is_beside(cache) {
            true => self.parents.extend(cache.adopted_by(key)),
            // A tag that no entry can carry refuses the set.
            false => self.parents.push(Tag::from("")),
        }
        self
    }

    /// Names the kind of value: a strategy hears it, and adaptive compression learns by it. Default:
    /// none.
    pub fn data_type(mut self, data_type: impl Into<Box<str>>) -> Self {
        self.said.get_or_insert_default().data_type = Some(data_type.into());
        self
    }

    /// Says something of the value that a strategy asks for, such as `cache_priority` and `high`.
    /// Nobody else hears it, and no level stores it. Default: nothing.
    pub fn attribute(mut self, name: impl Into<Box<str>>, text: impl Into<Box<str>>) -> Self {
        self.said.get_or_insert_default().attributes.push((name.into(), text.into()));
        self
    }

    /// What the facade's caller said. A life that only its data type or its manager gives is the
    /// cache's own.
    pub(crate) fn said(
        mut self,
        data_type: Option<&str>,
        attributes: &[(&str, &str)],
        is_life_named: bool,
    ) -> Self {
        let own = |text: &str| Box::<str>::from(text);
        let has_any = data_type.is_some() || !attributes.is_empty();
        if has_any || is_life_named {
            let said = self.said.get_or_insert_default();
            said.data_type = data_type.map(own);
            said.attributes =
                attributes.iter().map(|(name, text)| (own(name), own(text))).collect();
            said.is_life_named = is_life_named;
        }
        self
    }

    /// Gives the entry this life; with `None` the strategy must have one for it.
    pub(crate) fn living(mut self, life: Option<Life>) -> Self {
        self.options.ttl = life;
        self
    }

    /// Asks the cache's strategy, and takes the life it gives. What speaks for keeping the value;
    /// `None` where it is not to be stored.
    ///
    /// # Errors
    /// When nothing gives the value a life.
    fn settle(&mut self) -> Result<Option<Merit>> {
        let advice =
            self.cache.advise(&self.key, &self.value, &self.options, self.said.as_deref(), None);
        let merit = match advice {
            Some(Advice { is_kept: false, .. }) => return Ok(None),
            Some(Advice { ttl, merit, .. }) => {
                self.options.ttl = ttl.map(Life::For).or(self.options.ttl);
                merit
            }
            None => Merit::NORMAL,
        };
        match self.options.ttl {
            None if value_is_untyped::<V>() => Err(lifeless()),
            _ => Ok(Some(merit)),
        }
    }

    /// Whether the entry would carry what no entry can.
    fn is_invalid(&self) -> bool {
        self.tags.iter().any(Tag::is_invalid) || self.parents.iter().any(Tag::is_unstorable)
    }

    /// How much this entry wants to stay in level 1. Default: the spec's.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// Places the value by the heat of its key instead of at every level, and tells where it went;
    /// see [`Cache::set_multi_level`].
    ///
    /// # Errors
    /// For an invalid tag, and as [`Cache::set_multi_level`].
    pub async fn multi_level(mut self) -> Result<Placed> {
        if self.is_invalid() {
            return Err(invalid());
        }
        let Some(merit) = self.settle()? else {
            self.cache.decline(self.key).await?;
            return Ok(self.cache.nowhere());
        };
        let Set { cache, key, value, options, mut tags, parents, said, .. } = self;
        tags.extend(parents);
        let labels = Labels { tags, data_type: said.and_then(|said| said.data_type) };
        let placed = Box::pin(cache.place(key.clone(), value, labels, &options, merit)).await;
        cache.end_dependents([&key], false).await;
        placed
    }

    /// Fails unless every level took the value, as a tier does not whose limit it is over
    /// ([`TooLarge`](ErrorKind::TooLarge)); one that is written behind has taken what it queued.
    pub fn strict(self) -> Set<'a, K, V, Strict> {
        Set {
            cache: self.cache,
            key: self.key,
            value: self.value,
            options: self.options,
            tags: self.tags,
            parents: self.parents,
            said: self.said,
            mode: PhantomData,
        }
    }
}

impl<'a, K: CacheKey, V: Send + Sync + 'static, M: SetMode> IntoFuture for Set<'a, K, V, M> {
    type Output = M::Output;
    type IntoFuture = SetFuture<'a, K, V, M>;

    fn into_future(self) -> Self::IntoFuture {
        SetFuture { stage: Stage::Start(Some(self)) }
    }
}

/// The future of a [`Set`]. Level 1 alone finishes in the first poll and allocates only the
/// entry; the part for the tiers is boxed.
pub struct SetFuture<'a, K: CacheKey, V: Send + Sync + 'static, M> {
    stage: Stage<'a, K, V, M>,
}

#[allow(
    clippy::large_enum_variant,
    reason = "a box for the start would be an allocation of every set in level 1"
)]
enum Stage<'a, K: CacheKey, V: Send + Sync + 'static, M> {
    Start(Option<Set<'a, K, V, M>>),
    Below(Pin<Box<dyn Future<Output = Result<SetOutcome>> + Send + 'a>>),
}

/// Nothing in it is pinned in place but the box.
impl<K: CacheKey, V: Send + Sync + 'static, M> Unpin for SetFuture<'_, K, V, M> {}

impl<'a, K: CacheKey, V: Send + Sync + 'static, M: SetMode> Future for SetFuture<'a, K, V, M> {
    type Output = M::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<M::Output> {
        if let Stage::Start(set) = &mut self.stage {
            let mut set = set.take().expect("a future is not polled after it gave its output");
            if set.is_invalid() {
                return Poll::Ready(M::answer(Ok(SetOutcome::Invalid)));
            }
            let merit = match set.settle() {
                Ok(merit) => merit,
                Err(error) => return Poll::Ready(M::answer(Err(error))),
            };
            let Set { cache, key, value, options, mut tags, parents, said, .. } = set;
            tags.extend(parents);
            let labels = Labels { tags, data_type: said.and_then(|said| said.data_type) };
            let now = match merit {
                None => SetNow::Below(Box::pin(async move {
                    let declined = cache.decline(key).await;
                    if M::FAILS { declined } else { Ok(SetOutcome::Declined) }
                })),
                Some(merit) if cache.may_have_dependents() => SetNow::Below(Box::pin(async move {
                    cache.set_parent(key, value, labels, &options, merit).await
                })),
                Some(merit) => cache.set_now(key, value, labels, &options, merit),
            };
            match now {
                SetNow::Done(outcome) => return Poll::Ready(M::answer(Ok(outcome))),
                SetNow::Below(below) => self.stage = Stage::Below(below),
            }
        }
        match &mut self.stage {
            Stage::Below(below) => below.as_mut().poll(cx).map(M::answer),
            Stage::Start(_) => unreachable!("the start was left above"),
        }
    }
}

/// The error of a set that no entry can come of.
fn invalid() -> Error {
    let text = "a tag is empty, over 512 bytes or begins with a control character, or the value \
                depends on an entry of another tenant";
    Error::invalid(text).operation("set")
}

/// The error of a set of the facade that nobody gave a life.
fn lifeless() -> Error {
    let text = "the strategy gives the value no life and neither does anything else: add \
                `.ttl(..)` or give the manager one";
    Error::config(text).operation("set")
}

/// What is left of a set after level 1.
pub(crate) enum SetNow<'a> {
    Done(SetOutcome),
    Below(Pin<Box<dyn Future<Output = Result<SetOutcome>> + Send + 'a>>),
}

impl<K: CacheKey, V: Send + Sync + 'static, M> fmt::Debug for Set<'_, K, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Set").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, M> fmt::Debug for SetFuture<'_, K, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetFuture").finish_non_exhaustive()
    }
}
