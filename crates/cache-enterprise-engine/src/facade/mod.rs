//! The untyped facade: values of any type under text keys, by name and tenant.
//!
//! One ordinary cache of `dyn Any` values. It allocates, looks tenants up by name and boxes its
//! futures; a typed [`Cache`](crate::Cache) is the one for hot paths.

mod value;

use std::any::type_name;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Codec, Error, Own, Result, SetOutcome, Tag};

use self::value::AnyCodec;
pub(crate) use self::value::AnyValue;
use crate::bulk::{BulkReport, Removal};
use crate::cache::Cache;
use crate::filling::Said;
use crate::manager::CacheManager;
use crate::options::Life;
use crate::placement::Placed;
use crate::spec::CacheSpec;
use crate::sweep::{Fate, Sweep, sweep};

static FACADE: CacheSpec<String, AnyValue, Own<AnyCodec>> =
    CacheSpec::new("facade").forever().paths_at(':').weigh(AnyValue::bytes_held).codec(AnyCodec);

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

impl<C> CacheManager<C> {
    /// Puts a copy of `value` under `key`. Needs a life: `.ttl(..)`, a data type with one, or the
    /// manager's own.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, hours};
    /// use cache_enterprise_engine::{CacheManager, block_on};
    ///
    /// let manager = CacheManager::in_memory(Capacity::entries(1_000))?;
    /// block_on(async {
    ///     manager.set("user:1", &String::from("Ada")).tenant("acme").ttl(hours(1)).await?;
    ///     let user = manager.get::<String>("user:1").tenant("acme").await?;
    ///     assert_eq!(user.as_deref().map(String::as_str), Some("Ada"));
    ///     assert!(manager.get::<u64>("user:1").tenant("acme").await.is_err());
    ///     Ok::<(), cache_enterprise_core::Error>(())
    /// })?;
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn set<'a, V>(&'a self, key: &'a str, value: &V) -> FacadeSet<'a, C, V>
    where
        C: Codec<V> + Clone,
        V: Clone + Send + Sync + 'static,
    {
        self.set_arc(key, Arc::new(value.clone()))
    }

    /// As [`set`](Self::set), for a value that is shared already.
    pub fn set_arc<'a, V>(&'a self, key: &'a str, value: Arc<V>) -> FacadeSet<'a, C, V>
    where
        C: Codec<V> + Clone,
        V: Send + Sync + 'static,
    {
        let call = FacadeCall::new(self, key);
        FacadeSet {
            call,
            value,
            ttl: None,
            data_type: None,
            attributes: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// As [`set`](Self::set), placed by the heat of the key; tells where it went. See
    /// [`Cache::set_multi_level`], and [`FacadeSet::multi_level`] for a life or tags of its own.
    ///
    /// # Errors
    /// As [`Cache::set_multi_level`], and when the manager gives entries no life.
    pub async fn set_multi_level<V>(&self, key: &str, value: &V) -> Result<Placed>
    where
        C: Codec<V> + Clone + Send + Sync,
        V: Clone + Send + Sync + 'static,
    {
        self.set(key, value).multi_level().await
    }

    /// The value of type `V` under `key`.
    pub fn get<'a, V>(&'a self, key: &'a str) -> FacadeGet<'a, C, V>
    where
        C: Codec<V> + Clone,
        V: Send + Sync + 'static,
    {
        let call = FacadeCall::new(self, key);
        FacadeGet { call, types: PhantomData }
    }

    /// Removes `key` from every level, hard, and says whether one held it.
    pub fn delete<'a>(&'a self, key: &'a str) -> FacadeDelete<'a, C> {
        FacadeDelete { call: FacadeCall::new(self, key) }
    }
}

impl<C: Clone> CacheManager<C> {
    /// Removes every key of the facade that matches a glob, such as `user:*:temp_*`. The facade's
    /// keys are paths cut at `:`, so that `session:*` is one epoch and walks nothing. See
    /// [`Cache::delete_pattern`].
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, hours};
    /// use cache_enterprise_engine::{CacheManager, block_on};
    ///
    /// let manager = CacheManager::in_memory(Capacity::entries(1_000))?;
    /// block_on(async {
    ///     manager.set("session:1", &1_u64).ttl(hours(1)).await?;
    ///     let report = manager.delete_pattern("session:*").await?;
    ///     assert!(report.receipt.is_some(), "nothing was walked");
    ///     assert_eq!(manager.get::<u64>("session:1").await?, None);
    ///     Ok::<(), cache_enterprise_core::Error>(())
    /// })?;
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn delete_pattern(&self, pattern: &str) -> Sweep<'_> {
        sweep(self.open(&FACADE), pattern, Fate::Deleted)
    }

    /// As [`delete_pattern`](Self::delete_pattern), softly: what matches is past its life from now
    /// on, or after a [`ttl`](Sweep::ttl).
    pub fn expire_pattern(&self, pattern: &str) -> Sweep<'_> {
        sweep(self.open(&FACADE), pattern, Fate::Expired)
    }

    /// Lets the facade's entries under `children` depend on the one under `key`; see
    /// [`Cache::register_dependency`].
    ///
    /// # Errors
    /// As there, and when the manager was shut down.
    pub async fn register_dependency<I>(&self, key: &str, children: I) -> Result<()>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let cache = self.open(&FACADE)?;
        let children: Vec<String> = children.into_iter().map(Into::into).collect();
        cache.register_dependency(key, &cache, &children).await
    }

    /// Removes several keys of the facade, with a report of each; see [`Cache::bulk_delete`].
    ///
    /// # Errors
    /// When the manager was shut down; what a key met is in the report.
    pub async fn bulk_delete<I>(&self, keys: I) -> Result<BulkReport<String, Removal>>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let cache = self.open(&FACADE)?;
        let keys: Vec<String> = keys.into_iter().map(Into::into).collect();
        Ok(cache.bulk_delete(&keys).await)
    }

    /// The values of type `V` under several keys of the facade, each with what it met: also the
    /// error of a value of another type.
    ///
    /// # Errors
    /// When the manager was shut down.
    pub async fn bulk_get<V, I>(&self, keys: I) -> Result<BulkReport<String, Option<Arc<V>>>>
    where
        C: Codec<V>,
        V: Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let cache = self.open(&FACADE)?;
        let keys: Vec<String> = keys.into_iter().map(Into::into).collect();
        let typed = |found: Option<cache_enterprise_core::Cached<AnyValue>>| match found {
            Some(found) => found.as_type::<V, C>(&self.codec).map(Some),
            None => Ok(None),
        };
        let found = cache.bulk_get(&keys).await.into_iter();
        Ok(found.map(|(key, found)| (key, found.and_then(typed))).collect())
    }

    /// Puts copies of several values of the facade, with one life for all, or the manager's; a
    /// report of each.
    ///
    /// # Errors
    /// When nothing gives the entries a life, when a value cannot be encoded, or when the manager
    /// was shut down.
    pub async fn bulk_set<V, I, K>(
        &self,
        items: I,
        ttl: Option<Duration>,
    ) -> Result<BulkReport<String, SetOutcome>>
    where
        C: Codec<V> + Send + Sync,
        V: Send + Sync + 'static,
        I: IntoIterator<Item = (K, V)>,
        K: Into<String>,
    {
        let cache = self.open(&FACADE)?;
        let said = ttl.is_some().then(|| Said { is_life_named: true, ..Said::default() });
        let Some(life) = ttl.map(Life::For).or(self.shared.options.ttl) else {
            let text = "a bulk set needs a life: name one or give the manager one";
            return Err(Error::config(text));
        };
        let codec = self.has_tiers().then_some(&self.codec);
        let sealed =
            |(key, value): (K, V)| Ok((key.into(), AnyValue::typed(Arc::new(value), codec)?));
        let items: Vec<(String, AnyValue)> =
            items.into_iter().map(sealed).collect::<Result<_>>()?;
        Ok(cache.bulk_set_as(items, Some(life), said.as_ref()).await)
    }
}

/// What every call of the facade names.
struct FacadeCall<'a, C> {
    manager: &'a CacheManager<C>,
    key: &'a str,
    tenant: Option<&'a str>,
    backend: Option<&'a str>,
}

impl<'a, C> FacadeCall<'a, C> {
    fn new(manager: &'a CacheManager<C>, key: &'a str) -> Self {
        Self { manager, key, tenant: None, backend: None }
    }
}

impl<C: Clone> FacadeCall<'_, C> {
    fn open(&self) -> Result<(CacheManager<C>, Cache<String, AnyValue>)> {
        let manager = match self.tenant {
            Some(tenant) => self.manager.tenant(tenant)?,
            None => self.manager.clone(),
        };
        let manager = match self.backend {
            Some(backend) => manager.backend(backend)?,
            None => manager,
        };
        let cache = manager.open(&FACADE)?;
        Ok((manager, cache))
    }
}

/// A set of the facade; await it.
#[must_use = "a set does nothing until it is awaited"]
pub struct FacadeSet<'a, C, V> {
    call: FacadeCall<'a, C>,
    value: Arc<V>,
    ttl: Option<Duration>,
    data_type: Option<&'a str>,
    attributes: Vec<(&'a str, &'a str)>,
    tags: Vec<Tag>,
}

impl<'a, C, V> FacadeSet<'a, C, V> {
    /// The tenant by name. Default: the manager's own.
    pub fn tenant(mut self, tenant: &'a str) -> Self {
        self.call.tenant = Some(tenant);
        self
    }

    /// One backend alone, by name; see [`CacheManager::backend`]. Default: all levels.
    pub fn backend(mut self, backend: &'a str) -> Self {
        self.call.backend = Some(backend);
        self
    }

    /// Life of the entry. Default: that of the data type, else the manager's.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// A data type named in the builder, which gives the entry its life. A strategy hears it, and
    /// may have a life for types that the builder does not name.
    pub fn data_type(mut self, data_type: &'a str) -> Self {
        self.data_type = Some(data_type);
        self
    }

    /// Says something of the value that a strategy asks for; see
    /// [`Set::attribute`](crate::Set::attribute). Default: nothing.
    pub fn attribute(mut self, name: &'a str, text: &'a str) -> Self {
        self.attributes.push((name, text));
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
}

impl<C, V> FacadeSet<'_, C, V> {
    /// The life of the entry; `None` where it is left to the strategy, which must then have one.
    fn life(&self) -> Result<Option<Life>> {
        if let Some(ttl) = self.ttl {
            return Ok(Some(Life::For(ttl)));
        }
        let has_strategy = self.call.manager.shared.fill_strategy.is_some();
        match self.configured_life() {
            Err(_) if has_strategy => Ok(None),
            life => life.map(Some),
        }
    }

    /// The life that the data type or the manager configures.
    fn configured_life(&self) -> Result<Life> {
        let shared = &self.call.manager.shared;
        if let Some(data_type) = self.data_type {
            return shared.data_types.get(data_type).map(|ttl| Life::For(*ttl)).ok_or_else(|| {
                let mut known: Vec<_> = shared.data_types.keys().map(String::as_str).collect();
                known.sort_unstable();
                Error::config("an unknown data type; name it with the builder's `.data_type(..)`")
                    .with("data type", data_type)
                    .with("known", known.join(", "))
            });
        }
        shared.options.ttl.ok_or_else(|| {
            Error::config("a set needs a life: add `.ttl(..)` or give the manager one")
        })
    }
}

impl<C, V> FacadeSet<'_, C, V>
where
    C: Codec<V> + Clone + Send + Sync,
    V: Send + Sync + 'static,
{
    /// Places the value by the heat of its key instead of at every level, and tells where it went;
    /// see [`Cache::set_multi_level`].
    ///
    /// # Errors
    /// As [`Cache::set_multi_level`], and when nothing gives the entry a life.
    pub async fn multi_level(self) -> Result<Placed> {
        let life = self.life()?;
        let (manager, cache) = self.call.open()?;
        let is_written = manager.has_tiers();
        let value = AnyValue::typed(self.value, is_written.then_some(&manager.codec))?;
        let set = cache.set(self.call.key, value).tags(self.tags);
        let set = set.said(self.data_type, &self.attributes, self.ttl.is_some());
        set.living(life).multi_level().await
    }
}

impl<'a, C, V> IntoFuture for FacadeSet<'a, C, V>
where
    C: Codec<V> + Clone + Send + Sync,
    V: Send + Sync + 'static,
{
    type Output = Result<()>;
    type IntoFuture = Answer<'a, ()>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let life = self.life()?;
            let (manager, cache) = self.call.open()?;
            let is_written = manager.has_tiers();
            let value = AnyValue::typed(self.value, is_written.then_some(&manager.codec))?;
            let set = cache.set(self.call.key, value).tags(self.tags);
            let set = set.said(self.data_type, &self.attributes, self.ttl.is_some());
            match set.living(life).strict().await? {
                SetOutcome::Fenced | SetOutcome::Stored | SetOutcome::Declined => Ok(()),
                outcome => {
                    let kind = cache_enterprise_core::ErrorKind::Unavailable;
                    Err(Error::new(kind, "not every level took the value")
                        .operation("set")
                        .with("outcome", format!("{outcome:?}")))
                }
            }
        })
    }
}

/// A get of the facade; await it.
#[must_use = "a get does nothing until it is awaited"]
pub struct FacadeGet<'a, C, V> {
    call: FacadeCall<'a, C>,
    types: PhantomData<fn() -> V>,
}

impl<'a, C, V> FacadeGet<'a, C, V> {
    /// The tenant by name. Default: the manager's own.
    pub fn tenant(mut self, tenant: &'a str) -> Self {
        self.call.tenant = Some(tenant);
        self
    }

    /// One backend alone, by name; see [`CacheManager::backend`]. Default: all levels.
    pub fn backend(mut self, backend: &'a str) -> Self {
        self.call.backend = Some(backend);
        self
    }
}

impl<'a, C, V> IntoFuture for FacadeGet<'a, C, V>
where
    C: Codec<V> + Clone + Send + Sync,
    V: Send + Sync + 'static,
{
    type Output = Result<Option<Arc<V>>>;
    type IntoFuture = Answer<'a, Option<Arc<V>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (manager, cache) = self.call.open()?;
            match cache.get(self.call.key).await? {
                Some(found) => found.as_type::<V, C>(&manager.codec).map(Some),
                None => Ok(None),
            }
        })
    }
}

/// A delete of the facade; await it.
#[must_use = "a delete does nothing until it is awaited"]
pub struct FacadeDelete<'a, C> {
    call: FacadeCall<'a, C>,
}

impl<'a, C> FacadeDelete<'a, C> {
    /// The tenant by name. Default: the manager's own.
    pub fn tenant(mut self, tenant: &'a str) -> Self {
        self.call.tenant = Some(tenant);
        self
    }

    /// One backend alone, by name; see [`CacheManager::backend`]. Default: all levels.
    pub fn backend(mut self, backend: &'a str) -> Self {
        self.call.backend = Some(backend);
        self
    }
}

impl<'a, C: Clone + Send + Sync> IntoFuture for FacadeDelete<'a, C> {
    type Output = Result<bool>;
    type IntoFuture = Answer<'a, bool>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (_, cache) = self.call.open()?;
            Ok(cache.remove(self.call.key).await)
        })
    }
}

impl<C, V> fmt::Debug for FacadeSet<'_, C, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FacadeSet").field("key", &self.call.key).finish_non_exhaustive()
    }
}

impl<C, V> fmt::Debug for FacadeGet<'_, C, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("FacadeGet");
        debug.field("key", &self.call.key).field("type", &type_name::<V>());
        debug.finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for FacadeDelete<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FacadeDelete").field("key", &self.call.key).finish_non_exhaustive()
    }
}
