//! Two processes load one key under leases, time runs out, a removal comes in between: every order
//! of their steps.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken};
use cache_enterprise_core::{
    Backend, KeySpace, OpContext, Put, PutOutcome, Sequence, StoredKey, secs,
};
use cache_enterprise_testkit::coherence::SharedLeases;
use cache_enterprise_testkit::{Clock, ModelBackend};

/// Who takes the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    /// Asks for the lease, puts what it loaded, lets go.
    Process(usize),
    /// Every lease runs out.
    Time,
    /// The key ends.
    Remover,
}

const STEPS: [(Who, usize); 4] =
    [(Who::Process(0), 3), (Who::Process(1), 3), (Who::Time, 1), (Who::Remover, 1)];

/// A process that has the lease, and the number it loads under.
#[derive(Clone, Copy, Default)]
struct Process {
    steps: usize,
    held: Option<(LeaseToken, Sequence)>,
    has_let_go: bool,
    has_run_out: bool,
}

struct World {
    clock: Clock,
    tier: Arc<ModelBackend>,
    leases: SharedLeases,
    key: StoredKey,
    processes: [Process; 2],
    number: u64,
    newest_token: LeaseToken,
    removed: Sequence,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual();
        let tier = Arc::new(ModelBackend::new(clock.clone()));
        Self {
            leases: SharedLeases::new(tier.clone(), clock.clone()),
            key: KeySpace::new("shop", "", "users").unwrap().key(&1_u8).unwrap(),
            clock,
            tier,
            processes: [Process::default(); 2],
            number: 0,
            newest_token: LeaseToken(0),
            removed: Sequence(0),
        }
    }

    fn next(&mut self) -> Sequence {
        self.number += 1;
        Sequence(self.number)
    }

    async fn step(&mut self, who: Who) {
        match who {
            Who::Process(number) => self.proceed(number).await,
            Who::Time => {
                self.clock.advance(secs(10));
                self.processes.iter_mut().for_each(|process| process.has_run_out = true);
            }
            Who::Remover => {
                self.removed = self.next();
                self.tier.remove(&self.key, self.removed, &OpContext::default()).await.unwrap();
            }
        }
        let held = self.tier.get(&self.key, &OpContext::default()).await.unwrap();
        let version = held.map(|bytes| u64::from_le_bytes(bytes[..].try_into().unwrap()));
        assert!(version.is_none_or(|version| version >= self.removed.0), "{version:?} stayed");
    }

    async fn proceed(&mut self, number: usize) {
        self.processes[number].steps += 1;
        match (self.processes[number].steps, self.processes[number].held) {
            (1, _) => self.acquire(number).await,
            (2, Some((token, version))) => {
                let value = Bytes::copy_from_slice(&version.0.to_le_bytes());
                let how = Put { version, ..Put::default() };
                let put = self.leases.put(&self.key, value, how, token).await.unwrap();
                let may_put = token == self.newest_token && version >= self.removed;
                assert_eq!(put == PutOutcome::Stored, may_put, "{token:?} {version:?}");
            }
            (3, Some((token, _))) => {
                self.leases.release(&self.key, token).await.unwrap();
                self.processes[number].has_let_go = true;
            }
            _ => {}
        }
    }

    async fn acquire(&mut self, number: usize) {
        let other = self.processes[1 - number];
        let is_free = other.held.is_none() || other.has_let_go || other.has_run_out;
        let version = self.next();
        match self.leases.acquire(&self.key, secs(10)).await.unwrap() {
            Acquired::Held(token) => {
                assert!(is_free && token > self.newest_token, "{token:?}");
                self.newest_token = token;
                let process = &mut self.processes[number];
                (process.held, process.has_run_out) = (Some((token, version)), false);
            }
            Acquired::Busy(rest) => assert!(!is_free && rest <= secs(10), "{rest:?}"),
        }
    }
}

/// Every order of the steps that are left.
fn orders(left: &mut [(Who, usize)], order: &mut Vec<Who>, all: &mut Vec<Vec<Who>>) {
    if left.iter().all(|(_, steps)| *steps == 0) {
        all.push(order.clone());
    }
    for place in 0..left.len() {
        if left[place].1 > 0 {
            left[place].1 -= 1;
            order.push(left[place].0);
            orders(left, order, all);
            order.pop();
            left[place].1 += 1;
        }
    }
}

#[tokio::test]
async fn one_has_the_turn_and_who_comes_late_stores_nothing() {
    let mut all = Vec::new();
    orders(&mut STEPS.clone(), &mut Vec::new(), &mut all);
    assert_eq!(all.len(), 1_120);
    assert!(ModelBackend::new(Clock::manual()).capabilities().fence);
    for order in all {
        let mut world = World::new();
        for (place, who) in order.iter().enumerate() {
            // Seen where an assertion of the world fails.
            println!("{:?}", &order[..=place]);
            world.step(*who).await;
        }
    }
}
