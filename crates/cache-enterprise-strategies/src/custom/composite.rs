//! Several strategies as one.

use std::sync::Arc;
use std::time::Duration;

use super::CacheStrategy;
use crate::StrategyContext;
use crate::admission::AdmissionPolicy;
use crate::lifetime::{LifetimeStrategy, Refresh};

/// Several strategies in the order of a list: a value is cached if all agree, lives as long as the
/// first says that has an opinion, is worth the mean of what they say, and stands in the first class
/// that one names.
///
/// ```
/// use std::sync::Arc;
///
/// use cache_enterprise_core::{KIB, mins};
/// use cache_enterprise_strategies::admission::BySize;
/// use cache_enterprise_strategies::lifetime::FixedTtl;
/// use cache_enterprise_strategies::{
///     CacheStrategy, Composite, StrategyContext, WithAdmission, WithLifetime,
/// };
///
/// let both = Composite::new([
///     Arc::new(WithAdmission(BySize::at_most(64 * KIB)?)) as Arc<dyn CacheStrategy>,
///     Arc::new(WithLifetime(FixedTtl::new(mins(5))?)),
/// ]);
/// let small = StrategyContext::new("page").bytes(100);
/// assert!(both.should_cache(&small) && both.ttl(&small) == Some(mins(5)));
/// assert!(!both.should_cache(&StrategyContext::new("film").bytes(1 << 30)));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Composite(Vec<Arc<dyn CacheStrategy>>);

impl Composite {
    /// These strategies in this order. None at all caches everything and has no opinion.
    pub fn new(strategies: impl IntoIterator<Item = Arc<dyn CacheStrategy>>) -> Self {
        Self(strategies.into_iter().collect())
    }
}

impl CacheStrategy for Composite {
    /// Asks every strategy, also after the first refusal: one that counts requests must see all.
    fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
        let refused = self.0.iter().filter(|strategy| !strategy.should_cache(context));
        refused.count() == 0
    }

    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        self.0.iter().find_map(|strategy| strategy.ttl(context))
    }

    fn score(&self, context: &StrategyContext<'_>) -> f64 {
        let usable = |score: &f64| score.is_finite() && *score > 0.0;
        let scores = self.0.iter().map(|strategy| strategy.score(context));
        let (sum, count) = scores.filter(usable).fold((0.0, 0_u32), |(sum, n), s| (sum + s, n + 1));
        if count == 0 { 1.0 } else { sum / f64::from(count) }
    }

    fn class(&self, context: &StrategyContext<'_>) -> u8 {
        let classes = self.0.iter().map(|strategy| strategy.class(context));
        classes.into_iter().find(|class| *class > 0).unwrap_or(0)
    }

    fn refreshed(&self, context: &StrategyContext<'_>, refresh: Refresh) {
        for strategy in &self.0 {
            strategy.refreshed(context, refresh);
        }
    }
}

/// A strategy of lifetime where a whole strategy is asked for.
///
/// [`Composite`] has an example.
#[derive(Clone, Copy, Debug)]
pub struct WithLifetime<L>(pub L);

impl<L: LifetimeStrategy> CacheStrategy for WithLifetime<L> {
    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        self.0.ttl(context)
    }

    fn refreshed(&self, context: &StrategyContext<'_>, refresh: Refresh) {
        self.0.refreshed(context, refresh);
    }
}

/// A policy of admission where a whole strategy is asked for.
///
/// [`Composite`] has an example.
#[derive(Clone, Copy, Debug)]
pub struct WithAdmission<A>(pub A);

impl<A: AdmissionPolicy> CacheStrategy for WithAdmission<A> {
    fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
        self.0.admit(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use cache_enterprise_core::secs;

    use super::*;

    #[derive(Debug, Default)]
    struct Says {
        caches: bool,
        ttl: Option<Duration>,
        score: f64,
        asked: AtomicU32,
    }

    impl CacheStrategy for Says {
        fn should_cache(&self, _: &StrategyContext<'_>) -> bool {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.caches
        }

        fn ttl(&self, _: &StrategyContext<'_>) -> Option<Duration> {
            self.ttl
        }

        fn score(&self, _: &StrategyContext<'_>) -> f64 {
            self.score
        }
    }

    fn says(caches: bool, ttl: Option<Duration>, score: f64) -> Arc<Says> {
        Arc::new(Says { caches, ttl, score, asked: AtomicU32::new(0) })
    }

    #[test]
    fn all_must_agree_and_all_are_asked() {
        let (no, yes) = (says(false, None, 1.0), says(true, None, 1.0));
        let both = Composite::new([Arc::clone(&no) as _, Arc::clone(&yes) as _]);
        assert!(!both.should_cache(&StrategyContext::new("k")));
        assert_eq!(yes.asked.load(Ordering::Relaxed), 1);
        let nobody = Composite::default();
        assert!(nobody.should_cache(&StrategyContext::new("k")));
        assert_eq!(nobody.ttl(&StrategyContext::new("k")), None);
    }

    #[test]
    fn the_first_answer_is_the_life_and_the_mean_is_the_worth() {
        let context = StrategyContext::new("k");
        let three = Composite::new([
            says(true, None, f64::NAN) as _,
            says(true, Some(secs(5)), 3.0) as _,
            says(true, Some(secs(9)), 1.0) as _,
        ]);
        assert_eq!(three.ttl(&context), Some(secs(5)));
        assert!((three.score(&context) - 2.0).abs() < 1e-9);
    }
}
