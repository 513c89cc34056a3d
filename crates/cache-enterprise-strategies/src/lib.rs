//! Strategies of cache-enterprise: what is kept, for how long, and what will be asked next.
//!
//! * [`eviction`]: policies that choose what leaves level 1, each behind core's
//!   [`EvictionPolicy`](cache_enterprise_core::EvictionPolicy).
//! * [`insight`]: what the requests say: misses by size, hot keys, reuse times.
//! * [`admission`]: whether a value comes in, and whether it climbs.
//! * [`business`]: a table of rules that says what an entry is worth, for how long, and in which
//!   class.
//! * [`lifetime`]: for how long a value is fresh.
//! * [`predict`]: what will be asked next, and the models behind warming up.
//! * [`anomaly`] and [`forecast`]: how unusual a measurement is, and what the next will be.
//! * [`compression`]: which compressor pays for which kind of data.
//! * [`tune`]: turns parameters, one bounded change at a time.
//! * [`CacheStrategy`]: what people write themselves, by name in a [`StrategyRegistry`].

pub mod admission;
pub mod anomaly;
mod bounds;
pub mod business;
pub mod compression;
mod context;
mod custom;
pub mod eviction;
pub mod forecast;
mod hash;
pub mod insight;
pub mod lifetime;
pub mod predict;
mod sketch;
pub mod tune;

pub use context::StrategyContext;
pub use custom::{CacheStrategy, Composite, StrategyRegistry, WithAdmission, WithLifetime};
