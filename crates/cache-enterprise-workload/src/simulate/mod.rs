//! Requests through an eviction policy, without a store: how often it misses and what it costs.
//!
//! A [`Replay`] is a file of requests in memory, each a hash. [`Simulator`] drives any
//! [`EvictionPolicy`](cache_enterprise_core::EvictionPolicy) over it and calls what a store would
//! call. [`opt`] and [`lru`] are the two ends of the scale, computed without any policy: what
//! perfect foresight would miss, and what the least recently used would. [`Score`] places a policy
//! between them.
//!
//! [`through_store`] sends the same requests through a store that holds values. Lives of objects play
//! no part, and sizes only where a [`Unit`] says so.
//!
//! ```
//! use cache_enterprise_workload::simulate::{Replay, lru, opt};
//!
//! // A loop over four objects through a cache of three: the least recently used never hits, and
//! // foresight keeps three and misses the fourth each time.
//! let keys = (0..40).map(|n| n % 4);
//! let replay = Replay::of_ids("loop", keys);
//! assert_eq!(lru(&replay, 3).misses, 40);
//! assert_eq!(opt(&replay, 3).misses, 13);
//! ```

mod cpu;
mod index;
mod lru;
mod opt;
mod replay;
mod score;
mod simulator;
mod store;

pub use cpu::CpuTimer;
pub use lru::lru;
pub use opt::opt;
pub use replay::{Replay, Unit, name_of};
pub use score::{Bounds, Score, capacity_of};
pub use simulator::{PolicyFault, Run, Simulator};
pub use store::through_store;

/// Cells of fewer objects than this say nothing about a policy and are left out.
pub const CAPACITY_MIN: usize = 32;

/// Fractions of the unique objects that a cache holds, unless others are asked for.
pub const FRACTIONS: [f64; 4] = [0.001, 0.01, 0.1, 0.3];
