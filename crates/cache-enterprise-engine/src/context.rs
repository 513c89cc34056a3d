//! What an owned loader knows, tells and answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::envelope::ETAG_BYTES_MAX;
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{CacheKey, Cached, Lookup, Tag};

use crate::cache::Cache;
use crate::filling::Said;
use crate::shared::TenantState;

/// What an owned loader answers. A value turns into one with `into`, and so does an `Option`.
///
/// ```
/// use cache_enterprise_engine::Fetched;
///
/// assert_eq!(Fetched::from(7_u64), Fetched::Value(7_u64));
/// assert_eq!(Fetched::<u64>::from(None), Fetched::Absent);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fetched<V> {
    /// The value.
    Value(V),
    /// There is nothing under the key; remembered for the spec's `negative_ttl`.
    Absent,
    /// The value that [`LoadContext::stale`] shows is still the right one: it gets another life.
    /// Without such a value it is a failure, [`LoadError::NothingToExtend`](crate::LoadError).
    NotModified,
}

impl<V> From<V> for Fetched<V> {
    fn from(value: V) -> Self {
        Self::Value(value)
    }
}

impl<V> From<Option<V>> for Fetched<V> {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }
}

/// What the loader of [`Fetch::detached`](crate::Fetch::detached) may give: anything that turns
/// into the value, or a [`Fetched`]. `M` tells the two apart and is found by the compiler.
#[diagnostic::on_unimplemented(
    message = "a loader cannot give `{Self}` for a cache of `{V}`",
    note = "give something that turns into `{V}`, or what a method of the `LoadContext` makes"
)]
pub trait IntoFetched<V, M> {
    /// The answer.
    fn into_fetched(self) -> Fetched<V>;
}

/// Marks what turns into a value.
#[derive(Debug)]
pub enum AsValue {}

/// Marks a [`Fetched`].
#[derive(Debug)]
pub enum AsFetched {}

impl<V, T: Into<V>> IntoFetched<V, AsValue> for T {
    fn into_fetched(self) -> Fetched<V> {
        Fetched::Value(self.into())
    }
}

impl<V> IntoFetched<V, AsFetched> for Fetched<V> {
    fn into_fetched(self) -> Fetched<V> {
        self
    }
}

/// What an owned loader knows of the value that is there, and may tell the cache about the new
/// one. A cheap clone; give it away by value.
///
/// ```
/// use cache_enterprise_core::{Capacity, mins};
/// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
///
/// static PAGES: CacheSpec<String, String> = CacheSpec::new("pages").ttl(mins(5));
/// let pages = CacheManager::in_memory(Capacity::entries(100))?.open(&PAGES)?;
/// let page = block_on(pages.fetch("home").detached(|cx| async move {
///     // An HTTP client would send `If-None-Match: {etag}` here.
///     if cx.etag() == Some("v7") {
///         return Ok(cx.not_modified());
///     }
///     cx.keep_etag("v7");
///     cx.tag("layout");
///     Ok::<_, std::io::Error>(cx.value("<h1>Home</h1>"))
/// }));
/// assert_eq!(*page.expect("the loader does not fail"), "<h1>Home</h1>");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub struct LoadContext<V> {
    told: Telling,
    stale: Option<Cached<V>>,
}

impl<V> LoadContext<V> {
    pub(crate) fn new(told: Telling, stale: Option<Cached<V>>) -> Self {
        Self { told, stale }
    }

    /// The value that is held and may be confirmed: past its life, or about to be.
    pub fn stale(&self) -> Option<&Cached<V>> {
        self.stale.as_ref()
    }

    /// The etag that value was kept with.
    pub fn etag(&self) -> Option<&str> {
        Cached::entry(self.stale.as_ref()?).etag()
    }

    /// The value lives this long.
    pub fn ttl(&self, ttl: Duration) {
        self.told.lock().ttl = Some(ttl);
    }

    /// The value may answer for so long past its life.
    pub fn stale_for(&self, grace: Duration) {
        self.told.lock().stale_for = Some(grace);
    }

    /// The value carries this tag as well. A value that is not modified keeps the tags it has.
    pub fn tag(&self, tag: impl Into<Tag>) {
        self.told.lock().tags.push(tag.into());
    }

    /// The value is derived from that of `key`: see [`Set::depends_on`](crate::Set::depends_on).
    /// A parent that changes after the load began ends what it gives. Where the parent belongs to
    /// another tenant or manager the value is given and not stored.
    pub fn depends_on<K2, V2, Q>(&self, cache: &Cache<K2, V2>, key: &Q)
    where
        K2: CacheKey,
        V2: Send + Sync + 'static,
        Q: Lookup<K2> + ?Sized,
    {
        let parent = (Arc::clone(&cache.view.tenant), cache.adopted_by(key));
        self.told.lock().parents.push(parent);
    }

    /// Keeps a text by which the origin tells the value from others: an `ETag`, a date of last
    /// modification, a revision. The next load gets it as [`etag`](Self::etag). It lies beside the
    /// value at every level. A text that is empty or over 512 bytes is not kept.
    pub fn keep_etag(&self, etag: impl Into<Box<str>>) {
        let etag = etag.into();
        let fits = (1..=ETAG_BYTES_MAX).contains(&etag.len());
        self.told.lock().etag = fits.then_some(etag);
    }

    /// Names the kind of value: a strategy hears it, and adaptive compression learns by it. Default:
    /// none.
    pub fn data_type(&self, data_type: impl Into<Box<str>>) {
        self.told.lock().said.data_type = Some(data_type.into());
    }

    /// Says something of the value that a strategy asks for; see
    /// [`Set::attribute`](crate::Set::attribute). Default: nothing.
    pub fn attribute(&self, name: impl Into<Box<str>>, text: impl Into<Box<str>>) {
        self.told.lock().said.attributes.push((name.into(), text.into()));
    }

    /// The value goes to those who wait for it and is not stored.
    pub fn skip(&self) {
        self.told.lock().is_skipped = true;
    }

    /// The answer of a loader that has a value.
    pub fn value(&self, value: impl Into<V>) -> Fetched<V> {
        Fetched::Value(value.into())
    }

    /// The answer of a loader that found nothing.
    pub fn absent(&self) -> Fetched<V> {
        Fetched::Absent
    }

    /// The answer of a loader whose origin says that [`stale`](Self::stale) is still right.
    pub fn not_modified(&self) -> Fetched<V> {
        Fetched::NotModified
    }
}

/// Where a loader's words for the cache are kept until its value lands.
pub(crate) type Telling = Arc<Mutex<Told>>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) ttl: Option<Duration>,
    pub(crate) stale_for: Option<Duration>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) etag: Option<Box<str>>,
    /// What stands for the entries it is derived from, with the tenant they belong to.
    pub(crate) parents: Vec<(Arc<TenantState>, Vec<Tag>)>,
    pub(crate) is_skipped: bool,
    pub(crate) said: Said,
}

impl<V> Clone for LoadContext<V> {
    fn clone(&self) -> Self {
        Self { told: Arc::clone(&self.told), stale: self.stale.clone() }
    }
}

impl<V> fmt::Debug for LoadContext<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadContext").field("etag", &self.etag()).finish_non_exhaustive()
    }
}
