//! Successions and associations as one predictor.

use cache_enterprise_core::Result;

use super::associations::{AssociationLimits, Associations};
use super::successions::Successions;
use super::{Guess, Predictor};
use crate::bounds;

/// How much a [`NextAccess`] remembers and how sure it must be.
///
/// ```
/// use cache_enterprise_strategies::predict::NextAccessLimits;
///
/// assert_eq!(NextAccessLimits::default().guesses, 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NextAccessLimits {
    /// Contexts of one or two keys, 80 bytes each. The default is 16 384.
    pub contexts: usize,
    /// Guesses after one request at most. The default is 4.
    pub guesses: usize,
    /// Guesses below this are not made. The default is 0.4.
    pub confidence_min: f32,
    /// Limits of the associations.
    pub associations: AssociationLimits,
}

impl Default for NextAccessLimits {
    fn default() -> Self {
        Self {
            contexts: 16_384,
            guesses: 4,
            confidence_min: 0.4,
            associations: AssociationLimits::default(),
        }
    }
}

/// Guesses what is asked next by what came right after the last keys, and by what comes within some
/// requests of the last.
///
/// Memory: with the default limits about 2.7 MiB, made at once and never more. Cost of a request:
/// six buckets of four looked at, no allocation; each time 256 keys became comparable, one sort of
/// them.
///
/// ```
/// use cache_enterprise_strategies::predict::{NextAccess, NextAccessLimits, Predictor};
///
/// let mut next = NextAccess::new(NextAccessLimits::default())?;
/// for _ in 0..5 {
///     [11, 12, 13].into_iter().for_each(|hash| next.observe(hash));
/// }
/// let mut guesses = Vec::new();
/// next.observe(11);
/// next.predict(&mut guesses);
/// assert_eq!(guesses[0].hash, 12);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct NextAccess {
    limits: NextAccessLimits,
    successions: Successions,
    associations: Associations,
}

impl NextAccess {
    /// A predictor that knows nothing yet.
    ///
    /// # Errors
    /// When a limit is out of its range: `contexts` 64 to 2^24, `guesses` 1 to 8, `confidence_min`
    /// 0 to 1, and those of [`AssociationLimits::check`].
    pub fn new(limits: NextAccessLimits) -> Result<Self> {
        bounds::within("guesses", limits.guesses, 1..=8)?;
        bounds::within("confidence_min", limits.confidence_min, 0.0..=1.0)?;
        let contexts = bounds::within("contexts", limits.contexts, 64..=1 << 24)?;
        Ok(Self {
            limits,
            successions: Successions::new(contexts),
            associations: Associations::new(limits.associations)?,
        })
    }
}

impl Predictor for NextAccess {
    fn observe(&mut self, hash: u64) {
        // Both tables mark what is free with zero.
        self.successions.observe(hash.max(1));
        self.associations.observe(hash);
    }

    fn predict(&self, guesses: &mut Vec<Guess>) {
        let start = guesses.len();
        self.successions.predict(guesses);
        self.associations.predict(guesses);
        let own = &mut guesses[start..];
        own.sort_unstable_by(|a, b| {
            b.confidence.total_cmp(&a.confidence).then(a.hash.cmp(&b.hash))
        });
        // At most eight: looking through those kept is cheaper than a set.
        let mut kept = start;
        for at in start..guesses.len() {
            let guess = guesses[at];
            let is_known = guesses[start..kept].iter().any(|known| known.hash == guess.hash);
            let is_sure = guess.confidence >= self.limits.confidence_min;
            if !is_known && is_sure && kept - start < self.limits.guesses {
                guesses[kept] = guess;
                kept += 1;
            }
        }
        guesses.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_out_of_range_are_refused_by_name() {
        let named = |limits| NextAccess::new(limits).unwrap_err().to_string();
        let limits = NextAccessLimits::default();
        assert!(named(NextAccessLimits { guesses: 0, ..limits }).contains("guesses"));
        assert!(named(NextAccessLimits { contexts: 1, ..limits }).contains("contexts"));
        for confidence_min in [f32::NAN, -0.1, 1.1] {
            let text = named(NextAccessLimits { confidence_min, ..limits });
            assert!(text.contains("confidence_min, range: 0..=1"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn guesses_are_few_sure_sorted_and_each_key_once(
            stream in prop::collection::vec(0_u64..30, 0..1_000),
        ) {
            let mut next = NextAccess::new(NextAccessLimits {
                contexts: 64,
                associations: AssociationLimits {
                    recorded: 64, sources: 64, window: 8, support: 2, batch: 16,
                },
                ..NextAccessLimits::default()
            }).unwrap();
            for hash in stream {
                next.observe(hash);
                let mut guesses = vec![Guess::new(999, 0.0)];
                next.predict(&mut guesses);
                prop_assert_eq!(guesses.remove(0).hash, 999);
                prop_assert!(guesses.len() <= 4);
                prop_assert!(guesses.iter().all(|guess| guess.confidence >= 0.4));
                prop_assert!(guesses.is_sorted_by(|a, b| a.confidence >= b.confidence));
                let mut hashes: Vec<_> = guesses.iter().map(|guess| guess.hash).collect();
                hashes.sort_unstable();
                prop_assert!(hashes.windows(2).all(|two| two[0] != two[1]));
            }
        }
    }
}
