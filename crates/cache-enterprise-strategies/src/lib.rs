//! Strategies of cache-enterprise: what is kept, for how long, and what will be asked next.
//!
//! * [`eviction`]: policies that choose what leaves level 1, each behind core's
//!   [`EvictionPolicy`](cache_enterprise_core::EvictionPolicy).

pub mod eviction;
