//! Policies of one queue: FIFO, LRU, CLOCK, SIEVE, and S3-FIFO of two.

use cache_enterprise_core::Candidate;
use cache_enterprise_strategies::eviction::{Clock, Fifo, Lru, S3Fifo, Sieve};
use proptest::prelude::*;

use crate::driver::{Line, Names, Plain, Thing, agree, steps};

/// FIFO, or LRU where a use moves an entry to the end.
#[derive(Default)]
struct PlainQueue {
    line: Line,
    by_use: bool,
}

impl Plain for PlainQueue {
    fn hit(&mut self, hash: u64) {
        if self.by_use {
            let thing = self.line.take(hash).unwrap();
            self.line.push(thing);
        }
    }

    fn victim(&mut self, _: Option<&Candidate>) -> Option<u64> {
        self.line.oldest()
    }

    fn insert(&mut self, newcomer: &Candidate) {
        self.line.push(Thing::new(newcomer));
    }

    fn update(&mut self, candidate: &Candidate) {
        self.hit(candidate.hash);
    }

    fn remove(&mut self, hash: u64, _: bool) {
        self.line.take(hash);
    }
}

/// CLOCK: whoever was hit goes to the end with one hit fewer.
#[derive(Default)]
struct PlainClock {
    line: Line,
    rounds: u64,
}

impl Plain for PlainClock {
    fn hit(&mut self, hash: u64) {
        let rounds = self.rounds;
        let thing = self.line.get(hash).unwrap();
        thing.count = (thing.count + 1).min(rounds);
    }

    fn victim(&mut self, _: Option<&Candidate>) -> Option<u64> {
        while self.line.0.first()?.count > 0 {
            let mut thing = self.line.take_oldest()?;
            thing.count -= 1;
            self.line.push(thing);
        }
        self.line.oldest()
    }

    fn insert(&mut self, newcomer: &Candidate) {
        self.line.push(Thing::new(newcomer));
    }

    fn update(&mut self, _: &Candidate) {}

    fn remove(&mut self, hash: u64, _: bool) {
        self.line.take(hash);
    }
}

/// SIEVE: the hand is an index; 0 is the oldest.
#[derive(Default)]
struct PlainSieve {
    line: Line,
    hand: usize,
}

impl Plain for PlainSieve {
    fn hit(&mut self, hash: u64) {
        self.line.get(hash).unwrap().count = 1;
    }

    fn victim(&mut self, _: Option<&Candidate>) -> Option<u64> {
        loop {
            if self.hand >= self.line.0.len() {
                self.hand = 0;
            }
            let thing = self.line.0.get_mut(self.hand)?;
            if thing.count == 0 {
                return Some(thing.hash);
            }
            thing.count = 0;
            self.hand += 1;
        }
    }

    fn insert(&mut self, newcomer: &Candidate) {
        // A hand that has walked past the newest starts again at the oldest.
        if self.hand >= self.line.0.len() {
            self.hand = 0;
        }
        self.line.push(Thing::new(newcomer));
    }

    fn update(&mut self, _: &Candidate) {}

    fn remove(&mut self, hash: u64, _: bool) {
        let at = self.line.0.iter().position(|thing| thing.hash == hash).unwrap();
        self.line.0.remove(at);
        if at < self.hand {
            self.hand -= 1;
        }
        if self.hand >= self.line.0.len() {
            self.hand = 0;
        }
    }
}

/// S3-FIFO of a tenth for newcomers and names of nine tenths.
#[derive(Default)]
struct PlainS3 {
    small: Line,
    main: Line,
    names: Names,
    small_max: u64,
    main_max: u64,
    full: bool,
    returns: bool,
}

impl Plain for PlainS3 {
    fn hit(&mut self, hash: u64) {
        let thing = self.small.get(hash).or(self.main.get(hash)).unwrap();
        thing.count = (thing.count + 1).min(3);
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        self.returns = self.names.take(newcomer.hash);
    }

    fn victim(&mut self, _: Option<&Candidate>) -> Option<u64> {
        self.full = true;
        loop {
            if self.main.weight() > self.main_max || self.small.0.is_empty() {
                let mut thing = *self.main.0.first()?;
                if thing.count == 0 {
                    return Some(thing.hash);
                }
                self.main.take_oldest();
                thing.count -= 1;
                self.main.push(thing);
            } else {
                let mut thing = *self.small.0.first()?;
                if thing.count < 2 {
                    return Some(thing.hash);
                }
                self.small.take_oldest();
                thing.count = 0;
                self.main.push(thing);
            }
        }
    }

    fn insert(&mut self, newcomer: &Candidate) {
        if self.returns || !self.full && self.small.weight() >= self.small_max {
            self.main.push(Thing::new(newcomer));
        } else {
            self.small.push(Thing::new(newcomer));
        }
    }

    fn update(&mut self, candidate: &Candidate) {
        let thing = self.small.get(candidate.hash).or(self.main.get(candidate.hash));
        thing.unwrap().weight = candidate.weight;
    }

    fn remove(&mut self, hash: u64, evicted: bool) {
        let entries = self.small.0.len() + self.main.0.len();
        if self.small.take(hash).is_none() {
            self.main.take(hash);
        } else if evicted {
            self.names.push(hash, entries * 9 / 10);
        }
    }

    fn resize(&mut self, capacity: u64) {
        let small = capacity / 10;
        if small > self.small_max {
            self.full = false;
        }
        self.small_max = small.max(1);
        self.main_max = capacity - self.small_max;
    }
}

proptest! {
    #[test]
    fn fifo_is_a_queue(steps in steps(4, true)) {
        agree(&Fifo, &mut PlainQueue::default(), 16, &steps);
    }

    #[test]
    fn lru_is_a_queue_by_use(steps in steps(4, true)) {
        agree(&Lru, &mut PlainQueue { by_use: true, ..Default::default() }, 16, &steps);
    }

    #[test]
    fn clock_gives_another_round(steps in steps(4, true), rounds in 1u8..4) {
        let mut plain = PlainClock { rounds: u64::from(rounds), ..Default::default() };
        agree(&Clock::default().rounds(rounds).unwrap(), &mut plain, 16, &steps);
    }

    #[test]
    fn sieve_leaves_everything_where_it_is(steps in steps(4, true)) {
        agree(&Sieve, &mut PlainSieve::default(), 16, &steps);
    }

    #[test]
    fn s3_fifo_promotes_and_remembers(steps in steps(1, false)) {
        agree(&S3Fifo::default(), &mut PlainS3::default(), 20, &steps);
    }

    #[test]
    fn s3_fifo_bounds_its_queues_by_weight(steps in steps(4, true)) {
        agree(&S3Fifo::default(), &mut PlainS3::default(), 30, &steps);
    }
}
