//! How many retries an outage may cost.

use std::sync::atomic::{AtomicU32, Ordering};

/// Parts a token is counted in, so that a tenth of one is a whole number.
const PARTS: u32 = 100;

/// Most tokens a budget can hold without its parts leaving `u32`.
const TOKENS_LIMIT: u32 = u32::MAX / PARTS / 2;

/// A token bucket that retries are paid from, shared by all calls to one backend (or several).
///
/// A retry spends one token; a call that succeeds earns a part of one, a tenth by default. While
/// a backend is well the bucket is full and a rare fault is retried; while it is down nothing is
/// earned, the bucket empties after [`tokens_max`](Self::new) retries, and from then on the
/// backend sees the callers' own load and no more. In the long run retries are at most that part
/// of the successes. This is the retry budget of Finagle, without its share that flows in by
/// time alone.
///
/// Earning and spending are one atomic update each.
///
/// ```
/// use cache_enterprise_resilience::RetryBudget;
///
/// let budget = RetryBudget::new(2, 10);
/// assert!(budget.spend() && budget.spend());
/// assert!(!budget.spend());
/// (0..10).for_each(|_| budget.earn());
/// assert!(budget.spend());
/// ```
#[derive(Debug)]
pub struct RetryBudget {
    parts: AtomicU32,
    parts_max: u32,
    earned: u32,
}

impl RetryBudget {
    /// A full bucket of `tokens_max` tokens, in which each success earns `earned_percent` of a
    /// token (at most a whole one). Without tokens nothing is ever retried.
    pub fn new(tokens_max: u32, earned_percent: u32) -> Self {
        let parts_max = tokens_max.min(TOKENS_LIMIT) * PARTS;
        Self { parts: AtomicU32::new(parts_max), parts_max, earned: earned_percent.min(PARTS) }
    }

    /// Takes a token for one retry; `false` when there is none.
    pub fn spend(&self) -> bool {
        let take = |parts: u32| parts.checked_sub(PARTS);
        self.parts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Takes a token for what may come to nothing; none when there is none.
    pub(crate) fn take(&self) -> Option<Token<'_>> {
        self.spend().then(|| Token(self))
    }

    /// Notes a success.
    pub fn earn(&self) {
        self.add(self.earned);
    }

    fn add(&self, more: u32) {
        let capped = |parts: u32| parts.saturating_add(more).min(self.parts_max);
        let give = |parts: u32| (parts < self.parts_max).then(|| capped(parts));
        // A full bucket is left alone, so that a healthy backend costs a load and no write.
        let _ = self.parts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give);
    }

    /// Whole tokens left.
    pub fn tokens(&self) -> u32 {
        self.parts.load(Ordering::Relaxed) / PARTS
    }

    /// Whole tokens of a full bucket.
    pub fn tokens_max(&self) -> u32 {
        self.parts_max / PARTS
    }
}

/// A token that goes back when it is dropped, unless it was spent.
#[derive(Debug)]
#[must_use = "dropped at once, it is no token"]
pub(crate) struct Token<'a>(&'a RetryBudget);

impl Token<'_> {
    /// What it was taken for begins.
    pub(crate) fn spend(self) {
        std::mem::forget(self);
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        self.0.add(PARTS);
    }
}

impl Default for RetryBudget {
    /// Ten tokens, a tenth earned by each success.
    fn default() -> Self {
        Self::new(10, 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_successes_pay_one_retry_and_nothing_is_saved_over_the_top() {
        let budget = RetryBudget::default();
        (0..1_000).for_each(|_| budget.earn());
        assert_eq!(budget.tokens(), 10);
        while budget.spend() {}
        (0..9).for_each(|_| budget.earn());
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend());
        assert!(!budget.spend());
    }

    #[test]
    fn a_token_that_came_to_nothing_goes_back_and_none_over_the_top() {
        let budget = RetryBudget::new(2, 0);
        drop(budget.take());
        assert_eq!(budget.tokens(), 2);
        let (first, second) =
            (budget.take().expect("there is one"), budget.take().expect("there is one"));
        assert!(budget.take().is_none());
        first.spend();
        drop(second);
        assert_eq!(budget.tokens(), 1);
        let last = budget.take().expect("there is one");
        (0..3).for_each(|_| budget.add(PARTS));
        drop(last);
        assert_eq!(budget.tokens(), 2);
    }

    #[test]
    fn extremes_neither_overflow_nor_give_tokens_away() {
        let none = RetryBudget::new(0, u32::MAX);
        none.earn();
        assert!(!none.spend());
        let huge = RetryBudget::new(u32::MAX, u32::MAX);
        assert!(huge.spend());
        (0..3).for_each(|_| huge.earn());
        assert_eq!(huge.tokens(), TOKENS_LIMIT);
    }

    #[test]
    fn threads_spend_each_token_once() {
        let budget = RetryBudget::new(1_000, 10);
        let spent: usize = std::thread::scope(|scope| {
            let spend = || (0..1_000).filter(|_| budget.spend()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(spend)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
        });
        assert_eq!(spent, 1_000);
    }
}
