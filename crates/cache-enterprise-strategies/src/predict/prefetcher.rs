//! A predictor behind its gate.

use cache_enterprise_core::{Millis, Result};

use super::{GateStats, Guess, NextAccess, Permit, Predictor, PrefetchBudget, PrefetchGate};

/// Told of each request, it names the keys to fetch before they are asked for.
///
/// It belongs to one task, which hears of requests late and in about their order; hits must not
/// wait for it.
///
/// ```
/// use cache_enterprise_strategies::predict::{NextAccess, NextAccessLimits, Prefetcher};
/// use cache_enterprise_strategies::predict::PrefetchBudget;
///
/// let next = NextAccess::new(NextAccessLimits::default())?;
/// let mut prefetcher = Prefetcher::new(Box::new(next), PrefetchBudget::default())?;
/// let mut fetch = Vec::new();
/// for _ in 0..100 {
///     for hash in [11, 12, 13] {
///         prefetcher.request(hash, 0, 1_000, |_| false, &mut fetch);
///     }
/// }
/// assert!(fetch.contains(&12), "what comes after 11");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Prefetcher {
    predictor: Box<dyn Predictor>,
    gate: PrefetchGate,
    guesses: Vec<Guess>,
}

impl Prefetcher {
    /// Fetches by the guesses of `predictor` within `budget`, once they have proved themselves.
    ///
    /// # Errors
    /// Those of [`PrefetchGate::new`].
    pub fn new(predictor: Box<dyn Predictor>, budget: PrefetchBudget) -> Result<Self> {
        Ok(Self { predictor, gate: PrefetchGate::new(budget)?, guesses: Vec::new() })
    }

    /// With what a [`NextAccess`] of default limits guesses.
    ///
    /// # Errors
    /// Those of [`PrefetchGate::new`].
    pub fn with_next_access(budget: PrefetchBudget) -> Result<Self> {
        let next = NextAccess::new(super::NextAccessLimits::default())?;
        Self::new(Box::new(next), budget)
    }

    /// The key of this hash was asked for at `now`. Adds to `fetch` what to fetch, each weighing
    /// about `bytes`; `holds` says of a hash whether level 1 has it already. Answers whether the
    /// key had been prefetched and was not asked for since.
    pub fn request(
        &mut self,
        hash: u64,
        now: Millis,
        bytes: u64,
        holds: impl Fn(u64) -> bool,
        fetch: &mut Vec<u64>,
    ) -> bool {
        let was_prefetched = self.gate.requested(hash);
        self.predictor.observe(hash);
        self.guesses.clear();
        self.predictor.predict(&mut self.guesses);
        for guess in &self.guesses {
            let is_new = guess.hash != hash && !holds(guess.hash);
            if is_new && self.gate.ask(guess.hash, bytes, now) == Permit::Fetch {
                fetch.push(guess.hash);
            }
        }
        was_prefetched
    }

    /// What came of the guesses so far.
    pub fn stats(&self) -> GateStats {
        self.gate.stats()
    }
}
