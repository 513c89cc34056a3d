//! What is heard of a cache that is tuned: a sample of its keys, and what became of their requests.

use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, BuildHasherDefault, Hash};

use cache_enterprise_core::{Entry, Merit, Millis, NEVER};
use cache_enterprise_strategies::tune::Tally;

use super::shadow::Shadow;

/// Which keys are heard of: those whose hash is under a bound, so that it is always the same ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Never 0.
    pub(super) bound: u64,
    pub(super) seed: u64,
}

impl Sample {
    /// `share` of the keys, above 0 and at most 1.
    pub(super) fn new(share: f64, seed: u64) -> Self {
        Self { bound: ((share * u64::MAX as f64) as u64).max(1), seed }
    }

    /// The hash of a key of the sample.
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Option<u64> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((self.seed, key));
        (hash <= self.bound).then_some(hash)
    }
}

/// What a shadow is told of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(super) weight: u32,
    pub(super) created: Millis,
    /// Its fresh life; `None` for ever.
    pub(super) life: Option<Millis>,
    pub(super) merit: Merit,
}

impl Facts {
    pub(super) fn of<V>(entry: &Entry<V>) -> Self {
        let dates = entry.dates();
        let life = dates.fresh_until.saturating_sub(dates.created);
        Self {
            weight: entry.weight(),
            created: dates.created,
            life: (dates.fresh_until != NEVER).then_some(life),
            merit: Merit::NORMAL,
        }
    }
}

/// Two shadows and the cache, counted over the same requests.
pub(crate) struct Ear {
    pub(super) plain: Shadow,
    pub(super) changed: Shadow,
    live_hits: u64,
    requests: u64,
    /// Requests that are not counted yet.
    warming: u64,
}

/// What was counted of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tallies {
    pub(super) live: Tally,
    pub(super) plain: Tally,
    pub(super) changed: Tally,
}

impl Ear {
    pub(super) fn new(plain: Shadow, changed: Shadow, warming: u64) -> Self {
        Self { plain, changed, live_hits: 0, requests: 0, warming }
    }

    /// Counts anew, after so many requests.
    pub(super) fn restart(&mut self, warming: u64) {
        (self.live_hits, self.requests, self.warming) = (0, 0, warming);
        (self.plain.hits, self.changed.hits) = (0, 0);
    }

    pub(super) fn tallies(&self) -> Tallies {
        let tally = |hits| Tally::new(hits, self.requests);
        Tallies {
            live: tally(self.live_hits),
            plain: tally(self.plain.hits),
            changed: tally(self.changed.hits),
        }
    }

    /// A key was asked for; `held` is what level 1 answered with.
    pub(super) fn requested(&mut self, hash: u64, held: Option<Facts>, now: Millis) {
        let is_counted = self.warming == 0;
        self.warming = self.warming.saturating_sub(1);
        if is_counted {
            self.requests += 1;
            self.live_hits += u64::from(held.is_some());
        }
        for shadow in [&mut self.plain, &mut self.changed] {
            let is_hit = shadow.request(hash, now);
            shadow.hits += u64::from(is_hit && is_counted);
            // What the cache did not have to load the shadow would have loaded here.
            if let Some(facts) = held.filter(|_| !is_hit) {
                shadow.put(hash, Facts { created: now, ..facts }, now);
            }
        }
    }

    /// An entry came into level 1. One that was loaded or climbed is news only to a shadow that has
    /// none: the others would not have asked for it.
    pub(super) fn filled(&mut self, hash: u64, facts: Facts, is_set: bool, now: Millis) {
        for shadow in [&mut self.plain, &mut self.changed] {
            if is_set || !shadow.holds(hash, now) {
                shadow.put(hash, facts, now);
            }
        }
    }

    pub(super) fn removed(&mut self, hash: u64) {
        self.plain.remove(hash);
        self.changed.remove(hash);
    }
}

#[cfg(test)]
mod tests {
    use cache_enterprise_core::Capacity;

    use super::super::shadow::{Lives, Shape};
    use super::*;

    const FACTS: Facts = Facts { weight: 1, created: 0, life: Some(100), merit: Merit::NORMAL };

    /// Two shadows under quick_cache's policy; the changed one lets entries of 100 ms live for 300.
    fn ear(warming: u64) -> Ear {
        let shadow = |given| {
            Shadow::new(Shape {
                policies: None,
                capacity: Capacity::entries(100),
                entries: 100,
                lives: Lives { own: [100..=100, 300..=300].into(), given: Some(given) },
            })
        };
        Ear::new(shadow(100), shadow(300), warming)
    }

    fn hits(ear: &Ear) -> [u64; 3] {
        [ear.live_hits, ear.plain.hits, ear.changed.hits]
    }

    #[test]
    fn a_longer_life_hits_where_the_shorter_one_has_ended() {
        let mut ear = ear(0);
        ear.requested(7, None, 0);
        ear.filled(7, FACTS, false, 0);
        ear.requested(7, Some(FACTS), 99);
        assert_eq!(hits(&ear), [1, 1, 1]);
        ear.requested(7, None, 200);
        assert_eq!(hits(&ear), [1, 1, 2]);
        // What the cache loads then is news to the plain shadow alone.
        ear.filled(7, Facts { created: 200, ..FACTS }, false, 200);
        ear.requested(7, None, 299);
        assert_eq!(hits(&ear), [1, 2, 3]);
        ear.requested(7, None, 300);
        assert_eq!(
            hits(&ear),
            [1, 2, 3],
            "both have ended: one by its life, one by its older date"
        );
        assert_eq!(ear.tallies().changed, Tally::new(3, 5));
    }

    #[test]
    fn a_set_is_news_to_both_and_a_removal_too() {
        let mut ear = ear(0);
        ear.filled(7, FACTS, true, 0);
        ear.filled(7, Facts { created: 90, ..FACTS }, true, 90);
        assert!(ear.plain.holds(7, 189) && ear.changed.holds(7, 389));
        ear.removed(7);
        assert!(!ear.plain.holds(7, 100) && !ear.changed.holds(7, 100));
    }

    #[test]
    fn what_only_the_cache_had_is_told_to_a_shadow_without_it() {
        let mut ear = ear(0);
        ear.requested(7, Some(FACTS), 50);
        assert_eq!(hits(&ear), [1, 0, 0]);
        ear.requested(7, Some(FACTS), 60);
        assert_eq!(hits(&ear), [2, 1, 1]);
    }

    #[test]
    fn nothing_counts_while_it_warms_up() {
        let mut ear = ear(2);
        (0..3).for_each(|_| ear.requested(7, Some(FACTS), 10));
        assert_eq!((ear.tallies().live, hits(&ear)), (Tally::new(1, 1), [1, 1, 1]));
        ear.restart(1);
        (0..3).for_each(|_| ear.requested(7, Some(FACTS), 10));
        assert_eq!(ear.tallies().plain, Tally::new(2, 2));
    }

    #[test]
    fn a_sample_is_about_its_share_and_always_the_same_keys() {
        let sample = Sample::new(0.25, 7);
        let drawn: Vec<u64> = (0..10_000_u64).filter_map(|key| sample.hash(&key)).collect();
        assert!((2_300..2_700).contains(&drawn.len()), "{}", drawn.len());
        assert_eq!(sample.hash(&drawn[0]), Sample::new(0.25, 7).hash(&drawn[0]));
        let all = Sample::new(1.0, 7);
        assert!((0..10_000_u64).all(|key| all.hash(&key).is_some()));
    }
}
