//! What most files of an application need.
//!
//! ```
//! use cache_enterprise::prelude::*;
//!
//! static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(5));
//!
//! let names = CacheManager::in_memory(Capacity::bytes(16 * MIB))?.open(&NAMES)?;
//! assert!(names.peek(&7).is_none());
//! # Ok::<(), cache_enterprise::Error>(())
//! ```

pub use cache_enterprise_core::{
    CacheKey, Cached, Capacity, GIB, KIB, KeyWriter, MIB, Priority, SetOutcome, Tag, days, hours,
    mins, ms, secs, tag,
};
pub use cache_enterprise_engine::{
    Cache, CacheManager, CacheSpec, Hit, LoadContext, LoadError, Memory, Options, Quota, Tenant,
    path,
};

#[cfg(feature = "tiers")]
pub use cache_enterprise_engine::{Tier, WritePolicy};
#[cfg(feature = "tiers")]
pub use cache_enterprise_serializers::*;

#[cfg(feature = "disk")]
pub use cache_enterprise_disk::Disk;

#[cfg(feature = "redis")]
pub use cache_enterprise_redis::{Redis, RedisBus};

#[cfg(feature = "memcached")]
pub use cache_enterprise_memcached::Memcached;

#[cfg(feature = "settings")]
pub use crate::wiring::{FromSettings, WithBackend};
#[cfg(feature = "settings")]
pub use cache_enterprise_settings::Settings;
