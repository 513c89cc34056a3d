//! What a loader of several keys is asked, what it answers, and what its caller gets.

use std::convert::Infallible;
use std::fmt;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{CacheKey, Cached, Tag};
use hashbrown::HashMap;

use crate::error::LoadError;

/// What became of one key: a value, its absence, or why neither is known.
pub type KeyOutcome<V, E> = Result<Option<Cached<V>>, LoadError<E>>;

/// The keys that a loader is asked for: those that no level holds and nobody else is loading.
/// Each key once, and at least one.
///
/// ```
/// use cache_enterprise_engine::Missing;
///
/// fn query(missing: &Missing<u64>) -> String {
///     let ids: Vec<_> = missing.iter().map(u64::to_string).collect();
///     format!("select * from users where id in ({})", ids.join(", "))
/// }
/// # drop(query);
/// ```
#[derive(Clone, Debug)]
pub struct Missing<K> {
    keys: Vec<K>,
}

impl<K> Missing<K> {
    pub(crate) fn new(keys: Vec<K>) -> Self {
        Self { keys }
    }

    /// The keys, in the order in which they were asked for.
    pub fn keys(&self) -> &[K] {
        &self.keys
    }

    /// The keys themselves.
    pub fn into_keys(self) -> Vec<K> {
        self.keys
    }
}

impl<K> Deref for Missing<K> {
    type Target = [K];

    fn deref(&self) -> &[K] {
        &self.keys
    }
}

impl<K> IntoIterator for Missing<K> {
    type Item = K;
    type IntoIter = std::vec::IntoIter<K>;

    fn into_iter(self) -> Self::IntoIter {
        self.keys.into_iter()
    }
}

impl<'a, K> IntoIterator for &'a Missing<K> {
    type Item = &'a K;
    type IntoIter = std::slice::Iter<'a, K>;

    fn into_iter(self) -> Self::IntoIter {
        self.keys.iter()
    }
}

/// What a loader answers for each key by itself: a value with a life and tags of its own, an
/// absence or an error. Plain pairs and maps will do where none of that is needed.
///
/// A key that the answer does not name is absent, as a row is that a query did not return; see
/// [`partial`](Self::partial). Keys that nobody asked for are ignored: a load that began before
/// they were wanted could be older than what is known of them.
///
/// ```
/// use cache_enterprise_core::{mins, tag};
/// use cache_enterprise_engine::Batch;
///
/// let mut batch: Batch<u64, String, &str> = Batch::new();
/// batch.value(1, "Ada").ttl(mins(1)).tag(tag!("org:7"));
/// batch.value(2, "Bob").skip();
/// batch.absent(3).error(4, "the shard of this row is down");
/// ```
pub struct Batch<K, V, E = Infallible> {
    items: HashMap<K, Item<V, E>>,
    rest: Rest<E>,
}

/// What was said of one key.
pub(crate) enum Item<V, E> {
    Value(BatchValue<V>),
    Absent,
    Unknown,
    Failed(Arc<E>),
}

/// What holds for the keys that were not named.
enum Rest<E> {
    Absent,
    Unknown,
    Failed(Arc<E>),
}

/// A value of a [`Batch`], and how it is kept.
pub struct BatchValue<V> {
    pub(crate) value: V,
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) is_skipped: bool,
}

impl<V> BatchValue<V> {
    /// The value lives this long. Default: as the spec says.
    pub fn ttl(&mut self, ttl: Duration) -> &mut Self {
        self.ttl = Some(ttl);
        self
    }

    /// The value carries this tag. Default: none.
    pub fn tag(&mut self, tag: impl Into<Tag>) -> &mut Self {
        self.tags.push(tag.into());
        self
    }

    /// The value goes to those who wait for it and is not stored.
    pub fn skip(&mut self) -> &mut Self {
        self.is_skipped = true;
        self
    }
}

impl<K: CacheKey, V, E> Batch<K, V, E> {
    /// An answer that names no key.
    pub fn new() -> Self {
        Self { items: HashMap::new(), rest: Rest::Absent }
    }

    /// The value of `key`; what is told of it stands until it is told anew.
    pub fn value(&mut self, key: K, value: impl Into<V>) -> &mut BatchValue<V> {
        let value =
            BatchValue { value: value.into(), ttl: None, tags: Vec::new(), is_skipped: false };
        let item = self.items.entry(key).insert(Item::Value(value)).into_mut();
        match item {
            Item::Value(value) => value,
            _ => unreachable!("a value was just inserted"),
        }
    }

    /// There is no value under `key`: remembered for the spec's `negative_ttl`.
    pub fn absent(&mut self, key: K) -> &mut Self {
        self.items.insert(key, Item::Absent);
        self
    }

    /// The load of `key` failed; those of the others did not.
    pub fn error(&mut self, key: K, error: E) -> &mut Self {
        self.items.insert(key, Item::Failed(Arc::new(error)));
        self
    }

    /// Says that nothing is known of the keys that were not named: they are
    /// [`LoadError::Omitted`], and their absence is not remembered. Default: they are absent.
    pub fn partial(&mut self) -> &mut Self {
        self.rest = Rest::Unknown;
        self
    }

    /// The answer of a load that failed as a whole.
    pub(crate) fn failed(error: E) -> Self {
        Self { items: HashMap::new(), rest: Rest::Failed(Arc::new(error)) }
    }

    /// What was said of `key`.
    pub(crate) fn take(&mut self, key: &K) -> Item<V, E> {
        self.items.remove(key).unwrap_or_else(|| match &self.rest {
            Rest::Absent => Item::Absent,
            Rest::Unknown => Item::Unknown,
            Rest::Failed(error) => Item::Failed(Arc::clone(error)),
        })
    }
}

impl<K: CacheKey, V, E> Default for Batch<K, V, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: CacheKey, V, E, T: Into<V>> FromIterator<(K, T)> for Batch<K, V, E> {
    fn from_iter<I: IntoIterator<Item = (K, T)>>(pairs: I) -> Self {
        let mut batch = Self::new();
        for (key, value) in pairs {
            batch.value(key, value);
        }
        batch
    }
}

impl<K: CacheKey, V, E, T: Into<V>> From<Vec<(K, T)>> for Batch<K, V, E> {
    fn from(pairs: Vec<(K, T)>) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K, V, E, T, S> From<std::collections::HashMap<K, T, S>> for Batch<K, V, E>
where
    K: CacheKey,
    T: Into<V>,
    S: BuildHasher,
{
    fn from(values: std::collections::HashMap<K, T, S>) -> Self {
        values.into_iter().collect()
    }
}

impl<K, V, E> fmt::Debug for Batch<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("named", &self.items.len()).finish_non_exhaustive()
    }
}

impl<V> fmt::Debug for BatchValue<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchValue")
            .field("ttl", &self.ttl)
            .field("tags", &self.tags)
            .field("is_skipped", &self.is_skipped)
            .finish_non_exhaustive()
    }
}

/// What a loader of several keys may give: pairs, a map or a [`Batch`], and a `Result` of any.
///
/// ```
/// use std::collections::HashMap;
///
/// use cache_enterprise_engine::{Batch, BatchAnswer};
///
/// fn loads<A: BatchAnswer<u64, String>>(_: impl Fn(&[u64]) -> A) {}
/// loads(|_| vec![(1, "Ada")]);
/// loads(|_| HashMap::from([(1, "Ada".to_owned())]));
/// loads(|_| Ok::<Vec<(u64, String)>, std::io::Error>(Vec::new()));
/// loads(|_| Batch::<u64, String, std::io::Error>::new());
/// ```
#[diagnostic::on_unimplemented(
    message = "a loader of several keys cannot answer with `{Self}`",
    note = "give pairs of key and value, a map, a `Batch`, or a `Result` of one of these"
)]
pub trait BatchAnswer<K, V> {
    /// Why a load may fail; [`Infallible`] for pairs and maps.
    type Error: Send + Sync + 'static;

    /// What the answer says of each key.
    fn into_batch(self) -> Batch<K, V, Self::Error>;
}

impl<K: CacheKey, V, E: Send + Sync + 'static> BatchAnswer<K, V> for Batch<K, V, E> {
    type Error = E;

    fn into_batch(self) -> Self {
        self
    }
}

impl<K: CacheKey, V, T: Into<V>> BatchAnswer<K, V> for Vec<(K, T)> {
    type Error = Infallible;

    fn into_batch(self) -> Batch<K, V> {
        self.into()
    }
}

impl<K, V, T, S> BatchAnswer<K, V> for std::collections::HashMap<K, T, S>
where
    K: CacheKey,
    T: Into<V>,
    S: BuildHasher,
{
    type Error = Infallible;

    fn into_batch(self) -> Batch<K, V> {
        self.into()
    }
}

impl<K, V, A, E> BatchAnswer<K, V> for Result<A, E>
where
    K: CacheKey,
    A: Into<Batch<K, V, E>>,
    E: Send + Sync + 'static,
{
    type Error = E;

    fn into_batch(self) -> Batch<K, V, E> {
        self.map_or_else(Batch::failed, Into::into)
    }
}

/// What [`get_many_with`](crate::Cache::get_many_with) gives: an outcome for every key, in the
/// order in which the keys were asked for.
///
/// ```
/// use cache_enterprise_core::{Capacity, mins};
/// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
///
/// static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(5));
/// let names = CacheManager::in_memory(Capacity::entries(100))?.open(&NAMES)?;
/// let found = block_on(names.get_many_with([1_u64, 2], |_| async { vec![(1, "Ada")] }));
/// assert_eq!(found.values().map(|(key, _)| *key).collect::<Vec<_>>(), [1]);
/// assert_eq!(found.absent().collect::<Vec<_>>(), [&2]);
/// assert_eq!(found.errors().count(), 0);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
pub struct Loaded<K, V, E = Infallible> {
    outcomes: Vec<(K, KeyOutcome<V, E>)>,
}

impl<K, V, E> Loaded<K, V, E> {
    pub(crate) fn new(outcomes: Vec<(K, KeyOutcome<V, E>)>) -> Self {
        Self { outcomes }
    }

    /// How many keys were asked for, one that was named twice counted twice.
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether no key was asked for.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// Every key with its outcome.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &KeyOutcome<V, E>)> {
        self.outcomes.iter().map(|(key, outcome)| (key, outcome))
    }

    /// The keys that have a value, with it.
    pub fn values(&self) -> impl Iterator<Item = (&K, &Cached<V>)> {
        self.iter().filter_map(|(key, outcome)| Some((key, outcome.as_ref().ok()?.as_ref()?)))
    }

    /// The keys that have no value.
    pub fn absent(&self) -> impl Iterator<Item = &K> {
        self.iter().filter(|(_, outcome)| matches!(outcome, Ok(None))).map(|(key, _)| key)
    }

    /// The keys of which nothing is known, with the reason.
    pub fn errors(&self) -> impl Iterator<Item = (&K, &LoadError<E>)> {
        self.iter().filter_map(|(key, outcome)| Some((key, outcome.as_ref().err()?)))
    }

    /// The values in the order of the keys, `None` for absent ones.
    ///
    /// # Errors
    /// The first error among the keys.
    pub fn into_values(self) -> Result<Vec<Option<Cached<V>>>, LoadError<E>> {
        self.outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

impl<K, V, E> IntoIterator for Loaded<K, V, E> {
    type Item = (K, KeyOutcome<V, E>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.outcomes.into_iter()
    }
}

impl<K: fmt::Debug, V, E> fmt::Debug for Loaded<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("keys", &self.len())
            .field("values", &self.values().count())
            .field("errors", &self.errors().count())
            .finish()
    }
}
