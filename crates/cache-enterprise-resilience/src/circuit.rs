//! The circuit as a pure state machine: no lock, no clock, no I/O. [`breaker`](super::breaker)
//! drives it with dates and outcomes.
//!
//! ```text
//!            failures in the window                 open time over, first call
//!   Closed ------------------------------> Open ------------------------------> HalfOpen
//!     ^                                    ^  |                                  |   |
//!     |                                    |  +--- trip(): held until reset()    |   |
//!     |                                    +--------- a probe fails, time doubles+   |
//!     +------------------------------------------- enough probes succeed ------------+
//! ```
//!
//! Each change of phase begins a new *round*. A call carries the round in which it was let
//! through, and what it reports counts only in that round: a call that hung since before the
//! circuit opened neither closes nor opens it later.

use std::collections::VecDeque;
use std::time::Duration;

use cache_enterprise_core::{Millis, saturating_millis};

/// When a breaker opens, for how long, and what closes it again. A count of zero is read as one.
///
/// ```
/// use cache_enterprise_core::secs;
/// use cache_enterprise_resilience::CircuitBreakerConfig;
///
/// let patient = CircuitBreakerConfig {
///     recovery_timeout: secs(30),
///     ..CircuitBreakerConfig::default()
/// };
/// assert_eq!((patient.failure_threshold, patient.success_threshold), (5, 3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitBreakerConfig {
    /// So many failures within [`window`](Self::window) open the circuit. They are counted, not
    /// weighed against successes: set it higher for a tier with so many calls that rare faults
    /// are normal. Default 5.
    pub failure_threshold: u32,
    /// How long a failure counts. Default 10 s.
    pub window: Duration,
    /// How long the circuit stays open the first time; each failed recovery doubles it. Default
    /// 200 ms.
    pub recovery_timeout: Duration,
    /// The open time grows no further than this: what a backend that came back waits for at most,
    /// and how often a few callers wait in vain for one that did not. Default 400 ms.
    pub recovery_timeout_max: Duration,
    /// So many successful probes close the circuit, and at most so many run at a time. Default 3.
    pub success_threshold: u32,
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            window: Duration::from_secs(10),
            recovery_timeout: Duration::from_millis(200),
            recovery_timeout_max: Duration::from_millis(400),
            success_threshold: 3,
        }
    }
}

/// The phase of a circuit. Ordered from well to worst.
///
/// [`CircuitBreaker`](crate::CircuitBreaker) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakerState {
    /// Calls go through; failures are counted.
    Closed,
    /// A few calls go through as probes; the rest is answered as if open.
    HalfOpen,
    /// Calls are answered with an error at once.
    Open,
}

/// Proof that a call was let through, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round(u64);

impl Round {
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// How a call ended, as far as the circuit cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
    /// Says nothing about the backend: the call was dropped, or asked for what cannot be.
    Neutral,
}

#[derive(Debug)]
pub(crate) struct Circuit {
    config: CircuitBreakerConfig,
    phase: Phase,
    round: u64,
    /// How long the next opening lasts.
    open_ms: Millis,
}

#[derive(Debug)]
enum Phase {
    /// Dates of the latest failures, oldest first; never more than the threshold.
    Closed {
        failures: VecDeque<Millis>,
    },
    /// Until when; `None` is until `reset`.
    Open {
        until: Option<Millis>,
    },
    HalfOpen {
        running: u32,
        succeeded: u32,
    },
}

impl Circuit {
    pub(crate) fn new(config: CircuitBreakerConfig) -> Self {
        let config = CircuitBreakerConfig {
            failure_threshold: config.failure_threshold.max(1),
            success_threshold: config.success_threshold.max(1),
            recovery_timeout_max: config.recovery_timeout_max.max(config.recovery_timeout),
            ..config
        };
        let open_ms = saturating_millis(config.recovery_timeout);
        let phase = Phase::Closed { failures: VecDeque::new() };
        Self { config, phase, round: 0, open_ms }
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    pub(crate) fn round(&self) -> Round {
        Round(self.round)
    }

    /// Milliseconds until the circuit lets a probe through; `None` when only `reset` does, or
    /// when probes are running already.
    pub(crate) fn retry_in(&self, now: Millis) -> Option<Millis> {
        match self.phase {
            Phase::Open { until } => until.map(|until| until.saturating_sub(now)),
            Phase::Closed { .. } | Phase::HalfOpen { .. } => None,
        }
    }

    /// Whether a call now would be turned away before anything is asked.
    pub(crate) fn is_open_at(&self, now: Millis) -> bool {
        match self.phase {
            Phase::Open { until } => until.is_none_or(|until| until > now),
            Phase::Closed { .. } | Phase::HalfOpen { .. } => false,
        }
    }

    /// Lets a call through or not.
    pub(crate) fn admit(&mut self, now: Millis) -> Option<Round> {
        if matches!(self.phase, Phase::Open { until: Some(until) } if until <= now) {
            self.enter(Phase::HalfOpen { running: 0, succeeded: 0 });
        }
        match &mut self.phase {
            Phase::Closed { .. } => {}
            Phase::Open { .. } => return None,
            Phase::HalfOpen { running, .. } if *running >= self.config.success_threshold => {
                return None;
            }
            Phase::HalfOpen { running, .. } => *running += 1,
        }
        Some(self.round())
    }

    /// Notes how a call ended that was let through in `round`.
    pub(crate) fn settle(&mut self, round: Round, outcome: Outcome, now: Millis) {
        if round != self.round() {
            return;
        }
        match &mut self.phase {
            Phase::Closed { failures } => {
                if outcome == Outcome::Failure {
                    note_failure(failures, &self.config, now);
                    if failures.len() >= self.config.failure_threshold as usize {
                        self.open(now);
                    }
                }
            }
            Phase::Open { .. } => {}
            Phase::HalfOpen { running, succeeded } => {
                *running -= 1;
                match outcome {
                    Outcome::Success => *succeeded += 1,
                    Outcome::Failure => return self.open(now),
                    Outcome::Neutral => {}
                }
                if *succeeded >= self.config.success_threshold {
                    self.close();
                }
            }
        }
    }

    /// Opens the circuit until `close`.
    pub(crate) fn hold_open(&mut self) {
        self.enter(Phase::Open { until: None });
    }

    /// Closes the circuit and forgets every failure.
    pub(crate) fn close(&mut self) {
        self.open_ms = saturating_millis(self.config.recovery_timeout);
        self.enter(Phase::Closed { failures: VecDeque::new() });
    }

    /// Opens for the current open time and doubles the next one.
    fn open(&mut self, now: Millis) {
        self.enter(Phase::Open { until: Some(now + self.open_ms) });
        let longest = saturating_millis(self.config.recovery_timeout_max);
        self.open_ms = self.open_ms.saturating_mul(2).min(longest);
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.round += 1;
    }
}

/// Adds a failure and forgets those that left the window.
fn note_failure(failures: &mut VecDeque<Millis>, config: &CircuitBreakerConfig, now: Millis) {
    let window = saturating_millis(config.window);
    while failures.front().is_some_and(|date| now.saturating_sub(*date) >= window) {
        failures.pop_front();
    }
    failures.push_back(now);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig {
        failure_threshold: 3,
        window: Duration::from_millis(100),
        recovery_timeout: Duration::from_millis(20),
        recovery_timeout_max: Duration::from_millis(50),
        success_threshold: 2,
    };

    fn fail(circuit: &mut Circuit, now: Millis) {
        let round = circuit.admit(now).unwrap();
        circuit.settle(round, Outcome::Failure, now);
    }

    fn opened_at(now: Millis) -> Circuit {
        let mut circuit = Circuit::new(CONFIG);
        (0..3).for_each(|_| fail(&mut circuit, now));
        assert_eq!(circuit.state(), BreakerState::Open);
        circuit
    }

    #[test]
    fn failures_open_it_only_within_the_window() {
        let mut circuit = Circuit::new(CONFIG);
        for now in [0, 50, 100, 150, 200] {
            fail(&mut circuit, now);
            assert_eq!(circuit.state(), BreakerState::Closed, "at {now}");
        }
        fail(&mut circuit, 210);
        assert_eq!(circuit.state(), BreakerState::Open);
        assert_eq!(circuit.retry_in(215), Some(15));
    }

    #[test]
    fn it_refuses_until_its_time_is_over_to_the_millisecond() {
        let mut circuit = opened_at(1_000);
        assert_eq!((circuit.admit(1_019), circuit.is_open_at(1_019)), (None, true));
        assert_eq!(circuit.state(), BreakerState::Open);
        assert!(!circuit.is_open_at(1_020));
        assert!(circuit.admit(1_020).is_some());
        assert_eq!(circuit.state(), BreakerState::HalfOpen);
    }

    #[test]
    fn probes_are_limited_and_enough_of_them_close_it() {
        let mut circuit = opened_at(0);
        let (first, second) = (circuit.admit(20).unwrap(), circuit.admit(20).unwrap());
        assert_eq!(circuit.admit(20), None);
        circuit.settle(first, Outcome::Success, 21);
        assert_eq!(circuit.state(), BreakerState::HalfOpen);
        circuit.settle(second, Outcome::Success, 21);
        assert_eq!(circuit.state(), BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_tells_nothing_makes_room_for_another() {
        let mut circuit = opened_at(0);
        let (first, _second) = (circuit.admit(20).unwrap(), circuit.admit(20).unwrap());
        circuit.settle(first, Outcome::Neutral, 21);
        assert_eq!(circuit.state(), BreakerState::HalfOpen);
        assert!(circuit.admit(21).is_some());
        assert_eq!(circuit.admit(21), None);
    }

    #[test]
    fn each_failed_recovery_doubles_the_open_time_up_to_its_limit_and_closing_resets_it() {
        let mut circuit = opened_at(0);
        let mut now = 0;
        for expected in [20, 40, 50, 50] {
            assert_eq!(circuit.retry_in(now), Some(expected));
            now += expected;
            fail(&mut circuit, now);
        }
        now += 50;
        for _ in 0..2 {
            let round = circuit.admit(now).unwrap();
            circuit.settle(round, Outcome::Success, now);
        }
        (0..3).for_each(|_| fail(&mut circuit, now));
        assert_eq!(circuit.retry_in(now), Some(20));
    }

    #[test]
    fn calls_of_an_earlier_round_count_for_nothing() {
        let mut circuit = Circuit::new(CONFIG);
        let hung = circuit.admit(0).unwrap();
        (0..3).for_each(|_| fail(&mut circuit, 0));
        let probe = circuit.admit(20).unwrap();
        circuit.settle(hung, Outcome::Failure, 20);
        circuit.settle(hung, Outcome::Success, 20);
        assert_eq!(circuit.state(), BreakerState::HalfOpen);
        circuit.settle(probe, Outcome::Failure, 20);
        assert_eq!(circuit.state(), BreakerState::Open);
        circuit.settle(probe, Outcome::Success, 20);
        assert_eq!(circuit.state(), BreakerState::Open);
    }

    #[test]
    fn held_open_it_waits_for_a_hand_whatever_the_time() {
        let mut circuit = Circuit::new(CONFIG);
        circuit.hold_open();
        assert!(circuit.is_open_at(Millis::MAX));
        assert_eq!(circuit.admit(Millis::MAX), None);
        assert_eq!(circuit.retry_in(0), None);
        circuit.close();
        assert!(circuit.admit(0).is_some());
    }

    #[test]
    fn zero_counts_are_read_as_one() {
        let zero = CircuitBreakerConfig { failure_threshold: 0, success_threshold: 0, ..CONFIG };
        let mut circuit = Circuit::new(zero);
        assert!(circuit.admit(0).is_some());
        fail(&mut circuit, 0);
        let probe = circuit.admit(20).unwrap();
        circuit.settle(probe, Outcome::Success, 20);
        assert_eq!(circuit.state(), BreakerState::Closed);
    }
}
