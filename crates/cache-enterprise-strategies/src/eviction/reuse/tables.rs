//! How soon keys of each class come back, learned from every use, and what follows for those
//! that are resident.

use super::age::{AGES, width};
use super::index::{Index, gittins};
use super::past::{CLASSES, Cell, Scale, fallbacks};

/// What one use counts for in `uses`, in fixed point, so that a hit adds an integer.
const USE: u32 = 256;
/// With how many keys a class's fallback weighs against what the class itself saw.
const FALLBACK_WEIGHT: f32 = 8.0;
/// Before anything was seen, a key that lived through one bucket of ages is taken to be used in
/// the next with this chance, as of so many keys: that is recency.
const FIRST_HAZARD: f32 = 0.02;
const FIRST_WEIGHT: f32 = 16.0;
/// No class is surer of a use than this.
const SUREST: f32 = 0.99;

/// Counts of uses by class and age, and of keys that wait.
///
/// A use counts at the age it came at; keys that wait still are counted at the age they reached,
/// by a census. From both follows the chance of a use at each age given that it was reached, as of
/// right-censored lives (Kaplan and Meier, 1958): keys that were never used again tell as much as
/// those that were. As older uses fade, lives enter late as well: a key counts at an age in so far
/// as it was at that age within the time that is remembered.
#[derive(Debug)]
pub(super) struct Tables {
    /// Uses, class by class, in units of 1 / [`USE`].
    uses: Vec<u32>,
    /// Keys that wait for their next use, class by class, each counting for the keys it stands for.
    waiting: Vec<f32>,
    fallbacks: Vec<u16>,
    /// The chances behind the indexes, group by group.
    hazards: Vec<[f32; AGES]>,
    /// Uses and waiting keys, group by group, while an index is made.
    sums: Vec<[f32; 2 * AGES]>,
}

impl Tables {
    pub(super) fn new() -> Self {
        let fallbacks = fallbacks();
        let groups = fallbacks.len();
        Self {
            uses: vec![0; CLASSES * AGES],
            waiting: vec![0.0; CLASSES * AGES],
            hazards: vec![[0.0; AGES]; groups],
            sums: vec![[0.0; 2 * AGES]; groups],
            fallbacks,
        }
    }

    /// Keys were used again, each of its class and at its age.
    pub(super) fn add(&mut self, uses: &[Cell]) {
        for cell in uses {
            let count = &mut self.uses[cell.index()];
            *count = count.saturating_add(USE);
        }
    }

    /// A new census begins.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.fill(0.0);
    }

    /// Keys wait, each for so many.
    pub(super) fn add_waiting(&mut self, keys: &[Cell], step: usize) {
        for cell in keys {
            self.waiting[cell.index()] += step as f32;
        }
    }

    /// The index that follows. `memory` is the mean age in requests of what is counted, and where
    /// `coarse`, each class shows what it falls back on.
    pub(super) fn index(&mut self, scale: Scale, memory: f64, coarse: bool) -> Index {
        self.sum_up();
        let kept: [f32; AGES] = std::array::from_fn(|age| (-width(age) / memory).exp() as f32);
        let groups = self.fallbacks.len();
        let mut index = Index::new(scale, groups);
        for group in (0..groups).rev() {
            let seen: f32 = self.sums[group].iter().sum();
            let last = group + 1 == groups;
            let own = group >= CLASSES || seen >= 1.0 && (!coarse || group == 0);
            if !last && seen < 1.0 {
                self.hazards[group] = self.hazards[usize::from(self.fallbacks[group])];
            } else {
                self.estimate(group, &kept);
            }
            if own {
                gittins(&self.hazards[group], index.of_group(group));
            }
            if group < CLASSES {
                index.show(group, if own { group as u16 } else { self.fallbacks[group] });
            }
        }
        index
    }

    /// Forgets all but this share of what was counted.
    pub(super) fn fade(&mut self, kept: f64) {
        let kept = (kept * 65_536.0) as u64;
        for count in &mut self.uses {
            *count = ((u64::from(*count) * kept) >> 16) as u32;
        }
    }

    /// Counts of groups from those of their classes.
    fn sum_up(&mut self) {
        for (class, sums) in self.sums.iter_mut().enumerate() {
            sums.fill(0.0);
            if class < CLASSES {
                let own = class * AGES..(class + 1) * AGES;
                let (uses, waiting) = sums.split_at_mut(AGES);
                for (sum, count) in uses.iter_mut().zip(&self.uses[own.clone()]) {
                    *sum = *count as f32 / USE as f32;
                }
                waiting.copy_from_slice(&self.waiting[own]);
            }
        }
        for group in 0..self.sums.len() - 1 {
            let (lower, upper) = self.sums.split_at_mut(group + 1);
            let into = &mut upper[usize::from(self.fallbacks[group]) - group - 1];
            for (sum, part) in into.iter_mut().zip(&lower[group]) {
                *sum += part;
            }
        }
    }

    /// The chances of a use at each age, drawn towards those of the group fallen back on.
    fn estimate(&mut self, group: usize, kept: &[f32; AGES]) {
        let back = usize::from(self.fallbacks[group]);
        let (weight, prior) = match self.hazards.get(back) {
            Some(hazards) if back != group => (FALLBACK_WEIGHT, *hazards),
            _ => (FIRST_WEIGHT, [FIRST_HAZARD; AGES]),
        };
        let (uses, waiting) = self.sums[group].split_at(AGES);
        let mut reached = 0.0;
        for age in (0..AGES).rev() {
            reached = reached * kept[age] + uses[age] + waiting[age];
            // Those who wait in this bucket are half through it.
            let at_risk = reached - waiting[age] / 2.0;
            let hazard = (uses[age] + weight * prior[age]) / (at_risk + weight);
            self.hazards[group][age] = hazard.min(SUREST);
        }
    }
}
