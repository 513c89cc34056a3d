// The snippets of the README ask for features; without them the text would not compile.
#![cfg_attr(feature = "full", doc = include_str!("../../../README.md"))]
#![cfg_attr(
    not(feature = "full"),
    doc = "A multi-level, multi-tenant cache. The feature `full` shows the whole text here."
)]

pub use cache_enterprise_core as core;
pub use cache_enterprise_core::{
    Backend, BackendConfig, BackendFactory, BackendHealth, BackendOption, BackendSource,
    BusFactory, CacheKey, CacheLevel, Cached, Capabilities, Capacity, Clock, Codec, Compressor,
    Error, ErrorKind, Event, KeyWriter, Lookup, MemoryOnly, Observer, OpenedBackend, Priority,
    RemovalCause, Result, SetOutcome, Tag, tag,
};
pub use cache_enterprise_engine::{
    Access, Advice, BulkReport, ByHeat, Cache, CacheManager, CacheSpec, CacheStats, CopyView,
    Description, EffectiveOption, EpochView, Events, Explanation, Failover, Fetch, Fetched,
    Happening, Hit, Hook, Invalidate, Invalidations, KeyPath, Leases, LevelView, Life, Listener,
    Load, LoadContext, LoadError, Loader, Loading, ManagerBuilder, OnError, OnNoWaiters, Options,
    Origin, Pattern, Prefetching, Quota, Reach, Receipt, Refresh, Removal, Severity,
    ShutdownReport, SmartCache, Source, Strategy, Sweep, SweepReport, SweepWay, Tenant,
    TenantUsage, Trial, Tune, Tuning, Under, Verdict, Warm, WarmProgress, WarmReport, block_on,
    path,
};

#[cfg(feature = "tiers")]
pub use cache_enterprise_engine::{
    AdaptiveCompression, DictionaryLimits, DictionaryStats, LevelHealth, Packer, StoredEntry,
    StoredState, Tier, TierStats, Tiered, WritePolicy,
};
#[cfg(feature = "tiers")]
pub use cache_enterprise_resilience as resilience;
#[cfg(feature = "tiers")]
pub use cache_enterprise_serializers as serializers;

#[cfg(feature = "memory")]
pub use cache_enterprise_memory as memory;

#[cfg(feature = "strategies")]
pub use cache_enterprise_strategies as strategies;

#[cfg(feature = "disk")]
pub use cache_enterprise_disk as disk;

#[cfg(feature = "redis")]
pub use cache_enterprise_redis as redis;

#[cfg(feature = "memcached")]
pub use cache_enterprise_memcached as memcached;

#[cfg(feature = "settings")]
pub use cache_enterprise_settings as settings;
#[cfg(feature = "settings")]
mod wiring;
#[cfg(feature = "settings")]
pub use wiring::{FromSettings, Wiring, WithBackend};

#[cfg(feature = "compat")]
pub mod compat;
pub mod prelude;
