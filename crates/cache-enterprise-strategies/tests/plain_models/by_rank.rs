//! Policies that rank entries: LFU, the nearest end, and the worth to the business.

use cache_enterprise_core::Candidate;
use cache_enterprise_strategies::eviction::{BusinessPriority, Lfu, TtlFirst};
use proptest::prelude::*;

use crate::driver::{Plain, agree, steps};

#[derive(Clone, Copy, Debug)]
struct Ranked {
    of: Candidate,
    uses: u64,
    rank: u64,
    /// When it was used last, in steps.
    used: u64,
}

/// All entries in one vector; what leaves is the least by a key.
#[derive(Default)]
struct PlainRanks {
    all: Vec<Ranked>,
    now: u64,
    uses_max: u64,
    floor: u64,
}

impl PlainRanks {
    fn use_of(&mut self, hash: u64) -> &mut Ranked {
        self.now += 1;
        let entry = self.all.iter_mut().find(|entry| entry.of.hash == hash).unwrap();
        entry.used = self.now;
        entry
    }

    fn enter(&mut self, newcomer: &Candidate) {
        self.now += 1;
        let entry = Ranked { of: *newcomer, uses: 1, rank: self.floor + 1, used: self.now };
        self.all.push(entry);
    }

    fn leave(&mut self, hash: u64) {
        self.all.retain(|entry| entry.of.hash != hash);
    }
}

struct PlainLfu(PlainRanks);

impl Plain for PlainLfu {
    fn hit(&mut self, hash: u64) {
        let (uses_max, floor) = (self.0.uses_max, self.0.floor);
        let entry = self.0.use_of(hash);
        entry.uses = (entry.uses + 1).min(uses_max);
        entry.rank = floor + entry.uses;
    }

    fn victim(&mut self, _: Option<&Candidate>) -> Option<u64> {
        let least = self.0.all.iter().min_by_key(|entry| (entry.rank, entry.used))?;
        self.0.floor = least.rank;
        Some(least.of.hash)
    }

    fn insert(&mut self, newcomer: &Candidate) {
        self.0.enter(newcomer);
    }

    fn update(&mut self, candidate: &Candidate) {
        self.hit(candidate.hash);
    }

    fn remove(&mut self, hash: u64, _: bool) {
        self.0.leave(hash);
    }
}

struct PlainTtl(PlainRanks);

impl Plain for PlainTtl {
    fn hit(&mut self, _: u64) {}

    fn victim(&mut self, _: Option<&Candidate>) -> Option<u64> {
        let end = |entry: &&Ranked| (entry.of.ends_at.unwrap_or(u64::MAX), entry.used);
        self.0.all.iter().min_by_key(end).map(|entry| entry.of.hash)
    }

    fn insert(&mut self, newcomer: &Candidate) {
        self.0.enter(newcomer);
    }

    fn update(&mut self, candidate: &Candidate) {
        self.0.use_of(candidate.hash).of = *candidate;
    }

    fn remove(&mut self, hash: u64, _: bool) {
        self.0.leave(hash);
    }
}

/// Class 1 keeps a quarter and class 2 an eighth.
struct PlainBusiness {
    ranks: PlainRanks,
    capacity: u64,
}

impl PlainBusiness {
    fn floor(&self, class: u8) -> u64 {
        match class {
            1 => self.capacity / 4,
            2 => self.capacity / 8,
            _ => 0,
        }
    }

    fn class_weight(&self, class: u8) -> u64 {
        let own = self.ranks.all.iter().filter(|entry| entry.of.class == class);
        own.map(|entry| entry.of.weight).sum()
    }
}

impl Plain for PlainBusiness {
    fn hit(&mut self, hash: u64) {
        self.ranks.use_of(hash);
    }

    fn victim(&mut self, newcomer: Option<&Candidate>) -> Option<u64> {
        // Of a class and a worth the least recently used one is asked whether it may leave.
        let fronts = self.ranks.all.iter().filter(|entry| {
            let same = |other: &&Ranked| {
                (other.of.class, other.of.worth) == (entry.of.class, entry.of.worth)
            };
            let peers = self.ranks.all.iter().filter(same);
            peers.map(|other| other.used).min() == Some(entry.used)
        });
        let may_leave = |entry: &&Ranked| {
            let class = entry.of.class;
            newcomer.is_some_and(|newcomer| newcomer.class == class)
                || self.class_weight(class) >= self.floor(class) + entry.of.weight
        };
        let least = |left: &&Ranked, right: &&Ranked| {
            left.of.worth.total_cmp(&right.of.worth).then(left.used.cmp(&right.used))
        };
        let victim = fronts.filter(may_leave).min_by(least);
        victim.or_else(|| self.ranks.all.iter().min_by(least)).map(|entry| entry.of.hash)
    }

    fn insert(&mut self, newcomer: &Candidate) {
        self.ranks.enter(newcomer);
    }

    fn update(&mut self, candidate: &Candidate) {
        self.ranks.use_of(candidate.hash).of = *candidate;
    }

    fn remove(&mut self, hash: u64, _: bool) {
        self.ranks.leave(hash);
    }

    fn resize(&mut self, capacity: u64) {
        self.capacity = capacity;
    }
}

proptest! {
    #[test]
    fn lfu_forgets_the_favourites_of_the_past(steps in steps(4, true), uses_max in 2u8..20) {
        let ranks = PlainRanks { uses_max: u64::from(uses_max), ..Default::default() };
        let factory = Lfu::default().uses_max(uses_max).unwrap();
        agree(&factory, &mut PlainLfu(ranks), 16, &steps);
    }

    #[test]
    fn the_nearest_end_leaves_first(steps in steps(4, true)) {
        agree(&TtlFirst, &mut PlainTtl(PlainRanks::default()), 16, &steps);
    }

    #[test]
    fn classes_keep_their_floors(steps in steps(4, true)) {
        let factory = BusinessPriority::default().floor(1, 0.25).unwrap().floor(2, 0.125).unwrap();
        let mut plain = PlainBusiness { ranks: PlainRanks::default(), capacity: 0 };
        agree(&factory, &mut plain, 24, &steps);
    }
}
