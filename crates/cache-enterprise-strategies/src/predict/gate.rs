//! Lets prefetches through while they are used, within a budget of bytes and of calls.
//!
//! The gate starts closed. A guess that is not fetched is watched: if the key is asked for within
//! the horizon, the guess was right. So a predictor proves itself before it costs anything, and
//! one that fails after the gate opened goes back to being watched.

use std::collections::{HashMap, VecDeque};

use cache_enterprise_core::{Millis, Result};

use crate::bounds;

/// Guesses that are followed at once; the oldest beyond counts as not used.
const OUTSTANDING_MAX: usize = 4_096;

/// Settled guesses on which the gate opens or closes.
const EVIDENCE: u32 = 64;

/// How much above the floor the share of right guesses must be for the gate to open: popular keys
/// come by chance.
const MARGIN: f64 = 0.2;

/// What prefetching may cost.
///
/// ```
/// use cache_enterprise_strategies::predict::PrefetchBudget;
///
/// let budget = PrefetchBudget { per_second: 5.0, ..PrefetchBudget::default() };
/// assert_eq!(budget.used_min, 0.2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrefetchBudget {
    /// Bytes prefetched per second, saved up for one second at most. The default is 8 MiB.
    pub bytes_per_second: f64,
    /// Prefetches per second, saved up for one second at most. The default is 100.
    pub per_second: f64,
    /// The gate closes when a smaller share of what was prefetched was used. The default is 0.2.
    pub used_min: f64,
    /// A guess is right if its key is asked for within so many requests. The longer, the more guesses
    /// are right by chance. The default is 200.
    pub horizon: u32,
}

impl Default for PrefetchBudget {
    fn default() -> Self {
        let bytes_per_second = (8_u32 << 20).into();
        Self { bytes_per_second, per_second: 100.0, used_min: 0.2, horizon: 200 }
    }
}

/// What the gate says to a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Fetch it.
    Fetch,
    /// Do not fetch it; the gate watches whether it would have been used.
    Watch,
    /// Do not fetch it: it is followed already, or the budget is spent.
    Refuse,
}

/// What came of guesses so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct GateStats {
    /// Whether guesses are let through.
    pub is_open: bool,
    /// Guesses let through.
    pub fetched: u64,
    /// Of those, asked for within the horizon.
    pub used: u64,
    /// Of those, not asked for within the horizon.
    pub wasted: u64,
    /// Bytes of those.
    pub bytes_wasted: u64,
    /// Guesses that were only watched, and are settled.
    pub watched: u64,
    /// Of those, right.
    pub watched_right: u64,
    /// Guesses turned away because the budget was spent.
    pub over_budget: u64,
    /// How often the gate closed.
    pub closed: u64,
}

impl GateStats {
    /// The share of settled prefetches that were used; 0 before the first.
    ///
    /// ```
    /// use cache_enterprise_strategies::predict::GateStats;
    ///
    /// assert_eq!(GateStats::default().precision(), 0.0);
    /// ```
    pub fn precision(&self) -> f64 {
        let settled = self.used + self.wasted;
        if settled == 0 { 0.0 } else { self.used as f64 / settled as f64 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Followed {
    bytes: u64,
    /// The request number until which it must come.
    until: u64,
    is_fetched: bool,
}

/// The gate before prefetches: told of every request, asked before every prefetch.
///
/// Memory: 4 096 guesses followed at most, about 300 KiB. Cost: one table look-up per request and
/// two per guess.
///
/// ```
/// use cache_enterprise_strategies::predict::{Permit, PrefetchBudget, PrefetchGate};
///
/// let mut gate = PrefetchGate::new(PrefetchBudget::default())?;
/// assert_eq!(gate.ask(0, 100, 0), Permit::Watch, "a guess proves itself first");
/// for hash in 0..70 {
///     gate.requested(hash);
///     gate.ask(hash + 1, 100, 0);
/// }
/// assert_eq!(gate.ask(99, 100, 0), Permit::Fetch);
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug)]
pub struct PrefetchGate {
    budget: PrefetchBudget,
    requests: u64,
    followed: HashMap<u64, Followed>,
    /// In the order of their ends. Those settled early leave a gap, told by another end.
    order: VecDeque<(u64, u64)>,
    bytes: Allowance,
    calls: Allowance,
    /// Right and settled guesses since the gate last moved or the evidence was last halved.
    right: u32,
    settled: u32,
    stats: GateStats,
}

/// A bucket of tokens that holds what comes in within a second.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    per_second: f64,
    left: f64,
    filled_at: Millis,
}

impl PrefetchGate {
    /// A closed gate with a full budget.
    ///
    /// # Errors
    /// When `bytes_per_second` does not lie in 1 to 10^12, `per_second` not in 0.01 to 10^6,
    /// `used_min` not in 0.01 to 0.9, or `horizon` not in 1 to 10^6.
    pub fn new(budget: PrefetchBudget) -> Result<Self> {
        let bytes = bounds::within("bytes_per_second", budget.bytes_per_second, 1.0..=1e12)?;
        let calls = bounds::within("per_second", budget.per_second, 0.01..=1e6)?;
        bounds::within("used_min", budget.used_min, 0.01..=0.9)?;
        bounds::within("horizon", budget.horizon, 1..=1_000_000)?;
        Ok(Self {
            budget,
            requests: 0,
            followed: HashMap::new(),
            order: VecDeque::new(),
            bytes: Allowance { per_second: bytes, left: bytes, filled_at: 0 },
            calls: Allowance { per_second: calls, left: calls.max(1.0), filled_at: 0 },
            right: 0,
            settled: 0,
            stats: GateStats::default(),
        })
    }

    /// The key of this hash was asked for. Answers whether it had been prefetched and not used
    /// yet.
    pub fn requested(&mut self, hash: u64) -> bool {
        self.requests += 1;
        while let Some((oldest, until)) = self.order.front().copied()
            && until < self.requests
        {
            self.order.pop_front();
            self.end(oldest, until);
        }
        let Some(followed) = self.followed.remove(&hash) else { return false };
        self.settle(followed, true);
        followed.is_fetched
    }

    /// Whether to fetch the key of this hash at `now`, where `bytes` is what it may weigh. Ask only
    /// for keys that level 1 does not hold.
    pub fn ask(&mut self, hash: u64, bytes: u64, now: Millis) -> Permit {
        if self.followed.contains_key(&hash) {
            return Permit::Refuse;
        }
        let is_fetched = self.stats.is_open;
        if is_fetched && !self.spend(bytes, now) {
            self.stats.over_budget += 1;
            return Permit::Refuse;
        }
        if self.order.len() >= OUTSTANDING_MAX
            && let Some((oldest, until)) = self.order.pop_front()
        {
            self.end(oldest, until);
        }
        let until = self.requests + u64::from(self.budget.horizon);
        self.followed.insert(hash, Followed { bytes, until, is_fetched });
        self.order.push_back((hash, until));
        self.stats.fetched += u64::from(is_fetched);
        if is_fetched { Permit::Fetch } else { Permit::Watch }
    }

    /// What came of guesses so far.
    pub fn stats(&self) -> GateStats {
        self.stats
    }

    fn spend(&mut self, bytes: u64, now: Millis) -> bool {
        self.bytes.fill(now);
        self.calls.fill(now);
        let bytes = bytes as f64;
        let affordable = self.calls.left >= 1.0 && self.bytes.left >= bytes;
        if affordable {
            self.calls.left -= 1.0;
            self.bytes.left -= bytes;
        }
        affordable
    }

    /// The time of a guess is over, unless it was settled before.
    fn end(&mut self, hash: u64, until: u64) {
        if self.followed.get(&hash).is_some_and(|followed| followed.until == until)
            && let Some(followed) = self.followed.remove(&hash)
        {
            self.settle(followed, false);
        }
    }

    fn settle(&mut self, followed: Followed, was_right: bool) {
        let stats = &mut self.stats;
        match (followed.is_fetched, was_right) {
            (true, true) => stats.used += 1,
            (true, false) => {
                stats.wasted += 1;
                stats.bytes_wasted = stats.bytes_wasted.saturating_add(followed.bytes);
            }
            (false, right) => {
                stats.watched += 1;
                stats.watched_right += u64::from(right);
            }
        }
        // Watched guesses that end while the gate is open are old news, and the other way round.
        if followed.is_fetched == stats.is_open {
            self.settled += 1;
            self.right += u32::from(was_right);
            self.judge();
        }
    }

    fn judge(&mut self) {
        if self.settled < EVIDENCE {
            return;
        }
        let share = f64::from(self.right) / f64::from(self.settled);
        let opens = !self.stats.is_open && share >= self.budget.used_min + MARGIN;
        let closes = self.stats.is_open && share < self.budget.used_min;
        if opens || closes {
            self.stats.is_open = opens;
            self.stats.closed += u64::from(closes);
            (self.settled, self.right) = (0, 0);
        } else if self.settled >= 2 * EVIDENCE {
            (self.settled, self.right) = (self.settled / 2, self.right / 2);
        }
    }
}

impl Allowance {
    fn fill(&mut self, now: Millis) {
        let passed = now.saturating_sub(self.filled_at) as f64 / 1e3;
        self.filled_at = self.filled_at.max(now);
        // A rate below one a second must still be able to save up for one.
        let most = self.per_second.max(1.0);
        self.left = (self.left + passed * self.per_second).min(most);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn gate(budget: PrefetchBudget) -> PrefetchGate {
        PrefetchGate::new(budget).unwrap()
    }

    fn opened(budget: PrefetchBudget) -> PrefetchGate {
        let mut gate = gate(budget);
        for hash in 0..u64::from(EVIDENCE) {
            gate.ask(hash, 0, 0);
            gate.requested(hash);
        }
        assert!(gate.stats().is_open);
        gate
    }

    #[test]
    fn budgets_out_of_range_are_refused_by_name() {
        let named = |budget| PrefetchGate::new(budget).unwrap_err().to_string();
        let budget = PrefetchBudget::default();
        for rate in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
            let text = named(PrefetchBudget { per_second: rate, ..budget });
            assert!(text.contains("parameter: per_second"), "{text}");
            let text = named(PrefetchBudget { bytes_per_second: rate, ..budget });
            assert!(text.contains("bytes_per_second"), "{text}");
        }
        assert!(named(PrefetchBudget { used_min: 0.95, ..budget }).contains("used_min"));
        assert!(named(PrefetchBudget { horizon: 0, ..budget }).contains("horizon"));
    }

    #[test]
    fn it_closes_when_under_a_fifth_is_used_and_opens_again() {
        let mut gate = opened(PrefetchBudget { horizon: 10, ..PrefetchBudget::default() });
        let mut hash = 1_000;
        let mut round = |gate: &mut PrefetchGate, is_right: bool| {
            hash += 2;
            gate.ask(hash, 10, hash * 100);
            gate.requested(if is_right { hash } else { hash + 1 });
        };
        for at in 0..200 {
            round(&mut gate, at % 10 == 0);
        }
        let stats = gate.stats();
        assert!(!stats.is_open && stats.closed == 1, "{stats:?}");
        assert!(stats.fetched < 150, "{stats:?}");
        for _ in 0..100 {
            round(&mut gate, true);
        }
        assert!(gate.stats().is_open);
    }

    #[test]
    fn the_budget_is_kept_by_bytes_and_by_calls() {
        let budget = PrefetchBudget {
            bytes_per_second: 1_000.0,
            per_second: 3.0,
            ..PrefetchBudget::default()
        };
        let mut gate = opened(budget);
        let mut ask = |hash: u64, bytes, now| gate.ask(1_000 + hash, bytes, now);
        assert_eq!(ask(1, 900, 0), Permit::Fetch);
        assert_eq!(ask(2, 200, 0), Permit::Refuse);
        assert_eq!(ask(2, 100, 0), Permit::Fetch);
        assert_eq!(ask(3, 0, 0), Permit::Fetch);
        assert_eq!(ask(4, 0, 0), Permit::Refuse);
        assert_eq!(ask(4, 500, 600), Permit::Fetch);
        assert_eq!(ask(5, 500, 600), Permit::Refuse);
        assert_eq!(ask(1, 0, 9_999), Permit::Refuse, "followed already");
        assert_eq!(gate.stats().over_budget, 3);
    }

    proptest! {
        #[test]
        fn whatever_happens_the_books_balance(
            steps in prop::collection::vec((0_u64..200, any::<bool>(), 0_u64..100), 0..2_000),
        ) {
            let mut gate = gate(PrefetchBudget { horizon: 20, ..PrefetchBudget::default() });
            let mut now = 0;
            for (hash, is_guess, passed) in steps {
                now += passed;
                if is_guess {
                    gate.ask(hash, hash, now);
                } else {
                    gate.requested(hash);
                }
                let stats = gate.stats();
                let open = gate.followed.values().filter(|followed| followed.is_fetched).count();
                prop_assert_eq!(stats.fetched, stats.used + stats.wasted + open as u64);
                prop_assert!(gate.order.len() <= OUTSTANDING_MAX);
                prop_assert!(gate.followed.len() <= gate.order.len());
            }
        }
    }
}
