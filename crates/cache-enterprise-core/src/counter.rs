//! Counters that many threads move at once.
//!
//! A locked addition costs as much as a quarter of a hit in level 1. So each counter has a row of
//! stripes, a living thread owns one index of all rows, and an owner adds with a plain load and a
//! plain store: nobody else writes there. Threads beyond the number of stripes share the last one
//! and pay for the locked addition. An index goes back when its thread ends.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The last stripe belongs to nobody: who has no stripe of its own adds there.
const STRIPES: usize = 16;
const SHARED: usize = STRIPES - 1;

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
    /// Adds `count`: one load and one store on this thread's stripe. No count is lost.
    #[inline]
    pub fn add(&self, count: u64) {
        let index = INDEX.get();
        if index < SHARED {
            let stripe = &self.stripes[index].0;
            stripe.store(stripe.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
        } else {
            self.add_unowned(count);
        }
    }

    #[cold]
    fn add_unowned(&self, count: u64) {
        let index = if INDEX.get() == UNKNOWN { take_index() } else { SHARED };
        self.stripes[index].0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum over all stripes; exact once writers are done.
    pub fn sum(&self) -> u64 {
        let sum = |sum: u64, stripe: &Stripe| sum.wrapping_add(stripe.0.load(Ordering::Relaxed));
        self.stripes.iter().fold(0, sum)
    }
}

/// Of a thread that has not added yet.
const UNKNOWN: usize = usize::MAX;

static STRIPES_OWNED: Owned = Owned::none();

thread_local! {
    /// The stripe this thread owns, [`SHARED`], or [`UNKNOWN`]. Without a destructor, so that
    /// reading it is one load.
    static INDEX: Cell<usize> = const { Cell::new(UNKNOWN) };
    /// Gives the index back when the thread ends.
    static OWNERSHIP: Ownership = const { Ownership };
}

struct Ownership;

impl Drop for Ownership {
    fn drop(&mut self) {
        // Destructors that run after this one count on the shared stripe.
        STRIPES_OWNED.give_back(INDEX.replace(SHARED));
    }
}

/// Makes the lowest stripe without an owner this thread's; the shared one if there is none, or if
/// the thread is ending.
fn take_index() -> usize {
    let is_living = OWNERSHIP.try_with(|_| ()).is_ok();
    let index = if is_living { STRIPES_OWNED.take() } else { SHARED };
    INDEX.set(index);
    index
}

/// Which stripes have an owner: one bit each.
struct Owned(AtomicU64);

impl Owned {
    const fn none() -> Self {
        Self(AtomicU64::new(1 << SHARED))
    }

    fn take(&self) -> usize {
        let with_one_more =
            |owned: u64| (owned.count_ones() < STRIPES as u32).then_some(owned | (owned + 1));
        // Acquire: the additions of the owner before are seen.
        match self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, with_one_more) {
            Ok(before) => before.trailing_ones() as usize,
            Err(_) => SHARED,
        }
    }

    fn give_back(&self, index: usize) {
        if index < SHARED {
            self.0.fetch_and(!(1 << index), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_lose_no_counts_also_when_there_are_more_than_stripes() {
        let counter = Counter::default();
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..2 * STRIPES {
                    scope.spawn(|| (0..1_000).for_each(|_| counter.add(1)));
                }
            });
        }
        assert_eq!(counter.sum(), 3 * 2 * STRIPES as u64 * 1_000);
    }

    #[test]
    fn an_index_has_one_owner_and_is_free_again_after_it() {
        let owned = Owned::none();
        let taken: Vec<_> = (0..SHARED).map(|_| owned.take()).collect();
        assert_eq!(taken, (0..SHARED).collect::<Vec<_>>());
        assert_eq!(owned.take(), SHARED, "nothing is left to own");
        owned.give_back(SHARED);
        assert_eq!(owned.take(), SHARED, "nobody owns the shared stripe");
        owned.give_back(7);
        assert_eq!((owned.take(), owned.take()), (7, SHARED));
    }
}
