//! What the requests say of the cache: how much memory would help, which keys are hot, how soon
//! keys come back. Each looks at every request once, in bounded memory.
//!
//! | type | answers | memory |
//! |---|---|---|
//! | [`Shards`] | misses of an LRU cache of any size | about 130 bytes a sampled key, and 16 KiB |
//! | [`HotKeys`] | the keys asked for most, and how far the counts can be off | two keys and 50 bytes a counter |
//! | [`ReuseTimes`] | requests between two uses of a key | about 60 bytes a sampled key |
//!
//! ```
//! use cache_enterprise_strategies::insight::Shards;
//!
//! // A loop over a hundred objects: below a hundred nothing is hit, from there on all but the first.
//! let mut shards = Shards::new(8_192);
//! for n in 0..1_000_u64 {
//!     shards.record((n % 100).wrapping_mul(0x9e37_79b9_7f4a_7c15), 1);
//! }
//! let curve = shards.curve();
//! assert_eq!((curve.miss_ratio(50), curve.miss_ratio(128)), (1.0, 0.1));
//! ```

mod buckets;
mod curve;
mod hot_keys;
mod recency;
mod reuse;
mod sample;
mod shards;

pub use curve::MissRatioCurve;
pub use hot_keys::{HotKey, HotKeys};
pub use reuse::ReuseTimes;
pub use shards::Shards;
