//! Real servers for tests: Redis in every topology and memcached, each on a free port of
//! 127.0.0.1, in a temporary folder of its own, gone with its test.
//!
//! | to have | start |
//! |---|---|
//! | one Redis, plain, with TLS, passwords or users | [`RedisServer`] |
//! | a Redis Cluster with live moves of slots | [`RedisCluster`] |
//! | a primary that Sentinels watch | [`RedisSentinels`] |
//! | memcached, with or without SASL | [`MemcachedServer`] |
//!
//! Each can be paused (it hangs: connections stay, nothing answers), resumed, killed and started
//! again on the same port. For faults between client and server see [`proxy`](crate::proxy).
//!
//! ```no_run
//! use cache_enterprise_testkit::servers::RedisServer;
//!
//! let redis = RedisServer::start();
//! assert_eq!(redis.cli(&["SET", "key", "value"]), "OK");
//! redis.pause();
//! // A client waits for its answer now.
//! redis.resume();
//! redis.restart();
//! assert_eq!(redis.cli(&["GET", "key"]), "", "nothing is written to disk unless asked");
//! ```
//!
//! A server does not outlive its test: it ends when it is dropped, also by a panic, and a guardian
//! process ends it when the whole test process is killed. What that cannot cover is a guardian
//! that is killed together with the test process.
//!
//! These calls block the thread, some for seconds, and are made for tests: what goes wrong panics,
//! with the log of the server where there is one.

mod certificates;
mod cluster;
mod memcached;
mod port;
mod process;
mod program;
mod redis;
mod sentinel;

pub use certificates::{Certificates, ServerName};
pub use cluster::{RedisCluster, RedisClusterOptions, SLOTS, SlotMigration};
pub use memcached::{MemcachedOptions, MemcachedServer};
pub use program::{INSTALL_LINE, MissingProgram, Program};
pub use redis::{RedisOptions, RedisServer};
pub use sentinel::RedisSentinels;
