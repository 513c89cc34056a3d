//! W-TinyLFU: its sketch as a map of counters, its lists as vectors.

use std::collections::HashMap;

use cache_enterprise_core::Candidate;
use cache_enterprise_strategies::eviction::WTinyLfu;
use proptest::prelude::*;

use crate::driver::{Line, Names, Plain, Thing, agree, steps};

/// Four counters a key in a block of its own choice, 16 to a word and two words to each row.
#[derive(Default)]
struct PlainSketch {
    counters: HashMap<(u64, u64, u64), u64>,
    counted: u64,
    counted_max: u64,
}

/// Blocks of a sketch for up to 64 entries.
const BLOCKS: u64 = 8;

impl PlainSketch {
    fn counters_of(hash: u64) -> [(u64, u64, u64); 4] {
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let rest = mixed ^ (mixed >> 29);
        [0, 1, 2, 3].map(|row| ((mixed >> 32) % BLOCKS, row, (rest >> (row * 8)) % 32))
    }

    fn count(&mut self, hash: u64) {
        let mut grew = false;
        for counter in Self::counters_of(hash) {
            let count = self.counters.entry(counter).or_default();
            grew |= *count < 15;
            *count = (*count + 1).min(15);
        }
        self.counted += u64::from(grew);
        if self.counted >= self.counted_max {
            self.counters.values_mut().for_each(|count| *count /= 2);
            self.counted /= 2;
        }
    }

    fn estimate(&self, hash: u64) -> u64 {
        let counters = Self::counters_of(hash);
        let counts = counters.iter().map(|at| self.counters.get(at).copied().unwrap_or(0));
        counts.min().unwrap()
    }
}

#[derive(Default)]
struct PlainWindow {
    window: Line,
    probation: Line,
    protected: Line,
    sketch: PlainSketch,
    rejected: Names,
    displaced: Names,
    capacity: u64,
    window_max: u64,
}

impl Plain for PlainWindow {
    fn hit(&mut self, hash: u64) {
        self.sketch.count(hash);
        if let Some(thing) = self.window.take(hash) {
            self.window.push(thing);
            return;
        }
        let thing = self.probation.take(hash).or_else(|| self.protected.take(hash));
        self.protected.push(thing.unwrap());
        let most = ((self.capacity - self.window_max) as f64 * 0.8) as u64;
        while self.protected.weight() > most {
            self.probation.push(self.protected.take_oldest().unwrap());
        }
    }

    fn arrive(&mut self, newcomer: &Candidate) {
        self.sketch.count(newcomer.hash);
        let step = newcomer.weight * 2;
        let (rejected, displaced) = (self.rejected.0.len() as u64, self.displaced.0.len() as u64);
        if self.rejected.take(newcomer.hash) {
            let step = step.max(step * displaced / rejected);
            self.set_window(self.window_max + step);
        } else if self.displaced.take(newcomer.hash) {
            let step = step.max(step * rejected / displaced);
            self.set_window(self.window_max.saturating_sub(step));
        }
    }

    fn victim(&mut self, newcomer: Option<&Candidate>) -> Option<u64> {
        let needed = newcomer.map_or(0, |newcomer| newcomer.weight);
        let main = self.probation.oldest().or(self.protected.oldest());
        let (Some(oldest), Some(main)) = (self.window.oldest(), main) else {
            return self.window.oldest().or(main);
        };
        if self.window.weight() + needed > self.window_max {
            if self.sketch.estimate(oldest) <= self.sketch.estimate(main) {
                return Some(oldest);
            }
            self.probation.push(self.window.take_oldest().unwrap());
        }
        Some(main)
    }

    fn insert(&mut self, newcomer: &Candidate) {
        self.window.push(Thing::new(newcomer));
        let entries = self.window.0.len() + self.probation.0.len() + self.protected.0.len();
        self.sketch.counted_max = self.sketch.counted_max.max(entries as u64 * 10);
        while self.window.weight() > self.window_max {
            self.probation.push(self.window.take_oldest().unwrap());
        }
    }

    fn update(&mut self, candidate: &Candidate) {
        let lines = [&mut self.window, &mut self.probation, &mut self.protected];
        let thing = lines.into_iter().find_map(|line| line.get(candidate.hash));
        thing.unwrap().weight = candidate.weight;
        self.hit(candidate.hash);
    }

    fn remove(&mut self, hash: u64, evicted: bool) {
        let entries = self.window.0.len() + self.probation.0.len() + self.protected.0.len();
        let from_window = self.window.take(hash).is_some();
        self.probation.take(hash).or_else(|| self.protected.take(hash));
        if evicted {
            let names = if from_window { &mut self.rejected } else { &mut self.displaced };
            names.push(hash, entries / 4);
        }
    }

    fn resize(&mut self, capacity: u64) {
        let share = match self.capacity {
            0 => 0.2,
            before => self.window_max as f64 / before as f64,
        };
        self.capacity = capacity;
        self.set_window((capacity as f64 * share) as u64);
    }
}

impl PlainWindow {
    fn new(capacity: u64) -> Self {
        let sketch = PlainSketch { counted_max: capacity * 10, ..Default::default() };
        Self { sketch, ..Default::default() }
    }

    fn set_window(&mut self, window: u64) {
        let least = ((self.capacity as f64 * 0.01) as u64).max(1);
        self.window_max = window.clamp(least, (self.capacity as f64 * 0.95) as u64);
    }
}

proptest! {
    #[test]
    fn the_window_grows_for_what_comes_back_to_it(steps in steps(1, false)) {
        agree(&WTinyLfu::default(), &mut PlainWindow::new(20), 20, &steps);
    }

    #[test]
    fn the_border_is_kept_in_weight(steps in steps(4, true)) {
        agree(&WTinyLfu::default(), &mut PlainWindow::new(32), 32, &steps);
    }
}
