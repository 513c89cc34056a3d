//! Counters that many threads move at once.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const STRIPES: usize = 16;

/// One cache line each, so that two threads seldom write the same line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

/// A counter in stripes: a thread adds to its own stripe, a reader sums all.
///
/// ```
/// let hits = cache_enterprise_core::Counter::default();
/// hits.add(2);
/// assert_eq!(hits.sum(), 2);
/// ```
#[derive(Debug, Default)]
pub struct Counter {
    stripes: [Stripe; STRIPES],
}

impl Counter {
    /// Adds `count`: one relaxed addition on this thread's stripe.
    #[inline]
    pub fn add(&self, count: u64) {
        self.stripes[stripe()].0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum over all stripes; exact once writers are done.
    pub fn sum(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }
}

/// The stripe of this thread: threads take numbers in turn.
#[inline]
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        let stripe = mine.get();
        if stripe != usize::MAX {
            return stripe;
        }
        let stripe = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
        mine.set(stripe);
        stripe
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_lose_no_counts() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| counter.add(1)));
            }
        });
        assert_eq!(counter.sum(), 4_000);
    }
}
