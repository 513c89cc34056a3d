//! memcached as a level of cache-enterprise.
//!
//! What it is: entries on one or several memcached servers that many processes share. Reads that
//! arrive together travel together, every key has its server by a placement that is fixed for ever,
//! entries end at their millisecond, and an older value never replaces a newer one or a removal.
//! What it is not: durable, listable or replicated. memcached forgets what it has no room for and
//! everything when it ends; no key can be scanned for, and a server that is away takes its keys
//! along.
//!
//! ```no_run
//! use cache_enterprise_core::{Backend, KeySpace, OpContext, Put};
//! use cache_enterprise_memcached::Memcached;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> cache_enterprise_core::Result<()> {
//! let servers = Memcached::servers(["mc-a:11211", "mc-b:11211"])?.open()?;
//! let key = KeySpace::new("shop", "acme", "users")?.key(&42_u64)?;
//! let call = OpContext::default();
//! servers.put(&key, "Ada".into(), Put::default(), &call).await?;
//! assert_eq!(servers.get(&key, &call).await?.as_deref(), Some(&b"Ada"[..]));
//! servers.close().await
//! # }
//! ```
//!
//! # Where things are
//!
//! | module | holds |
//! |---|---|
//! | `placement` | which server has a key; pure |
//! | `name`, `item`, `expiry` | what keys, entries and lives are on a server; pure |
//! | `change` | how a key is put, swapped, removed, touched and leased against rivals; pure |
//! | `epochs` | sequence and epochs of tenants, which processes share; by the meta protocol |
//! | `lease` | leases on keys |
//! | `meta` | the meta protocol: the line of reads, connections for writes |
//! | `classic` | the binary and the text protocol with SASL, on blocking threads |
//! | `backend` | the backend over several servers |
//!
//! `docs/memcached.md` in the repository tells how to set it up and what its limits are.

mod address;
mod backend;
mod change;
mod classic;
mod config;
mod epochs;
mod error;
mod expiry;
mod item;
mod lease;
mod limits;
mod meta;
mod name;
mod password;
mod placement;
mod server;
mod source;

pub use backend::MemcachedBackend;
pub use config::{Memcached, Protocol};
pub use password::Password;
pub use source::MemcachedFactory;
