//! Where a cache tells of requests while it is tuned.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{
    CacheKey, Entry, Freshness, LocalStore, Lookup, Merit, Millis, Reading, Scoped, SetOutcome,
};
use equivalent::Equivalent;

use super::ear::{Ear, Facts, Sample};
use crate::cache::{Cache, Leaving};
use crate::options::Options;
use crate::strategy::Policies;

/// What there is about tuning at a store: who listens, and what was changed.
#[derive(Default)]
pub(crate) struct Watch {
    /// The bound and the seed of the sample; without a bound nobody listens.
    bound: AtomicU64,
    seed: AtomicU64,
    ear: Mutex<Option<Ear>>,
    /// Whether there is a tuner.
    is_tuned: AtomicBool,
    /// The life that was tuned, in milliseconds; 0 where it was not.
    life: AtomicU64,
    policies: Mutex<Option<Policies>>,
}

impl Watch {
    /// Takes the place of the tuner; `false` where there is one.
    pub(super) fn claim(&self) -> bool {
        !self.is_tuned.swap(true, Ordering::AcqRel)
    }

    pub(super) fn release(&self) {
        self.is_tuned.store(false, Ordering::Release);
    }

    pub(super) fn listen(&self, sample: Sample, ear: Ear) {
        *self.ear.lock() = Some(ear);
        self.seed.store(sample.seed, Ordering::Relaxed);
        self.bound.store(sample.bound, Ordering::Release);
    }

    pub(super) fn deafen(&self) {
        self.bound.store(0, Ordering::Release);
        *self.ear.lock() = None;
    }

    /// What was heard so far.
    pub(super) fn with_ear<R>(&self, look: impl FnOnce(&mut Ear) -> R) -> Option<R> {
        self.ear.lock().as_mut().map(look)
    }

    /// The life that was tuned.
    pub(crate) fn life(&self) -> Option<Duration> {
        match self.life.load(Ordering::Relaxed) {
            0 => None,
            life => Some(Duration::from_millis(life)),
        }
    }

    pub(super) fn set_life(&self, life: Millis) {
        self.life.store(life, Ordering::Relaxed);
    }

    /// The policies that were put in the place of those the manager chose.
    pub(crate) fn policies(&self) -> Option<Policies> {
        self.policies.lock().clone()
    }

    pub(super) fn set_policies(&self, policies: &Policies) {
        *self.policies.lock() = Some(Arc::clone(policies));
    }

    /// Tells of something that happened to a key, if somebody listens and the key is sampled.
    fn tell<Q: Hash + ?Sized>(&self, key: &Q, tell: impl FnOnce(&mut Ear, u64)) {
        let bound = self.bound.load(Ordering::Acquire);
        if bound == 0 {
            return;
        }
        // Before the lock: most keys are not in the sample.
        let sample = Sample { bound, seed: self.seed.load(Ordering::Relaxed) };
        if let Some(hash) = sample.hash(key)
            && let Some(ear) = self.ear.lock().as_mut()
        {
            tell(ear, hash);
        }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    fn watch(&self) -> &Watch {
        self.view.holding.watch()
    }

    /// The full look of a read at an entry that has more to ask: whether it is fresh.
    #[cold]
    pub(crate) fn reads_fresh<Q>(&self, key: &Q, entry: &Entry<V>, now: Millis) -> bool
    where
        Q: Lookup<K> + ?Sized,
    {
        let is_fresh = entry.read(now) == Freshness::Fresh;
        if is_fresh {
            self.note_hit(key, entry, now);
        }
        is_fresh
    }

    /// As [`reads_fresh`](Self::reads_fresh), for a caller that can have the value loaded anew:
    /// whether it is time for that; `None` where the entry is not fresh.
    #[cold]
    pub(crate) fn reads_due<Q>(&self, key: &Q, entry: &Entry<V>, now: Millis) -> Option<bool>
    where
        Q: Lookup<K> + ?Sized,
    {
        let is_due = match entry.read_or_due(now, || self.view.shared.uniform()) {
            Reading::Fresh => false,
            Reading::Due => true,
            Reading::Stale | Reading::Expired => return None,
        };
        self.note_hit(key, entry, now);
        Some(is_due)
    }

    /// Tells of a hit on an entry that has more to ask.
    fn note_hit<Q>(&self, key: &Q, entry: &Entry<V>, now: Millis)
    where
        Q: Lookup<K> + ?Sized,
    {
        let hit = |ear: &mut Ear, hash| ear.requested(hash, Some(Facts::of(entry)), now);
        self.watch().tell(&self.scoped(key), hit);
    }

    /// Tells of a request that level 1 could not answer.
    pub(crate) fn note_missed<Q: Lookup<K> + ?Sized>(&self, key: &Q) {
        let now = self.view.clock.now();
        self.watch().tell(&self.scoped(key), |ear, hash| ear.requested(hash, None, now));
    }

    /// Tells that a key was removed.
    pub(crate) fn note_removed<Q>(&self, key: &Q)
    where
        Q: ?Sized + Hash + Equivalent<Scoped<K>>,
    {
        self.watch().tell(key, Ear::removed);
    }

    /// Puts an entry into level 1. What a caller set replaces what was there; what was loaded, or
    /// climbed, came because nothing was.
    pub(crate) fn put_level1(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        merit: Merit,
        is_set: bool,
        leaving: &mut Leaving<K, V>,
    ) -> SetOutcome {
        let now = self.view.clock.now();
        self.watch().tell(&key, |ear, hash| {
            entry.watch();
            ear.filled(hash, Facts { merit, ..Facts::of(&entry) }, is_set, now);
        });
        self.store.insert_with(key, entry, merit, leaving)
    }

    /// The fresh life under these options: what was tuned or is the cache's, where none was named.
    pub(crate) fn life_under(&self, options: &Options) -> Option<Duration> {
        match options.ttl {
            Some(named) => named.duration(),
            None => self.watch().life().or(self.view.core.life.duration()),
        }
    }
}
