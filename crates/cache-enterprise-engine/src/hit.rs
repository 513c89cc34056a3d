//! A value with what is known about it.

use cache_enterprise_core::{CacheLevel, Cached, Sequence};

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Level 1.
    Memory,
    /// A tier: the number of its level, from 2.
    Tier(u8),
    /// The loader, or another caller's loader.
    Loader,
}

impl Source {
    /// The level, when it was one.
    pub fn level(self) -> Option<CacheLevel> {
        match self {
            Self::Memory => Some(CacheLevel::L1),
            Self::Tier(number) => CacheLevel::numbered(number),
            Self::Loader => None,
        }
    }
}

/// How a value came to its caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Via {
    pub(crate) source: Source,
    /// Whether another caller's flight brought it.
    pub(crate) is_joined: bool,
}

impl From<Source> for Via {
    fn from(source: Source) -> Self {
        Self { source, is_joined: false }
    }
}

/// A value with what is known about it; see [`Cache::get_entry`](crate::Cache::get_entry).
#[derive(Debug)]
#[non_exhaustive]
pub struct Hit<V> {
    /// The value.
    pub value: Cached<V>,
    /// Where the value came from.
    pub source: Source,
    /// The level that answered; none when a loader did.
    pub level: Option<CacheLevel>,
    /// How old the value was.
    pub age: std::time::Duration,
    /// Whether it was past its life.
    pub stale: bool,
    /// Its sequence: higher for a later value of the key.
    pub version: Sequence,
    /// Whether another caller's look-up or load brought it, and this one waited.
    pub joined: bool,
}

impl<V> Hit<V> {
    pub(crate) fn new(value: Cached<V>, via: impl Into<Via>) -> Self {
        let Via { source, is_joined } = via.into();
        Self {
            source,
            joined: is_joined,
            level: source.level(),
            age: value.age(),
            stale: value.is_stale(),
            version: value.version(),
            value,
        }
    }
}
