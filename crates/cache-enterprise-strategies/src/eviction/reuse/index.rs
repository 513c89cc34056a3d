//! From the chance of a use at each age to what a place in the cache is worth.

use super::age::{AGES, bucket, width};
use super::past::{CLASSES, Past, Scale};

/// What a request of residence is worth, by class and age.
#[derive(Debug)]
pub(super) struct Index {
    scale: Scale,
    /// Which group's index stands for a class.
    shown: [u16; CLASSES],
    /// Group by group.
    worth: Vec<f32>,
}

impl Index {
    /// Of so many groups of classes, nothing worth anything.
    pub(super) fn new(scale: Scale, groups: usize) -> Self {
        Self { scale, shown: [0; CLASSES], worth: vec![0.0; groups * AGES] }
    }

    pub(super) fn of_group(&mut self, group: usize) -> &mut [f32] {
        &mut self.worth[group * AGES..(group + 1) * AGES]
    }

    /// The group's index stands for the class.
    pub(super) fn show(&mut self, class: usize, group: u16) {
        self.shown[class] = group;
    }

    /// What classes are made by.
    pub(super) fn scale(&self) -> Scale {
        self.scale
    }

    /// What a request of residence is worth for a key of this past: uses.
    pub(super) fn worth(&self, past: Past, now: u32) -> f32 {
        let group = usize::from(self.shown[self.scale.class(past)]);
        self.worth[group * AGES + usize::from(bucket(past.age(now)))]
    }
}

/// Writes the Gittins index of each age: the most uses per request of residence that any way to
/// wait from here on promises, `max over t of P(used within t) / E[min(time to the use, t)]`.
///
/// `hazards` are the chances that a key that reached a bucket is used within it. Drawn as a line
/// of uses over residence from age 0, the index of an age is the steepest slope from its point to
/// any later one; taken from the right, those points form a concave chain, which makes the whole
/// table linear in the buckets.
pub(super) fn gittins(hazards: &[f32; AGES], index: &mut [f32]) {
    let mut residence = [0.0; AGES + 1];
    let mut uses = [0.0; AGES + 1];
    let mut unused = 1.0f64;
    for age in 0..AGES {
        let still = unused * (1.0 - f64::from(hazards[age]));
        residence[age + 1] = residence[age] + width(age) * (unused + still) / 2.0;
        uses[age + 1] = uses[age] + unused - still;
        unused = still;
    }
    let slope = |from: usize, to: usize| {
        (uses[to] - uses[from]) / (residence[to] - residence[from]).max(f64::MIN_POSITIVE)
    };
    let mut chain = [AGES; AGES + 1];
    let mut top = 0;
    for age in (0..AGES).rev() {
        while top > 0 && slope(age, chain[top - 1]) >= slope(age, chain[top]) {
            top -= 1;
        }
        index[age] = slope(age, chain[top]) as f32;
        top += 1;
        chain[top] = age;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index_of(hazards: &[f32; AGES]) -> [f32; AGES] {
        let mut index = [0.0; AGES];
        gittins(hazards, &mut index);
        index
    }

    #[test]
    fn is_the_best_of_all_ways_to_wait() {
        let mut hazards = [0.0f32; AGES];
        for (age, hazard) in hazards.iter_mut().enumerate() {
            *hazard = ((age * 37 + 11) % 23) as f32 / 60.0;
        }
        let index = index_of(&hazards);
        for (from, found) in index.iter().enumerate() {
            let (mut unused, mut residence, mut best) = (1.0f64, 0.0, 0.0f64);
            for (age, hazard) in hazards.iter().enumerate().skip(from) {
                let still = unused * (1.0 - f64::from(*hazard));
                residence += width(age) * (unused + still) / 2.0;
                unused = still;
                best = best.max((1.0 - unused) / residence);
            }
            let found = f64::from(*found);
            assert!((found / best - 1.0).abs() < 1e-3, "age {from}: {found} is not {best}");
        }
    }

    #[test]
    fn a_loop_is_worth_more_the_nearer_its_end_and_nothing_after() {
        let mut hazards = [0.0; AGES];
        hazards[40] = 0.9;
        let index = index_of(&hazards);
        assert!(index[..=40].is_sorted() && index[0] > 0.0);
        assert!(index[41..].iter().all(|worth| *worth == 0.0));
    }

    #[test]
    fn recency_follows_from_falling_hazards() {
        let mut hazards = [0.0; AGES];
        for (age, hazard) in hazards.iter_mut().enumerate() {
            *hazard = 0.05 / (1.0 + age as f32 / 40.0);
        }
        let index = index_of(&hazards);
        assert!(index.is_sorted_by(|younger, older| younger >= older));
    }
}
