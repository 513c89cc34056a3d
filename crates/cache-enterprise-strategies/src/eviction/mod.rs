//! Eviction policies, and the list of their names.
//!
//! | name | policy | what it keeps of a hit |
//! |---|---|---|
//! | `fifo` | [`Fifo`] | nothing |
//! | `lru` | [`Lru`] | the order of use |
//! | `clock` | [`Clock`] | a mark |
//! | `sieve` | [`Sieve`] | a mark |
//! | `s3-fifo` | [`S3Fifo`] | a count up to 3 |
//! | `adaptive` | [`Adaptive`] | count and gap |
//! | `learned` | [`Learned`] | count and two gaps |
//!
//! [`resolve`] finds one by its name. Queues of policies that have several are bounded by weight,
//! so that they mean the same whether the capacity counts entries or bytes.

mod adaptive;
mod clock;
mod fifo;
mod ghosts;
mod learned;
mod lists;
mod lru;
mod names;
mod parameters;
mod reuse;
mod s3_fifo;
mod sieve;

pub use adaptive::Adaptive;
pub use clock::Clock;
pub use fifo::Fifo;
pub use learned::{Learned, LearnedStatus};
pub use lru::Lru;
pub use names::resolve;
pub use s3_fifo::S3Fifo;
pub use sieve::Sieve;

use std::sync::Arc;

use cache_enterprise_core::PolicyFactory;

/// Every policy of this crate with its usual parameters, in the order documents list them.
///
/// ```
/// let names: Vec<_> = cache_enterprise_strategies::eviction::all()
///     .iter()
///     .map(|policy| policy.name().to_owned())
///     .collect();
/// assert!(names.contains(&"fifo".to_owned()));
/// ```
pub fn all() -> Vec<Arc<dyn PolicyFactory>> {
    vec![
        Arc::new(Fifo),
        Arc::new(Lru),
        Arc::new(Clock::default()),
        Arc::new(Sieve),
        Arc::new(S3Fifo::default()),
        Arc::new(Adaptive::default()),
        Arc::new(Learned::default()),
    ]
}
