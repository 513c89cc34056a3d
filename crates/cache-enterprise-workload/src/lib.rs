//! Requests to measure a cache with: recorded ones from files, generated ones from a seed.
//!
//! Recorded requests come from three formats, read as streams in bounded memory:
//!
//! | format | file | reader |
//! |---|---|---|
//! | request trace | `NAME.ctr.zst`: 16-byte records in a Zstandard stream | [`TraceReader`] |
//! | access log | Common Log Format, Combined included | [`AccessLogReader`] |
//! | CSV | header `key[,time,size,tenant]` in any order | [`CsvReader`] |
//!
//! [`open`] looks at a file and picks the reader. Text formats skip what they cannot read, count it
//! in a [`Report`], and [`Report::check`] turns more than a tenth of skipped lines into an error.
//!
//! Generated requests come from [`Catalogue`]: tenants of unequal size whose keys follow a [`Zipf`]
//! law, the same for the same seed.
//!
//! [`simulate`] runs requests through an eviction policy, and computes what perfect foresight and
//! the least recently used would have missed.
//!
//! The crate holds no cache, no policy and no peer to compare with; those who replay the requests
//! bring them.
//!
//! ```
//! use cache_enterprise_workload as workload;
//!
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("visits.csv");
//! std::fs::write(&path, "key,size\n/home,512\n/about,2048\n/home,512\n")?;
//!
//! let mut requests = workload::open(&path)?;
//! let mut bytes = 0;
//! for request in requests.by_ref() {
//!     bytes += u64::from(request?.size);
//! }
//! requests.report().check()?;
//! assert_eq!((requests.report().read, bytes), (3, 3072));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod access_log;
pub mod csv;
pub mod trace;

pub mod scenario;
pub mod simulate;
pub mod zipf;

mod error;
mod hash;
mod lines;
mod open;
mod report;
mod request;
mod text;

pub use access_log::AccessLogReader;
pub use csv::CsvReader;
pub use error::{ParameterError, TraceError};
pub use open::{Format, Requests, open, open_as, scan, trace_stem};
pub use report::{Report, SkippedLine};
pub use request::{Request, RequestKey};
pub use scenario::{Catalogue, CatalogueConfig, Operation, OperationKind, Operations, Tenant};
pub use trace::{TraceReader, TraceWriter};
pub use zipf::Zipf;
