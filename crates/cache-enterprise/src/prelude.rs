//! What most files of an application need: `use cache_enterprise::prelude::*;`

pub use cache_enterprise_core::{
    CacheKey, Cached, Capacity, GIB, KIB, KeyWriter, MIB, Priority, SetOutcome, Tag, days, hours,
    mins, ms, secs, tag,
};
pub use cache_enterprise_engine::{
    Cache, CacheManager, CacheSpec, Hit, LoadContext, LoadError, Memory, Options, Quota, Tenant,
};

#[cfg(feature = "tiers")]
pub use cache_enterprise_engine::{Tier, WritePolicy};
#[cfg(feature = "tiers")]
pub use cache_enterprise_serializers::*;

#[cfg(feature = "disk")]
pub use cache_enterprise_disk::Disk;

#[cfg(feature = "settings")]
pub use crate::wiring::FromSettings;
#[cfg(feature = "settings")]
pub use cache_enterprise_settings::Settings;
