//! Whether a value comes in at all, and whether one found further down climbs to level 1.
//!
//! | policy | a value comes in |
//! |---|---|
//! | [`Always`] | always |
//! | [`BySize`] | if its weight lies in a range |
//! | [`ByFrequency`] | if its key was asked for often lately, by a sketch |
//! | [`KthRequest`] | at the k-th request within a memory of so many keys |
//!
//! [`PromoteByHeat`] uses the same sketch for values found below level 1.

mod frequency;
mod kth;
mod promotion;
mod size;

pub use frequency::ByFrequency;
pub use kth::KthRequest;
pub use promotion::{PromoteByHeat, PromotionPolicy};
pub use size::{Always, BySize};

use std::fmt;

use crate::StrategyContext;

/// Decides whether a value is stored. Asked once for every value that was loaded or written, from
/// many threads at once: it must not block.
///
/// ```
/// use cache_enterprise_strategies::StrategyContext;
/// use cache_enterprise_strategies::admission::AdmissionPolicy;
///
/// /// What loads in no time need not be kept.
/// #[derive(Debug)]
/// struct Dear;
///
/// impl AdmissionPolicy for Dear {
///     fn admit(&self, context: &StrategyContext<'_>) -> bool {
///         context.load_time.is_none_or(|took| took.as_micros() > 100)
///     }
/// }
///
/// assert!(Dear.admit(&StrategyContext::new("unmeasured")));
/// ```
pub trait AdmissionPolicy: fmt::Debug + Send + Sync + 'static {
    /// Whether this value is stored.
    fn admit(&self, context: &StrategyContext<'_>) -> bool;
}
