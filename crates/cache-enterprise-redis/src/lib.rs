//! Redis backend of cache-enterprise: one server, a primary behind Sentinel, or a cluster.
//!
//! What it is: entries that all processes share, with expiry by the server, a fence against late
//! stores, TLS and ACL users. What it is not: the source of truth. Redis may evict entries and may
//! lose writes in a failover.
//!
//! ```no_run
//! use cache_enterprise_core::{Backend, KeySpace, OpContext, Put};
//! use cache_enterprise_redis::Redis;
//!
//! # async fn example() -> cache_enterprise_core::Result<()> {
//! let redis = Redis::url("redis://localhost:6379")?.open().await?;
//! let key = KeySpace::new("shop", "acme", "users")?.key(&42_u64)?;
//! let call = OpContext::default();
//! redis.put(&key, "Ada".into(), Put::default(), &call).await?;
//! assert_eq!(redis.get(&key, &call).await?.as_deref(), Some(&b"Ada"[..]));
//! redis.close().await
//! # }
//! ```
//!
//! # How entries lie in Redis
//!
//! Key `{manager:tenant:bucket}manager:tenant:cache:key`, value nine bytes of head and then the
//! bytes of the entry. A removal leaves its number under the key for a while, so that a value that
//! was loaded before it is refused. Both are changed by a function at the server, in one step.
//!
//! # How calls travel
//!
//! ```text
//! get ─────────> reader ──(GET, or MGET of what arrived together)──> connection 1
//! put, remove ──────────────────────────────────────────────────────> connection 1
//! 64 KiB and more ──────────────────────────────────────────────────> connection 2
//! scan, removal that waits for replicas ────────────────────────────> pool
//! ```
//!
//! A connection that does not answer in time is given up, which ends every call on it with an
//! error, and opened again. Limits and set-up: `docs/redis.md`.

mod address;
mod backend;
mod bus;
mod config;
mod epochs;
mod error;
mod factory;
mod functions;
mod key;
mod lease;
mod link;
mod names;
mod password;
mod place;
mod record;
mod scan;
mod servers;
mod source;
mod tls;

pub use backend::RedisBackend;
pub use bus::RedisBus;
pub use config::Redis;
pub use epochs::RedisEpochs;
pub use factory::RedisFactory;
pub use lease::RedisLease;
pub use password::Password;
