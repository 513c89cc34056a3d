//! Lifetimes that learn nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise_core::{Result, days, ms};

use super::{LifetimeStrategy, Refresh};
use crate::StrategyContext;
use crate::{bounds, hash};

/// The shortest and the longest life that a strategy may be set to: a millisecond, ten years.
pub(super) const SHORTEST: Duration = ms(1);
const LONGEST: Duration = days(3_650);

/// Every value lives equally long.
///
/// ```
/// use cache_enterprise_core::mins;
/// use cache_enterprise_strategies::StrategyContext;
/// use cache_enterprise_strategies::lifetime::{FixedTtl, LifetimeStrategy};
///
/// let five = FixedTtl::new(mins(5))?;
/// assert_eq!(five.ttl(&StrategyContext::new("any")), Some(mins(5)));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedTtl(Duration);

impl FixedTtl {
    /// A life of `ttl`.
    ///
    /// # Errors
    /// When `ttl` does not lie in 1 ms to 3 650 days.
    pub fn new(ttl: Duration) -> Result<Self> {
        bounds::lasting("ttl", ttl, SHORTEST..=LONGEST).map(Self)
    }
}

impl LifetimeStrategy for FixedTtl {
    fn ttl(&self, _: &StrategyContext<'_>) -> Option<Duration> {
        Some(self.0)
    }
}

/// Adds a random share to the life another strategy gives, so that values stored together do not
/// end together. Nothing ever lives shorter than the other strategy says.
///
/// ```
/// use cache_enterprise_core::secs;
/// use cache_enterprise_strategies::StrategyContext;
/// use cache_enterprise_strategies::lifetime::{FixedTtl, JitterTtl, LifetimeStrategy};
///
/// let jitter = JitterTtl::new(FixedTtl::new(secs(100))?, 0.1, 7)?;
/// let ttl = jitter.ttl(&StrategyContext::new("any")).expect("a fixed life is always one");
/// assert!((secs(100)..=secs(110)).contains(&ttl));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct JitterTtl<S> {
    inner: S,
    share: f64,
    /// Counts draws, so that the same key does not get the same share each time.
    drawn: AtomicU64,
}

impl<S: LifetimeStrategy> JitterTtl<S> {
    /// Up to `share` of the life that `inner` gives is added. The same seed gives the same draws
    /// in the same order of calls.
    ///
    /// # Errors
    /// When `share` does not lie in 0 to 1.
    pub fn new(inner: S, share: f64, seed: u64) -> Result<Self> {
        let share = bounds::within("share", share, 0.0..=1.0)?;
        Ok(Self { inner, share, drawn: AtomicU64::new(hash::mix(seed)) })
    }
}

impl<S: LifetimeStrategy> LifetimeStrategy for JitterTtl<S> {
    /// Jitters what is configured where the inner strategy has no opinion.
    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        let ttl = self.inner.ttl(context).or(context.configured)?;
        let draw = hash::unit(hash::pair(self.drawn.fetch_add(1, Ordering::Relaxed), context.hash));
        let more = Duration::try_from_secs_f64(ttl.as_secs_f64() * self.share * draw);
        Some(ttl.saturating_add(more.unwrap_or_default()))
    }

    fn refreshed(&self, context: &StrategyContext<'_>, refresh: Refresh) {
        self.inner.refreshed(context, refresh);
    }
}

/// A life for each kind of value; no opinion on the others. A look-up is a binary search.
///
/// ```
/// use cache_enterprise_core::{hours, mins};
/// use cache_enterprise_strategies::StrategyContext;
/// use cache_enterprise_strategies::lifetime::{LifetimeStrategy, TtlByDataType};
///
/// let by_type = TtlByDataType::new([("session", mins(30)), ("playlist", hours(6))])?;
/// let session = StrategyContext::new("s:1").data_type("session");
/// assert_eq!(by_type.ttl(&session), Some(mins(30)));
/// assert_eq!(by_type.ttl(&StrategyContext::new("x")), None);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TtlByDataType(Vec<(Box<str>, Duration)>);

impl TtlByDataType {
    /// Of two lives for one kind the first counts.
    ///
    /// # Errors
    /// When a life does not lie in 1 ms to 3 650 days.
    pub fn new<N: Into<Box<str>>>(lives: impl IntoIterator<Item = (N, Duration)>) -> Result<Self> {
        let checked = lives.into_iter().map(|(name, ttl)| {
            let name = name.into();
            match bounds::lasting("ttl", ttl, SHORTEST..=LONGEST) {
                Ok(ttl) => Ok((name, ttl)),
                Err(error) => Err(error.with("data_type", name)),
            }
        });
        let mut lives = checked.collect::<Result<Vec<_>>>()?;
        lives.sort_by(|(left, _), (right, _)| left.cmp(right));
        lives.dedup_by(|(later, _), (first, _)| later == first);
        Ok(Self(lives))
    }
}

impl LifetimeStrategy for TtlByDataType {
    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        let wanted = context.data_type?;
        let at = self.0.binary_search_by(|(name, _)| (**name).cmp(wanted)).ok()?;
        Some(self.0[at].1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cache_enterprise_core::{mins, secs};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lives_out_of_range_are_refused_by_name() {
        for ttl in [Duration::ZERO, days(4_000)] {
            assert!(FixedTtl::new(ttl).unwrap_err().to_string().contains("ttl"));
            let error = TtlByDataType::new([("session", ttl)]).unwrap_err().to_string();
            assert!(error.contains("data_type: session"), "{error}");
        }
        for share in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
            let fixed = FixedTtl::new(mins(1)).unwrap();
            assert!(JitterTtl::new(fixed, share, 0).unwrap_err().to_string().contains("0..=1"));
        }
    }

    #[test]
    fn of_two_lives_for_one_kind_the_first_counts() {
        let lives = TtlByDataType::new([("b", secs(1)), ("a", secs(2)), ("b", secs(3))]).unwrap();
        let ttl = |kind| lives.ttl(&StrategyContext::new("k").data_type(kind));
        assert_eq!((ttl("b"), ttl("a"), ttl("c")), (Some(secs(1)), Some(secs(2)), None));
    }

    #[test]
    fn jitter_spreads_what_is_stored_at_once() {
        let jitter = JitterTtl::new(FixedTtl::new(secs(1_000)).unwrap(), 0.2, 3).unwrap();
        let context = StrategyContext::new("same");
        let mut fifths = [0; 5];
        for _ in 0..5_000 {
            let more = jitter.ttl(&context).unwrap() - secs(1_000);
            fifths[(more.as_secs() / 40).min(4) as usize] += 1;
        }
        assert!(fifths.iter().all(|count| (800..1_200).contains(count)), "{fifths:?}");
    }

    proptest! {
        #[test]
        fn jitter_only_adds(millis in 1_u64..u64::from(u32::MAX), share in 0.0..=1.0_f64, seed: u64) {
            let ttl = ms(millis);
            let jitter = JitterTtl::new(FixedTtl::new(ttl).unwrap(), share, seed).unwrap();
            let got = jitter.ttl(&StrategyContext::new("key")).unwrap();
            prop_assert!(got >= ttl && got.as_secs_f64() <= ttl.as_secs_f64() * (1.0 + share) + 1e-6);
        }
    }
}
