//! The circuits of one breaker, a node each.
//!
//! A circuit is made when its node is first asked. The phase and the round of each are mirrored in
//! one atomic word, so that calls to a healthy node take no lock: they read the word, and a
//! success in a closed circuit changes nothing. Failures and everything in the other phases go
//! through the lock around the [`Circuit`]; it is held for a few comparisons and never across an
//! await or a callback.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::circuit::{BreakerState, Circuit, CircuitBreakerConfig, Round};

/// Circuits a breaker keeps. Nodes with higher numbers share those of lower ones: a bound on
/// memory that no cluster of a usual size meets.
pub(crate) const NODES_MAX: usize = 512;

/// The circuits by the number of their node.
#[derive(Debug)]
pub(crate) struct Circuits {
    config: CircuitBreakerConfig,
    slots: Box<[OnceLock<Box<NodeCircuit>>]>,
    /// Whether all of them, also those not made yet, are held open by hand. The lock is held
    /// while a circuit is made, so that none escapes the hand.
    all_held: Mutex<bool>,
}

impl Circuits {
    pub(crate) fn new(config: CircuitBreakerConfig) -> Self {
        let slots = (0..NODES_MAX).map(|_| OnceLock::new()).collect();
        Self { config, slots, all_held: Mutex::new(false) }
    }

    /// The circuit of a node, made if need be.
    pub(crate) fn of(&self, node: u32) -> &NodeCircuit {
        let slot = &self.slots[node as usize % NODES_MAX];
        if let Some(circuit) = slot.get() {
            return circuit;
        }
        let all_held = self.all_held.lock();
        slot.get_or_init(|| Box::new(NodeCircuit::new(self.config, *all_held)))
    }

    /// The phase of a node, without making a circuit for it.
    pub(crate) fn state_of(&self, node: u32) -> BreakerState {
        match self.slots[node as usize % NODES_MAX].get() {
            Some(circuit) => circuit.mirror().0,
            None if *self.all_held.lock() => BreakerState::Open,
            None => BreakerState::Closed,
        }
    }

    /// Changes every circuit, and those to be made: held open or not.
    pub(crate) fn hold_all(&self, is_held: bool, mut each: impl FnMut(u32, &NodeCircuit)) {
        *self.all_held.lock() = is_held;
        for (node, slot) in (0_u32..).zip(&self.slots) {
            if let Some(circuit) = slot.get() {
                each(node, circuit);
            }
        }
    }
}

/// One circuit and its mirror.
#[derive(Debug)]
pub(crate) struct NodeCircuit {
    circuit: Mutex<Circuit>,
    /// Phase and round in one word, written under the circuit's lock.
    mirror: AtomicU64,
}

impl NodeCircuit {
    fn new(config: CircuitBreakerConfig, is_held: bool) -> Self {
        let mut circuit = Circuit::new(config);
        if is_held {
            circuit.hold_open();
        }
        let mirror = AtomicU64::new(word(&circuit));
        Self { circuit: Mutex::new(circuit), mirror }
    }

    /// Phase and round as they were last written.
    pub(crate) fn mirror(&self) -> (BreakerState, Round) {
        let word = self.mirror.load(Ordering::Acquire);
        let state = match word & 0b11 {
            0 => BreakerState::Closed,
            1 => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        };
        (state, Round::from_number(word >> 2))
    }

    /// Looks at the circuit itself.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Circuit) -> T) -> T {
        look(&self.circuit.lock())
    }

    /// Changes the circuit and keeps the mirror equal to it; answers the phases before and after.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Circuit) -> T,
    ) -> (T, BreakerState, BreakerState) {
        let mut circuit = self.circuit.lock();
        let from = circuit.state();
        let answer = change(&mut circuit);
        let to = circuit.state();
        self.mirror.store(word(&circuit), Ordering::Release);
        (answer, from, to)
    }
}

fn word(circuit: &Circuit) -> u64 {
    let state = match circuit.state() {
        BreakerState::Closed => 0,
        BreakerState::Open => 1,
        BreakerState::HalfOpen => 2,
    };
    circuit.round().number() << 2 | state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circuit_made_while_all_are_held_is_open_too() {
        let circuits = Circuits::new(CircuitBreakerConfig::default());
        circuits.hold_all(true, |_, _| panic!("no circuit was made"));
        assert_eq!(circuits.state_of(3), BreakerState::Open);
        assert_eq!(circuits.of(3).mirror().0, BreakerState::Open);
        let mut seen = Vec::new();
        circuits.hold_all(false, |node, circuit| {
            seen.push(node);
            circuit.change(Circuit::close);
        });
        assert_eq!((seen.as_slice(), circuits.state_of(3)), (&[3][..], BreakerState::Closed));
        assert_eq!(circuits.state_of(4), BreakerState::Closed);
    }

    #[test]
    fn nodes_past_the_bound_share_circuits() {
        let circuits = Circuits::new(CircuitBreakerConfig::default());
        circuits.of(7).change(Circuit::hold_open);
        let twin = 7 + u32::try_from(NODES_MAX).expect("a small bound");
        assert_eq!(circuits.state_of(twin), BreakerState::Open);
        assert_eq!(circuits.state_of(u32::MAX), BreakerState::Closed);
    }
}
