//! Keys that alternate to defeat what was learned: each phase punishes what the one before taught.

use std::collections::{BTreeSet, HashMap};

use cache_enterprise_core::PolicyFactory;

use super::super::{Adaptive, Learned, Lru};
use super::tests::{Shard, random};
use super::*;

/// The share of the gap that it may lose.
const BOUND: f64 = 0.1;
/// Of each number of entries, what share it may lose in both of two stretches: a harder measure,
/// since a few bad rounds may lie in both.
const CAPACITIES: [(u64, f64); 4] = [(64, 0.15), (128, BOUND), (200, BOUND), (1_024, BOUND)];
/// Entries and seeds that kept one of them behind for longest, of 64 seeds for each of 11 numbers of
/// entries: for up to 14 rounds.
const HARDEST: [(u64, u64); 6] = [(64, 3), (100, 19), (256, 12), (256, 25), (400, 53), (512, 22)];
/// The bound speaks of stretches of so many requests for each entry.
const STRETCH_STEPS: usize = 16;

/// `phases` phases of one kind each, drawn at random, for a cache of so many entries.
fn keys(seed: u64, phases: usize, capacity: u64) -> Vec<u64> {
    let part = |of_1024: u64| (capacity * of_1024).div_ceil(1_024);
    let mut random = random(seed);
    let mut keys = Vec::new();
    for phase in 1..=phases as u64 {
        let base = phase << 32;
        let kind = random() % 5;
        for at in 0..capacity * (8 + random() % 56) {
            keys.push(
                base + match kind {
                    // Hot keys among keys that never come back: what is seen once is worth nothing.
                    0 if at % 2 == 0 => random() % part(800),
                    0 => 10_000 + at,
                    // What is seen once comes back once, soon: what is seen twice is worth nothing.
                    1 if at % 2 == 0 => 10_000 + at,
                    1 => 10_000 + (at - 1).saturating_sub(capacity * 3 / 2) / 2 * 2,
                    // A loop that does not fit: what was used last is worth least.
                    2 => at % part(1_440),
                    // A set that moves: what was used often is worth least.
                    3 => at / 20 + random() % part(720),
                    // A loop that just fits.
                    _ => at % part(880),
                },
            );
        }
    }
    keys
}

/// Which requests hit if the next use of every key is known (Belady, with bypass).
fn foresight(keys: &[u64], capacity: u64) -> Vec<bool> {
    let mut next = vec![usize::MAX; keys.len()];
    let mut seen = HashMap::new();
    for (at, key) in keys.iter().enumerate().rev() {
        next[at] = seen.insert(*key, at).unwrap_or(usize::MAX);
    }
    let mut held = BTreeSet::new();
    let mut hits = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        hits.push(held.remove(&(at, *key)));
        if next[at] != usize::MAX {
            held.insert((next[at], *key));
        }
        if held.len() > capacity as usize {
            held.pop_last();
        }
    }
    hits
}

fn hits(factory: &dyn PolicyFactory, keys: &[u64], capacity: u64) -> Vec<bool> {
    let shape = PolicyShape::new(capacity, capacity as usize, 23);
    let mut shard = Shard::new(factory.create(&shape), capacity);
    keys.iter().map(|key| shard.request(*key)).collect()
}

/// What became of one sequence.
struct Outcome {
    capacity: u64,
    found: Vec<bool>,
    recency: Vec<bool>,
    best: Vec<bool>,
}

impl Outcome {
    /// How far behind recency it is in each stretch of so many requests for each entry, as a share
    /// of what foresight gains over recency in such a stretch of this sequence on average.
    fn behind(&self, steps: usize) -> Vec<f64> {
        let count = |hits: &[bool]| hits.iter().filter(|hit| **hit).count() as f64;
        let long = steps * self.capacity as usize;
        let stretches = self.found.len() as f64 / long as f64;
        let gap = (count(&self.best) - count(&self.recency)) / stretches;
        let starts = (0..=self.found.len() - long).step_by(self.capacity as usize);
        let stretch = starts.map(|from| from..from + long);
        stretch
            .map(|at| (count(&self.recency[at.clone()]) - count(&self.found[at])) / gap)
            .collect()
    }
}

/// Has both policies play the sequence of this seed.
fn play(capacity: u64, seed: u64, judge: impl Fn(&str, &Outcome)) {
    let keys = keys(seed, 10, capacity);
    let (best, recency) = (foresight(&keys, capacity), hits(&Lru, &keys, capacity));
    for factory in [&Adaptive::default() as &dyn PolicyFactory, &Learned::default()] {
        let found = hits(factory, &keys, capacity);
        let (recency, best) = (recency.clone(), best.clone());
        let outcome = Outcome { capacity, found, recency, best };
        judge(&format!("{} of {capacity}, seed {seed}", factory.name()), &outcome);
    }
}

#[test]
fn no_alternation_of_keys_keeps_it_behind_recency_for_sixteen_rounds_on_end() {
    for (capacity, seed) in HARDEST {
        play(capacity, seed, |case, outcome| {
            let rounds = outcome.behind(1);
            let runs = rounds.split(|behind| *behind <= BOUND).map(<[f64]>::len);
            let longest = runs.max().unwrap_or(0);
            assert!(longest <= STRETCH_STEPS, "{case}: {longest} rounds of its entries");
        });
    }
}

#[test]
fn no_alternation_of_keys_leaves_it_behind_recency_in_two_stretches() {
    let cases = CAPACITIES.into_iter().flat_map(|of| (0..4).map(move |seed| (of, seed)));
    for ((capacity, bound), seed) in cases {
        play(capacity, seed, |case, outcome| {
            let behind = outcome.behind(STRETCH_STEPS);
            // A stretch in which it learns that all is different now may be bad; the next not.
            for (start, pair) in behind.iter().zip(&behind[STRETCH_STEPS..]).enumerate() {
                let both = pair.0.min(*pair.1);
                assert!(both <= bound, "{case}, {start}: {both:.3}");
            }
            let mean = behind.iter().sum::<f64>() / behind.len() as f64;
            assert!(mean < -0.2, "{case}: {mean:.3} on average");
        });
    }
}
