//! Free ports on the loopback.
//!
//! All of them lie below the range from which systems take the near ends of outgoing connections
//! (32768 on Linux), so that no connection takes a port between the look and the start. Another
//! process may: then the server fails to bind, and its start is tried with another port.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use parking_lot::Mutex;

/// How far above its port a node of a Redis Cluster listens for the other nodes.
const BUS_OFFSET: u16 = 10_000;
/// Ports of servers; the nodes' second ports lie above them.
const RANGE: Range<u16> = 10_500..22_000;

static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that was free when it was taken; this process takes it once at a time.
#[derive(Debug)]
pub(super) struct Port(u16);

impl Port {
    /// Takes a port, together with its bus port when the server is a node of a cluster.
    pub(super) fn take(with_bus: bool) -> Self {
        let length = u64::from(RANGE.end - RANGE.start);
        // A new state differs from process to process, so they start to look at different places.
        let start = RandomState::new().hash_one(0) % length;
        let mut taken = TAKEN.lock();
        for step in 0..length {
            let offset = (start + step) % length;
            let port = RANGE.start + u16::try_from(offset).expect("is below the range's length");
            if taken.contains(&port) || !is_free(port) {
                continue;
            }
            if !with_bus || is_free(port + BUS_OFFSET) {
                taken.insert(port);
                return Port(port);
            }
        }
        panic!("no free port between {} and {}", RANGE.start, RANGE.end);
    }

    pub(super) fn number(&self) -> u16 {
        self.0
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        TAKEN.lock().remove(&self.0);
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_once() {
        let ports: Vec<Port> = (0..50).map(|_| Port::take(false)).collect();
        let numbers: BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 50);
        drop(ports);
        assert!(numbers.iter().all(|port| !TAKEN.lock().contains(port)));
    }

    #[test]
    fn the_bus_port_of_a_node_is_a_port() {
        const { assert!(RANGE.end < u16::MAX - BUS_OFFSET) }
        let port = Port::take(true);
        assert!(is_free(port.number() + BUS_OFFSET));
    }
}
