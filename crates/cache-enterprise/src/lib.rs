// The snippets of the README ask for features; without them the text would not compile.
#![cfg_attr(feature = "full", doc = include_str!("../../../README.md"))]
#![cfg_attr(
    not(feature = "full"),
    doc = "A multi-level, multi-tenant cache. The feature `full` shows the whole text here."
)]

pub use cache_enterprise_core as core;
pub use cache_enterprise_core::{
    Backend, BackendConfig, BackendFactory, BackendHealth, BackendOption, BackendSource,
    BusFactory, CacheKey, CacheLevel, Cached, Capabilities, Capacity, Clock, Codec, CodecFor,
    Compressor, Error, ErrorKind, Event, Format, Inherit, KeyWriter, Lookup, MemoryOnly, Observer,
    OpenedBackend, Own, Priority, RemovalCause, Result, Sequence, SetOutcome, StoreStats, Tag, tag,
};
// All of it: what the engine gives to others is what an application writes and matches on.
pub use cache_enterprise_engine::*;

#[cfg(feature = "tiers")]
pub use cache_enterprise_core::{
    Transform, TransformContext,
    coherence::{Bus, EpochTarget},
    envelope::Limits,
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
