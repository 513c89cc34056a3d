//! Keys that alternate to defeat what was learned: each phase punishes what the one before taught.

use std::collections::{BTreeSet, HashMap};

use cache_enterprise_core::PolicyFactory;

use super::super::{Adaptive, Learned, Lru};
use super::tests::{Shard, random};
use super::*;

/// Where the memory of uses, ten times as many requests as there are entries, is not longer because
/// there are few entries.
const CAPACITY: u64 = 1_024;
/// The bound speaks of stretches of this many requests.
const STRETCH: usize = STRETCH_STEPS * CAPACITY as usize;
const STRETCH_STEPS: usize = 16;

/// `phases` phases of one kind each, drawn at random.
fn keys(seed: u64, phases: usize) -> Vec<u64> {
    let mut random = random(seed);
    let mut keys = Vec::new();
    for phase in 1..=phases as u64 {
        let base = phase << 32;
        let kind = random() % 5;
        for at in 0..CAPACITY * (8 + random() % 56) {
            keys.push(
                base + match kind {
                    // Hot keys among keys that never come back: what is seen once is worth nothing.
                    0 if at % 2 == 0 => random() % 800,
                    0 => 10_000 + at,
                    // What is seen once comes back once, soon: what is seen twice is worth nothing.
                    1 if at % 2 == 0 => 10_000 + at,
                    1 => 10_000 + (at - 1).saturating_sub(CAPACITY * 3 / 2) / 2 * 2,
                    // A loop that does not fit: what was used last is worth least.
                    2 => at % 1_440,
                    // A set that moves: what was used often is worth least.
                    3 => at / 20 + random() % 720,
                    // A loop that just fits.
                    _ => at % 880,
                },
            );
        }
    }
    keys
}

/// Which requests hit if the next use of every key is known (Belady, with bypass).
fn foresight(keys: &[u64]) -> Vec<bool> {
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
        if held.len() > CAPACITY as usize {
            held.pop_last();
        }
    }
    hits
}

fn hits(factory: &dyn PolicyFactory, keys: &[u64]) -> Vec<bool> {
    let shape = PolicyShape::new(CAPACITY, CAPACITY as usize, 23);
    let mut shard = Shard::new(factory.create(&shape), CAPACITY);
    keys.iter().map(|key| shard.request(*key)).collect()
}

/// How far behind recency each stretch is, as a share of what foresight gains over recency in a
/// stretch of this sequence on average.
fn behind(found: &[bool], recency: &[bool], best: &[bool]) -> Vec<f64> {
    let count = |hits: &[bool]| hits.iter().filter(|hit| **hit).count() as f64;
    let stretches = found.len() as f64 / STRETCH as f64;
    let gap = (count(best) - count(recency)) / stretches;
    let starts = (0..=found.len() - STRETCH).step_by(CAPACITY as usize);
    let stretch = starts.map(|from| from..from + STRETCH);
    stretch.map(|at| (count(&recency[at.clone()]) - count(&found[at])) / gap).collect()
}

#[test]
fn no_alternation_of_keys_leaves_it_behind_recency_for_long() {
    for seed in 0..4 {
        let keys = keys(seed, 10);
        let (best, recency) = (foresight(&keys), hits(&Lru, &keys));
        for factory in [&Adaptive::default() as &dyn PolicyFactory, &Learned::default()] {
            let behind = behind(&hits(factory, &keys), &recency, &best);
            // A stretch in which it learns that all is different now may be bad; the next not.
            for (start, pair) in behind.iter().zip(&behind[STRETCH_STEPS..]).enumerate() {
                let both = pair.0.min(*pair.1);
                assert!(both <= 0.1, "{}, seed {seed}, {start}: {both:.3}", factory.name());
            }
            let mean = behind.iter().sum::<f64>() / behind.len() as f64;
            assert!(mean < -0.4, "{}, seed {seed}: {mean:.3} on average", factory.name());
        }
    }
}
