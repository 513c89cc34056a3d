//! Embedded level 2 of cache-enterprise: a disk backend on fjall with nothing to install.
//!
//! What it is: entries in a directory that outlive the process, within a byte budget, with expiry
//! to the millisecond, a fence against late stores, and the durable home of sequence and epochs.
//! What it is not: a database. The oldest entries make room for new ones.
//!
//! ```
//! use cache_enterprise_core::{Backend, KeySpace, MIB, OpContext, Put};
//! use cache_enterprise_disk::Disk;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> cache_enterprise_core::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! let disk = Disk::at(folder.path().join("cache")).budget(64 * MIB).open().await?;
//! let key = KeySpace::new("shop", "acme", "users")?.key(&42_u64)?;
//! let call = OpContext::default();
//! disk.put(&key, "Ada".into(), Put::default(), &call).await?;
//! assert_eq!(disk.get(&key, &call).await?.as_deref(), Some(&b"Ada"[..]));
//! disk.close().await
//! # }
//! ```
//!
//! # How entries lie on disk
//!
//! ```text
//! put ──> front ──(full)──> draining front ──(sorted, one pass)──> generations ──> dropped
//!         journal + memory                                         newest … oldest
//! ```
//!
//! A *front* is a small fjall database: every put is in its journal when it returns. A full front
//! is copied in key order into a *generation*, a keyspace without journal, and removed with its
//! journal. A key is looked up newest first, so a newer record hides the older ones; a removal is
//! a record too. Over budget, the oldest generation goes as a whole: no compaction is waited for,
//! and the directory cannot outgrow the budget by what a log-structured store leaves behind.
//!
//! # What survives
//!
//! * The process is killed: everything that `put` or `remove` acknowledged is there; no torn
//!   value is served (fjall compares checksums when a journal is replayed and when a block is
//!   read; each record carries one more, compared when it is not in memory any more).
//! * Power is lost: what the system had not written back may be lost, entries *and removals* of
//!   the last seconds. Sequence and epochs ([`EpochStore`]) are flushed before they are
//!   acknowledged and survive.
//! * The disk is full or turns read-only: writes answer an error, reads go on,
//!   [`health`](cache_enterprise_core::Backend::health) says so, and writing resumes by itself.
//! * The directory cannot be used when a manager is built (no permission, read-only, no room): the
//!   manager is built, the level is down, and it opens by itself once the directory can be used.
//!   [`Disk::open`] itself answers the error.
//!
//! # Where work runs
//!
//! A get and a put run on the caller's thread: a look-up in memory or in the block cache, else
//! one read per probed block; a put appends to the journal in the page cache. Handing each of
//! them to another thread costs several times the operation itself. What flushes, scans or
//! copies runs on a blocking thread or on the backend's own upkeep thread.
//!
//! [`EpochStore`]: cache_enterprise_core::coherence::EpochStore

mod backend;
mod config;
mod epochs;
mod error;
mod late;
mod marks;
mod record;
mod shelf;
mod source;
mod space;
mod upkeep;

pub use backend::{DiskBackend, DiskStats};
pub use config::Disk;
pub use source::DiskFactory;
pub use space::directory_bytes;
