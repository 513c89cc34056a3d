//! Whether a value found below level 1 climbs.

use std::fmt;

use cache_enterprise_core::Result;

use crate::bounds;
use crate::sketch::Sketch;

/// Decides whether a value that was found in a tier is copied to the levels above it. Asked once
/// per read that a tier answered: it must not block.
///
/// ```
/// use cache_enterprise_strategies::admission::PromotionPolicy;
///
/// /// Half of the keys climb.
/// #[derive(Debug)]
/// struct Half;
///
/// impl PromotionPolicy for Half {
///     fn promote(&self, hash: u64) -> bool {
///         hash % 2 == 0
///     }
/// }
/// # assert!(Half.promote(2) && !Half.promote(3));
/// ```
pub trait PromotionPolicy: fmt::Debug + Send + Sync + 'static {
    /// Whether the value of the key with this hash climbs at this read.
    fn promote(&self, hash: u64) -> bool;
}

/// Lets a value climb once a tier has answered so many reads of its key lately.
///
/// Memory and cost are those of [`ByFrequency`](super::ByFrequency).
///
/// ```
/// use cache_enterprise_strategies::admission::{PromoteByHeat, PromotionPolicy};
///
/// let policy = PromoteByHeat::new(3, 10_000)?;
/// assert_eq!([(); 4].map(|()| policy.promote(7)), [false, false, true, true]);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct PromoteByHeat {
    threshold: u32,
    sketch: Sketch,
}

impl PromoteByHeat {
    /// At the `threshold`-th read on, told for about `keys` keys.
    ///
    /// # Errors
    /// When `threshold` does not lie in 1 to 128 or `keys` not in 64 to 2^28.
    pub fn new(threshold: u32, keys: usize) -> Result<Self> {
        let threshold = bounds::within("promotion_threshold", threshold, 1..=128)?;
        Ok(Self { threshold, sketch: Sketch::new(bounds::within("keys", keys, 64..=1 << 28)?) })
    }
}

impl PromotionPolicy for PromoteByHeat {
    fn promote(&self, hash: u64) -> bool {
        self.sketch.add(hash) >= self.threshold
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let error = PromoteByHeat::new(0, 64).unwrap_err().to_string();
        assert!(error.contains("promotion_threshold, range: 1..=128"), "{error}");
        assert!(PromoteByHeat::new(1, 63).unwrap_err().to_string().contains("keys"));
    }
}
