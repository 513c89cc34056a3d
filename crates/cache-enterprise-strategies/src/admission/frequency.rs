//! Admission by how often a key was asked for.

use cache_enterprise_core::Result;

use super::AdmissionPolicy;
use crate::sketch::Sketch;
use crate::{StrategyContext, bounds};

/// Lets in values of keys that were on their way in at least so often lately: one-hit wonders stay
/// out. A sketch counts, so a key may be let in early by a collision, never late.
///
/// Unlike [`KthRequest`](super::KthRequest) it forgets by halving, not by key: what was popular
/// once comes back sooner.
///
/// Memory: 4 bytes a key of `keys`, rounded up to a power of two. Cost: four counters per store.
///
/// ```
/// use cache_enterprise_strategies::StrategyContext;
/// use cache_enterprise_strategies::admission::{AdmissionPolicy, ByFrequency};
///
/// let policy = ByFrequency::new(2, 10_000)?;
/// let context = StrategyContext::new("track:1");
/// assert!(!policy.admit(&context) && policy.admit(&context));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ByFrequency {
    least: u32,
    sketch: Sketch,
}

impl ByFrequency {
    /// From the `least`-th time on, told for about `keys` keys.
    ///
    /// # Errors
    /// When `least` does not lie in 1 to 128 or `keys` not in 64 to 2^28.
    pub fn new(least: u32, keys: usize) -> Result<Self> {
        let least = bounds::within("least", least, 1..=128)?;
        Ok(Self { least, sketch: Sketch::new(bounds::within("keys", keys, 64..=1 << 28)?) })
    }
}

impl AdmissionPolicy for ByFrequency {
    fn admit(&self, context: &StrategyContext<'_>) -> bool {
        self.sketch.add(context.hash) >= self.least
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        assert!(ByFrequency::new(0, 64).unwrap_err().to_string().contains("least"));
        assert!(ByFrequency::new(129, 64).unwrap_err().to_string().contains("least"));
        assert!(ByFrequency::new(1, 0).unwrap_err().to_string().contains("keys"));
    }

    #[test]
    fn what_comes_once_stays_out() {
        let policy = ByFrequency::new(3, 4_096).unwrap();
        let keys: Vec<_> = (0..1_000).map(|key| format!("once:{key}")).collect();
        let early = keys.iter().filter(|key| policy.admit(&StrategyContext::new(key))).count();
        assert!(early < 10, "{early}");
    }
}
