//! Policies of several lists: SLRU, 2Q, ARC and LIRS.

use cache_enterprise_core::Candidate;
use cache_enterprise_strategies::eviction::{ArcPolicy, Lirs, Slru, TwoQ};
use proptest::prelude::*;

use crate::driver::{Line, Names, Plain, Thing, agree, steps};

/// SLRU with four fifths protected.
#[derive(Default)]
struct PlainSlru {
    probation: Line,
    protected: Line,
    protected_max: u64,
}

impl Plain for PlainSlru {
    fn hit(&mut self, hash: u64) {
        let thing = self.probation.take(hash).or_else(|| self.protected.take(hash));
        self.protected.push(thing.unwrap());
        self.demote();
    }

    fn victim(&mut self, _: Option<&Candidate>) -> Option<u64> {
        self.probation.oldest().or(self.protected.oldest())
    }

    fn insert(&mut self, newcomer: &Candidate) {
        self.probation.push(Thing::new(newcomer));
    }

    fn update(&mut self, candidate: &Candidate) {
        let thing = self.probation.get(candidate.hash).or(self.protected.get(candidate.hash));
        thing.unwrap().weight = candidate.weight;
        self.hit(candidate.hash);
    }

    fn remove(&mut self, hash: u64, _: bool) {
        self.probation.take(hash).or_else(|| self.protected.take(hash));
    }

    fn resize(&mut self, capacity: u64) {
        self.protected_max = capacity * 4 / 5;
        self.demote();
    }
}

impl PlainSlru {
    fn demote(&mut self) {
        while self.protected.weight() > self.protected_max {
            let thing = self.protected.take_oldest().unwrap();
            self.probation.push(thing);
        }
    }
}

/// 2Q with a quarter for newcomers and names of half as many entries.
#[derive(Default)]
struct PlainTwoQ {
    entry: Line,
    main: Line,
    names: Names,
    entry_max: u64,
    returns: bool,
}

impl Plain for PlainTwoQ {
    fn hit(&mut self, hash: u64) {
        if let Some(thing) = self.main.take(hash) {
            self.main.push(thing);
        }
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        self.returns = self.names.take(newcomer.hash);
    }

    fn victim(&mut self, _: Option<&Candidate>) -> Option<u64> {
        if self.entry.weight() > self.entry_max || self.main.0.is_empty() {
            self.entry.oldest()
        } else {
            self.main.oldest()
        }
    }

    fn insert(&mut self, newcomer: &Candidate) {
        let line = if self.returns { &mut self.main } else { &mut self.entry };
        line.push(Thing::new(newcomer));
    }

    fn update(&mut self, candidate: &Candidate) {
        let thing = self.entry.get(candidate.hash).or(self.main.get(candidate.hash));
        thing.unwrap().weight = candidate.weight;
        self.hit(candidate.hash);
    }

    fn remove(&mut self, hash: u64, evicted: bool) {
        let entries = self.entry.0.len() + self.main.0.len();
        if self.entry.take(hash).is_none() {
            self.main.take(hash);
        } else if evicted {
            self.names.push(hash, entries / 2);
        }
    }

    fn resize(&mut self, capacity: u64) {
        self.entry_max = capacity / 4;
    }
}

/// ARC as the paper writes it, where the capacity in entries is what is in when room is missing.
#[derive(Default)]
struct PlainArc {
    t1: Line,
    t2: Line,
    b1: Names,
    b2: Names,
    p: u64,
    capacity: u64,
    in_b1: bool,
    in_b2: bool,
    drop_name: bool,
}

impl Plain for PlainArc {
    fn hit(&mut self, hash: u64) {
        let thing = self.t1.take(hash).or_else(|| self.t2.take(hash));
        self.t2.push(thing.unwrap());
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        let (b1, b2) = (self.b1.0.len() as u64, self.b2.0.len() as u64);
        self.in_b1 = self.b1.take(newcomer.hash);
        self.in_b2 = !self.in_b1 && self.b2.take(newcomer.hash);
        if self.in_b1 {
            self.p = (self.p + newcomer.weight * (b2 / b1).max(1)).min(self.capacity);
        } else if self.in_b2 {
            self.p = self.p.saturating_sub(newcomer.weight * (b1 / b2).max(1));
        }
    }

    fn victim(&mut self, newcomer: Option<&Candidate>) -> Option<u64> {
        self.drop_name = false;
        if newcomer.is_some() && !self.in_b1 && !self.in_b2 {
            let c = self.t1.0.len() + self.t2.0.len();
            if self.t1.0.len() + self.b1.0.len() >= c {
                // Case A of the paper.
                self.drop_name = self.b1.0.is_empty();
                self.b1.shrink((c - self.t1.0.len()).saturating_sub(1));
            } else {
                // Case B.
                self.b2.shrink((c - 1).saturating_sub(self.b1.0.len()));
            }
        }
        let t1 = self.t1.weight();
        if t1 > self.p || t1 == self.p && self.in_b2 {
            self.t1.oldest().or(self.t2.oldest())
        } else {
            self.t2.oldest().or(self.t1.oldest())
        }
    }

    fn insert(&mut self, newcomer: &Candidate) {
        let line = if self.in_b1 || self.in_b2 { &mut self.t2 } else { &mut self.t1 };
        line.push(Thing::new(newcomer));
        (self.in_b1, self.in_b2) = (false, false);
    }

    fn update(&mut self, candidate: &Candidate) {
        let thing = self.t1.get(candidate.hash).or(self.t2.get(candidate.hash));
        thing.unwrap().weight = candidate.weight;
        self.hit(candidate.hash);
    }

    fn remove(&mut self, hash: u64, evicted: bool) {
        let c = self.t1.0.len() + self.t2.0.len();
        let from_t1 = self.t1.take(hash).is_some();
        self.t2.take(hash);
        let keep = evicted && !self.drop_name;
        match from_t1 {
            true if keep => self.b1.push(hash, c),
            false if keep => self.b2.push(hash, c),
            _ => {}
        }
        self.drop_name = false;
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.p = self.p.min(capacity);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Low,
    High,
    Gone,
}

/// LIRS with the stack of the paper, pruned so that its bottom is always of the low set.
#[derive(Default)]
struct PlainLirs {
    /// Bottom first.
    stack: Vec<(u64, Kind)>,
    /// All entries of the high set, the next victim first.
    queue: Vec<u64>,
    weights: Vec<(u64, u64)>,
    low_max: u64,
    returns: bool,
}

impl Plain for PlainLirs {
    fn hit(&mut self, hash: u64) {
        let at = self.stack.iter().position(|(other, _)| *other == hash);
        if let Some(at) = at {
            self.stack.remove(at);
            self.stack.push((hash, Kind::Low));
            self.queue.retain(|other| *other != hash);
        } else {
            self.stack.push((hash, Kind::High));
            self.queue.retain(|other| *other != hash);
            self.queue.push(hash);
        }
        self.tidy();
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        let stood = self.stack.len();
        self.stack.retain(|(hash, _)| *hash != newcomer.hash);
        self.returns = self.stack.len() < stood;
    }

    fn victim(&mut self, _: Option<&Candidate>) -> Option<u64> {
        let low = self.stack.iter().find(|(_, kind)| *kind == Kind::Low);
        self.queue.first().copied().or(low.map(|(hash, _)| *hash))
    }

    fn insert(&mut self, newcomer: &Candidate) {
        let fits = self.low_weight() + newcomer.weight <= self.low_max;
        self.weights.push((newcomer.hash, newcomer.weight));
        if self.returns || fits {
            self.stack.push((newcomer.hash, Kind::Low));
        } else {
            self.stack.push((newcomer.hash, Kind::High));
            self.queue.push(newcomer.hash);
        }
        self.tidy();
    }

    fn update(&mut self, candidate: &Candidate) {
        self.weights.retain(|(hash, _)| *hash != candidate.hash);
        self.weights.push((candidate.hash, candidate.weight));
        self.hit(candidate.hash);
    }

    fn remove(&mut self, hash: u64, evicted: bool) {
        let entries = self.weights.len();
        self.weights.retain(|(other, _)| *other != hash);
        self.queue.retain(|other| *other != hash);
        let at = self.stack.iter().position(|(other, _)| *other == hash);
        let remembered = evicted && at.is_some_and(|at| self.stack[at].1 == Kind::High);
        match at {
            Some(at) if remembered => self.stack[at].1 = Kind::Gone,
            Some(at) => drop(self.stack.remove(at)),
            None => {}
        }
        self.tidy();
        let gone =
            |stack: &Vec<(u64, Kind)>| stack.iter().filter(|(_, kind)| *kind == Kind::Gone).count();
        while remembered && gone(&self.stack) > entries * 2 {
            let oldest = self.stack.iter().position(|(_, kind)| *kind == Kind::Gone);
            self.stack.remove(oldest.unwrap());
        }
    }

    fn resize(&mut self, capacity: u64) {
        self.low_max = capacity - (capacity / 20).max(1);
        self.tidy();
    }
}

impl PlainLirs {
    fn low_weight(&self) -> u64 {
        let low = self.stack.iter().filter(|(_, kind)| *kind == Kind::Low);
        low.map(|(hash, _)| self.weight(*hash)).sum()
    }

    fn weight(&self, hash: u64) -> u64 {
        self.weights.iter().find(|(other, _)| *other == hash).unwrap().1
    }

    fn tidy(&mut self) {
        self.prune();
        while self.low_weight() > self.low_max {
            let (hash, _) = self.stack.remove(0);
            self.queue.push(hash);
            self.prune();
        }
    }

    fn prune(&mut self) {
        while self.stack.first().is_some_and(|(_, kind)| *kind != Kind::Low) {
            self.stack.remove(0);
        }
    }
}

proptest! {
    #[test]
    fn slru_protects_what_was_hit(steps in steps(4, true)) {
        agree(&Slru::default(), &mut PlainSlru::default(), 16, &steps);
    }

    #[test]
    fn two_q_counts_who_comes_back(steps in steps(4, true)) {
        agree(&TwoQ::default(), &mut PlainTwoQ::default(), 16, &steps);
    }

    #[test]
    fn arc_moves_its_border_as_the_paper_does(steps in steps(1, false)) {
        agree(&ArcPolicy, &mut PlainArc::default(), 16, &steps);
    }

    #[test]
    fn arc_keeps_its_border_in_weight(steps in steps(4, true)) {
        agree(&ArcPolicy, &mut PlainArc::default(), 24, &steps);
    }

    #[test]
    fn lirs_needs_no_stack(steps in steps(1, false)) {
        agree(&Lirs::default(), &mut PlainLirs::default(), 44, &steps);
    }

    #[test]
    fn lirs_bounds_its_sets_by_weight(steps in steps(4, true)) {
        agree(&Lirs::default(), &mut PlainLirs::default(), 24, &steps);
    }
}
