//! What a strategy is told of a value that is about to be stored.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use crate::hash;

/// A value on its way in, as every strategy of admission and of lifetime sees it: borrowed, made
/// once per store, never kept.
///
/// ```
/// use cache_enterprise_strategies::StrategyContext;
///
/// let track = String::from("Blue in Green");
/// let context = StrategyContext::new("track:7")
///     .value(&track)
///     .data_type("track")
///     .attributes(&[("cache_priority", "high")]);
/// assert_eq!(context.attribute("cache_priority"), Some("high"));
/// assert_eq!(context.value_as::<String>().map(String::len), Some(13));
/// assert!(context.value_as::<u64>().is_none());
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct StrategyContext<'a> {
    /// The key as its cache writes it, without tenant and cache.
    pub key: &'a str,
    /// A hash of tenant, cache and key: the name under which a strategy may remember the key.
    pub hash: u64,
    /// The value, for strategies that look into it.
    pub value: Option<&'a (dyn Any + Send + Sync)>,
    /// The kind of value, such as `session`, where the writer named one.
    pub data_type: Option<&'a str>,
    /// Weight of the entry in bytes; 0 where nobody knows.
    pub bytes: u64,
    /// What loading the value took, where it was loaded.
    pub load_time: Option<Duration>,
    /// The lifetime that cache and call configure; `None` for ever.
    pub configured: Option<Duration>,
    /// What else the writer said, as pairs of name and text.
    pub attributes: &'a [(&'a str, &'a str)],
}

impl<'a> StrategyContext<'a> {
    /// A value under `key` of which nothing else is known. The hash is that of the key alone.
    pub fn new(key: &'a str) -> Self {
        Self {
            key,
            hash: hash::bytes(key.as_bytes()),
            value: None,
            data_type: None,
            bytes: 0,
            load_time: None,
            configured: None,
            attributes: &[],
        }
    }

    /// With a hash that also tells tenants and caches apart.
    #[must_use]
    pub fn hash(mut self, hash: u64) -> Self {
        self.hash = hash;
        self
    }

    /// With the value.
    #[must_use]
    pub fn value(mut self, value: &'a (dyn Any + Send + Sync)) -> Self {
        self.value = Some(value);
        self
    }

    /// With the kind of value.
    #[must_use]
    pub fn data_type(mut self, data_type: &'a str) -> Self {
        self.data_type = Some(data_type);
        self
    }

    /// With the weight in bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// With the time that loading took.
    #[must_use]
    pub fn load_time(mut self, load_time: Duration) -> Self {
        self.load_time = Some(load_time);
        self
    }

    /// With the lifetime that is configured.
    #[must_use]
    pub fn configured(mut self, ttl: Option<Duration>) -> Self {
        self.configured = ttl;
        self
    }

    /// With pairs of name and text.
    #[must_use]
    pub fn attributes(mut self, attributes: &'a [(&'a str, &'a str)]) -> Self {
        self.attributes = attributes;
        self
    }

    /// The text of the first attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// The value, if it is a `T`.
    pub fn value_as<T: 'static>(&self) -> Option<&'a T> {
        let value: &dyn Any = self.value?;
        value.downcast_ref()
    }
}

impl fmt::Debug for StrategyContext<'_> {
    /// Says neither key, value nor attributes: they may be anybody's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrategyContext")
            .field("data_type", &self.data_type)
            .field("bytes", &self.bytes)
            .field("load_time", &self.load_time)
            .field("configured", &self.configured)
            .finish_non_exhaustive()
    }
}
