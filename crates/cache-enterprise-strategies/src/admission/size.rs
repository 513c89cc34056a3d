//! Admission that remembers nothing.

use cache_enterprise_core::Result;

use super::AdmissionPolicy;
use crate::{StrategyContext, bounds};

/// Lets everything in.
///
/// ```
/// use cache_enterprise_strategies::StrategyContext;
/// use cache_enterprise_strategies::admission::{AdmissionPolicy, Always};
///
/// assert!(Always.admit(&StrategyContext::new("any")));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Always;

impl AdmissionPolicy for Always {
    fn admit(&self, _: &StrategyContext<'_>) -> bool {
        true
    }
}

/// Lets in what is neither too small to be worth an entry nor so big that many others would leave
/// for it. A weight that nobody knows comes in.
///
/// ```
/// use cache_enterprise_core::{KIB, MIB};
/// use cache_enterprise_strategies::StrategyContext;
/// use cache_enterprise_strategies::admission::{AdmissionPolicy, BySize};
///
/// let policy = BySize::at_most(MIB)?.at_least(KIB)?;
/// let admitted = |bytes| policy.admit(&StrategyContext::new("any").bytes(bytes));
/// assert!(admitted(KIB) && admitted(MIB) && !admitted(1) && !admitted(MIB + 1));
/// assert!(admitted(0), "a weight nobody knows");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BySize {
    least: u64,
    most: u64,
}

impl BySize {
    /// Up to `bytes`.
    ///
    /// # Errors
    /// When `bytes` is 0.
    pub fn at_most(bytes: u64) -> Result<Self> {
        Ok(Self { least: 0, most: bounds::within("bytes_max", bytes, 1..=u64::MAX)? })
    }

    /// From `bytes` on. The default is 0.
    ///
    /// # Errors
    /// When `bytes` is more than the most.
    pub fn at_least(mut self, bytes: u64) -> Result<Self> {
        self.least = bounds::within("bytes_min", bytes, 0..=self.most)?;
        Ok(self)
    }
}

impl AdmissionPolicy for BySize {
    fn admit(&self, context: &StrategyContext<'_>) -> bool {
        context.bytes == 0 || (self.least..=self.most).contains(&context.bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ranges_that_admit_nothing_are_refused() {
        assert!(BySize::at_most(0).unwrap_err().to_string().contains("bytes_max"));
        let error = BySize::at_most(10).unwrap().at_least(11).unwrap_err().to_string();
        assert!(error.contains("bytes_min, range: 0..=10"), "{error}");
    }
}
