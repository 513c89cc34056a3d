//! How soon keys of each class come back, learned from every use, and what follows for those
//! that are resident.

use super::age::{AGES, bucket, width};
use super::index::gittins;
use super::past::{CLASSES, Past, Scale, fallbacks};

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

/// Counts of uses by class and age, and the index that was last made from them.
///
/// A use counts at the age it came at; keys that wait still are counted at the age they reached
/// (a census, see [`Census`]). From both follows the chance of a use at each age given that it
/// was reached, as of right-censored lives (Kaplan and Meier, 1958): keys that were never used
/// again tell as much as those that were. As older uses fade, lives enter late as well: a key
/// counts at an age in so far as it was at that age within the time that is remembered.
#[derive(Debug)]
pub(super) struct Tables {
    /// Uses, class by class, in units of 1 / [`USE`].
    uses: Vec<u32>,
    fallbacks: Vec<u16>,
    /// Which group's index stands for a class.
    shown: Vec<u16>,
    /// Indexes, group by group.
    index: Vec<f32>,
    /// The chances behind the indexes, group by group.
    hazards: Vec<[f32; AGES]>,
    /// Uses and waiting keys, group by group, while a rebuild runs.
    sums: Vec<[f32; 2 * AGES]>,
    census: Census,
}

/// Keys that wait for their next use, by class and age, each counting for the keys it stands for.
#[derive(Debug)]
pub(super) struct Census(Vec<f32>);

impl Census {
    /// Counts a key, which stands for so many.
    pub(super) fn count(&mut self, class: usize, age: u32, keys: usize) {
        self.0[class * AGES + usize::from(bucket(age))] += keys as f32;
    }
}

impl Tables {
    pub(super) fn new() -> Self {
        let fallbacks = fallbacks();
        let groups = fallbacks.len();
        let mut tables = Self {
            uses: vec![0; CLASSES * AGES],
            shown: vec![(groups - 1) as u16; CLASSES],
            index: vec![0.0; groups * AGES],
            hazards: vec![[0.0; AGES]; groups],
            sums: vec![[0.0; 2 * AGES]; groups],
            census: Census(vec![0.0; CLASSES * AGES]),
            fallbacks,
        };
        tables.rebuild(f64::INFINITY, true, |_| {});
        tables
    }

    /// A key of the class was used again at this age.
    pub(super) fn used(&mut self, class: usize, age: u32) {
        let count = &mut self.uses[class * AGES + usize::from(bucket(age))];
        *count = count.saturating_add(USE);
    }

    /// What a request of residence is worth for a key of this past: uses.
    pub(super) fn worth(&self, scale: Scale, past: Past, now: u32) -> f32 {
        let group = usize::from(self.shown[scale.class(past)]);
        self.index[group * AGES + usize::from(bucket(past.age(now)))]
    }

    /// Makes the indexes anew. `memory` is the mean age in requests of what is counted, `take_census`
    /// counts the keys that wait, and where `coarse`, each class shows what it falls back on.
    pub(super) fn rebuild(
        &mut self,
        memory: f64,
        coarse: bool,
        take_census: impl FnOnce(&mut Census),
    ) {
        self.census.0.fill(0.0);
        take_census(&mut self.census);
        self.sum_up();
        let kept: [f32; AGES] = std::array::from_fn(|age| (-width(age) / memory).exp() as f32);
        let groups = self.fallbacks.len();
        for group in (0..groups).rev() {
            let seen: f32 = self.sums[group].iter().sum();
            let last = group + 1 == groups;
            if group < CLASSES {
                let own = seen >= 1.0 && (!coarse || group == 0);
                self.shown[group] = if own { group as u16 } else { self.fallbacks[group] };
            }
            if !last && seen < 1.0 {
                self.hazards[group] = self.hazards[usize::from(self.fallbacks[group])];
            } else {
                self.estimate(group, &kept);
            }
            if group >= CLASSES || usize::from(self.shown[group]) == group {
                let index = &mut self.index[group * AGES..(group + 1) * AGES];
                gittins(&self.hazards[group], index);
            }
        }
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
                waiting.copy_from_slice(&self.census.0[own]);
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
