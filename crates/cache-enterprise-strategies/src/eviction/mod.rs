//! Eviction policies, and the list of their names.
//!
//! | name | policy | what it keeps of a hit |
//! |---|---|---|
//! | `fifo` | [`Fifo`] | nothing |
//! | `lru` | [`Lru`] | the order of use |
//! | `lfu` | [`Lfu`] | a fading count |
//! | `clock` | [`Clock`] | a mark |
//! | `slru` | [`Slru`] | the order of use |
//! | `2q` | [`TwoQ`] | the order of use of what came back |
//! | `arc` | [`ArcPolicy`] | the order of use |
//! | `lirs` | [`Lirs`] | the gap between uses |
//! | `sieve` | [`Sieve`] | a mark |
//! | `s3-fifo` | [`S3Fifo`] | a count up to 3 |
//! | `w-tinylfu` | [`WTinyLfu`] | the order of use and a fading count |
//! | `random` | [`Random`] | nothing |
//! | `ttl` | [`TtlFirst`] | nothing |
//! | `business-priority` | [`BusinessPriority`] | the order of use within a worth |
//! | `composite` | [`Composite`] | what its members keep |
//! | `adaptive` | [`Adaptive`] | count and gap |
//! | `learned` | [`Learned`] | count and two gaps |
//!
//! [`resolve`] finds one by its name, [`configure`] with other parameters than the usual. Queues of policies that have several are bounded by weight,
//! so that they mean the same whether the capacity counts entries or bytes.

mod adaptive;
mod arc;
mod business_priority;
mod clock;
mod composite;
mod configure;
mod dice;
mod fifo;
mod ghosts;
mod heap;
mod learned;
mod lfu;
mod lirs;
mod lists;
mod lru;
mod names;
mod parameters;
mod random;
mod reuse;
mod s3_fifo;
mod sieve;
mod sketch;
mod slru;
mod ttl;
mod two_q;
mod w_tinylfu;

pub use adaptive::Adaptive;
pub use arc::ArcPolicy;
pub use business_priority::BusinessPriority;
pub use clock::Clock;
pub use composite::Composite;
pub use configure::configure;
pub use fifo::Fifo;
pub use learned::{Learned, LearnedStatus};
pub use lfu::Lfu;
pub use lirs::Lirs;
pub use lru::Lru;
pub use names::resolve;
pub use random::Random;
pub use s3_fifo::S3Fifo;
pub use sieve::Sieve;
pub use slru::Slru;
pub use ttl::TtlFirst;
pub use two_q::TwoQ;
pub use w_tinylfu::WTinyLfu;

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
        Arc::new(Lfu::default()),
        Arc::new(Clock::default()),
        Arc::new(Slru::default()),
        Arc::new(TwoQ::default()),
        Arc::new(ArcPolicy),
        Arc::new(Lirs::default()),
        Arc::new(Sieve),
        Arc::new(S3Fifo::default()),
        Arc::new(WTinyLfu::default()),
        Arc::new(Random),
        Arc::new(TtlFirst),
        Arc::new(BusinessPriority::default()),
        Arc::new(Composite::default()),
        Arc::new(Adaptive::default()),
        Arc::new(Learned::default()),
    ]
}

#[cfg(test)]
mod tests {
    use cache_enterprise_core::{Candidate, PolicyShape, Slot};

    use super::*;

    #[test]
    fn what_is_expected_takes_no_memory_before_it_comes() {
        for factory in all() {
            let mut policy = factory.create(&PolicyShape::new(u64::MAX, usize::MAX, 1));
            policy.arrive(&Candidate::new(7, 1));
            policy.insert(Slot(0), &Candidate::new(7, 1));
        }
    }
}
