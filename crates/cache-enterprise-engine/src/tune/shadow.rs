//! A small cache of keys alone, under the code that serves.

use std::ops::RangeInclusive;
use std::sync::Arc;

use cache_enterprise_core::{
    Capacity, Dates, Entry, Freshness, LocalStore, Millis, RemovalCause, Scoped, Sequence,
};
use cache_enterprise_memory::{Leaving, Level1Store, StoreConfig};

use super::ear::Facts;
use crate::strategy::Policies;

/// Entries shorter than this of a cache whose size nobody knows yet.
const ENTRIES_MIN: usize = 64;

/// How a shadow differs from another.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// What decides; `None` where quick_cache does.
    pub(super) policies: Option<Policies>,
    /// What it may hold.
    pub(super) capacity: Capacity,
    /// Entries it is expected to hold.
    pub(super) entries: usize,
    pub(super) lives: Lives,
}

/// Which lives are the cache's own, and what a shadow makes of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lives {
    /// Those the cache gives or gave, jitter included.
    pub(super) own: Vec<RangeInclusive<Millis>>,
    /// What entries of such a life get instead.
    pub(super) given: Option<Millis>,
}

impl Lives {
    fn of(&self, life: Option<Millis>) -> Option<Millis> {
        let is_own = |life: &Millis| self.own.iter().any(|own| own.contains(life));
        match (life, self.given) {
            (Some(life), Some(given)) if is_own(&life) => Some(given),
            (life, _) => life,
        }
    }
}

pub(crate) struct Shadow {
    store: Level1Store<u64, ()>,
    lives: Lives,
    pub(super) hits: u64,
}

impl Shadow {
    pub(super) fn new(shape: Shape) -> Self {
        let mut config = StoreConfig::new(shape.capacity);
        // One shard: the fewer keys there are the less a part of them says.
        config.shards = Some(1);
        config.estimated_items = Some(shape.entries.max(ENTRIES_MIN));
        let store = Level1Store::new(config, shape.policies.as_deref());
        Self { store, lives: shape.lives, hits: 0 }
    }

    /// Whether the key is held and fresh; a use for the policy.
    pub(super) fn request(&mut self, hash: u64, now: Millis) -> bool {
        let held = self.store.get(&key(hash));
        held.is_some_and(|entry| entry.freshness(now) == Freshness::Fresh)
    }

    /// As [`request`](Self::request), and no use.
    pub(super) fn holds(&self, hash: u64, now: Millis) -> bool {
        let held = self.store.peek(&key(hash));
        held.is_some_and(|entry| entry.freshness(now) == Freshness::Fresh)
    }

    pub(super) fn put(&mut self, hash: u64, facts: Facts, now: Millis) {
        let life = self.lives.of(facts.life);
        let life = life.map(std::time::Duration::from_millis);
        let dates = Dates::lasting(facts.created.min(now), life);
        let entry = Entry::new((), Sequence::ZERO, 0, dates).with_weight(facts.weight as usize);
        let leaving = &mut Leaving::default();
        self.store.insert_with(key(hash), Arc::new(entry), facts.merit, leaving);
    }

    pub(super) fn remove(&mut self, hash: u64) {
        self.store.remove(&key(hash), RemovalCause::Removed, &mut Leaving::default());
    }

    /// Drops what has expired, and follows the capacity of the cache.
    pub(super) fn turn(&mut self, capacity: Option<u64>, now: Millis) {
        let leaving = &mut Leaving::default();
        self.store.turn(now, leaving);
        if let Some(capacity) = capacity
            && capacity != self.store.stats().capacity
        {
            LocalStore::resize(&self.store, capacity, leaving);
        }
    }
}

fn key(hash: u64) -> Scoped<u64> {
    Scoped { tenant: 0, key: hash }
}
