//! The engine: managers, typed caches, and the way a value goes.
//!
//! ```text
//! manager   opens caches, invalidates tags, shuts down          builder, tenant, invalidate, route
//! cache     the handle applications keep                        spec, options
//! describe  the options in force and who set them               advice, explain
//! get       the reads a caller sees: a hit at once              hit_or
//! read      else the flight, the tiers, the loader              flight, timer, ticker
//! load      the loader: its turn, its answer                    owned, loader, fetch, context
//! rescue    older values, and loads that failed                 failures, renew
//! batch     several keys in one call                            batch_load, batch_answer
//! compute   deciding on a value by the one there is             if_version
//! write     set, remove, expire, landing                        placement, sketch
//! filling   whether and how long values are stored
//! warm      loading ahead                                       prefetch, smart
//! tune      trying changes on a shadow
//! path      what a key's own text labels it with                dependency
//! sweep     deletions and expiries by pattern                   pattern, bulk, transaction
//! events    what listeners hear                                 told
//! tiers     everything below level 1 (feature `tiers`)
//! bus       between processes (feature `tiers`)             names, heed
//! ```
//!
//! Start with `get`, then `read`: they tell the story top to bottom.

#![cfg_attr(
    not(feature = "tiers"),
    allow(dead_code, reason = "what only tiers ask for stands unused without them")
)]

mod access;
mod advice;
mod batch;
mod batch_answer;
mod batch_load;
mod batcher;
mod blocking;
mod builder;
mod bulk;
#[cfg(feature = "tiers")]
mod bus;
mod cache;
mod climb;
mod compute;
mod context;
mod dependency;
mod describe;
mod error;
mod events;
mod explain;
mod facade;
mod failover;
mod failures;
mod fetch;
mod filling;
mod flight;
mod get;
mod heed;
mod hit;
mod hit_or;
mod holding;
mod if_version;
mod invalidate;
mod level1;
mod limiter;
mod load;
mod loader;
mod manager;
mod names;
mod options;
mod owned;
mod parking;
mod path;
mod placement;
mod policy;
mod prefetch;
mod read;
mod renew;
mod rescue;
mod route;
mod set;
mod settle;
mod shared;
mod sketch;
mod smart;
mod spec;
mod strategy;
mod sweep;
mod tenant;
mod ticker;
#[cfg(feature = "tiers")]
mod tiers;
mod timer;
mod told;
mod transaction;
mod tune;
mod turn;
#[cfg(not(feature = "tiers"))]
mod untiered;
mod waits;
mod warm;
mod weight;
mod write;

pub use access::Access;
pub use advice::{Advice, Severity};
pub use batch_answer::{Batch, BatchAnswer, BatchValue, KeyOutcome, Loaded, Missing};
pub use batcher::Batcher;
pub use blocking::Blocking;
pub use builder::{ManagerBuilder, NoTiers};
pub use bulk::{BulkReport, Removal};
#[cfg(feature = "tiers")]
pub use bus::BusStats;
pub use cache::{Cache, CacheStats};
pub use cache_enterprise_core::Pattern;
pub use cache_enterprise_memory::Listener;
pub use compute::{Compute, Computed, KeyEntry};
pub use context::{AsFetched, AsValue, Fetched, IntoFetched, LoadContext};
pub use describe::Description;
pub use error::LoadError;
pub use events::{Events, Happening, Hook};
pub use explain::{CopyView, EpochView, Explanation, LevelView, Verdict};
pub use facade::{FacadeDelete, FacadeGet, FacadeSet};
pub use failover::Failover;
pub use fetch::{Any, Fetch, Owning};
pub use if_version::IfVersion;
pub use invalidate::{Invalidate, Reach, Receipt, Target};
pub use level1::Memory;
pub use loader::{Load, Loader, Loading};
pub use manager::{CacheManager, ShutdownReport, Tenant};
pub use options::{EffectiveOption, Life, Options, Origin};
pub use parking::block_on;
pub use path::{KeyPath, Under};
pub use placement::{ByHeat, Placed};
pub use policy::{Leases, OnError, OnNoWaiters, Refresh};
pub use prefetch::Prefetching;
pub use read::{Hit, Source};
pub use set::{Lenient, Set, SetFuture, SetMode, Strict};
pub use smart::SmartCache;
pub use spec::CacheSpec;
pub use strategy::Strategy;
pub use sweep::{Sweep, SweepReport, SweepWay};
pub use tenant::{Quota, TenantUsage};
#[cfg(feature = "tiers")]
pub use tiers::{
    AdaptiveCompression, Complete, DictionaryLimits, DictionaryStats, LevelHealth, Packer,
    StoredEntry, StoredState, Tier, TierStats, Tiered, WritePolicy,
};
pub use transaction::Invalidations;
pub use tune::{Trial, Tune, Tuning};
pub use warm::{Warm, WarmProgress, WarmReport};

#[cfg(feature = "tiers")]
pub(crate) use tiers::{Fence, Held, HeldMany, Hold, Number, Sealed};
#[cfg(not(feature = "tiers"))]
pub(crate) use untiered::{Fence, Held, HeldMany, Hold, Number, Sealed};
