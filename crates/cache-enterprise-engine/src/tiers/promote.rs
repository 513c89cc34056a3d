//! How often a key was hit in a tier, roughly, so that it climbs after so many hits.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use cache_enterprise_core::StoredKey;
use cache_enterprise_strategies::admission::PromotionPolicy;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Small counters shared by keys of one hash. Every `COUNTERS * 8` notes all are halved, so that
/// what was hot long ago cools down. A collision promotes early, never late.
#[derive(Debug)]
pub(crate) struct Heat {
    threshold: u32,
    counters: Box<[AtomicU8]>,
    notes: AtomicU32,
    hasher: hashbrown::DefaultHashBuilder,
    /// Who decides instead of the counters.
    policy: Option<Arc<dyn PromotionPolicy>>,
}

const COUNTERS: usize = 1 << 14;

impl Heat {
    /// Counters for promotion after `threshold` hits; none are kept when the first hit promotes.
    pub(crate) fn new(threshold: u32) -> Self {
        let len = if threshold > 1 { COUNTERS } else { 0 };
        Self {
            threshold,
            counters: (0..len).map(|_| AtomicU8::new(0)).collect(),
            notes: AtomicU32::new(0),
            hasher: hashbrown::DefaultHashBuilder::default(),
            policy: None,
        }
    }

    /// What `policy` says, or promotion after `threshold` hits where there is none.
    pub(crate) fn decided(threshold: u32, policy: Option<Arc<dyn PromotionPolicy>>) -> Self {
        let threshold = if policy.is_some() { 1 } else { threshold };
        Self { policy, ..Self::new(threshold) }
    }

    /// Notes a hit and says whether the entry should climb.
    pub(crate) fn note(&self, key: &StoredKey) -> bool {
        if let Some(policy) = &self.policy {
            return policy.promote(self.hasher.hash_one(key));
        }
        if self.threshold <= 1 {
            return true;
        }
        let counter = &self.counters[self.hasher.hash_one(key) as usize % COUNTERS];
        let hits = counter.load(Ordering::Relaxed).saturating_add(1);
        counter.store(hits, Ordering::Relaxed);
        if self.notes.fetch_add(1, Ordering::Relaxed) as usize % (COUNTERS * 8) == COUNTERS * 8 - 1
        {
            for counter in &self.counters {
                counter.store(counter.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
        u32::from(hits) >= self.threshold.min(u32::from(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_core::KeySpace;

    #[test]
    fn an_entry_climbs_at_the_hit_that_reaches_the_threshold() {
        let space = KeySpace::new("m", "", "c").expect("short names");
        let key = space.key(&1_u8).expect("short key");
        let heat = Heat::new(3);
        assert_eq!([heat.note(&key), heat.note(&key), heat.note(&key)], [false, false, true]);
        assert!(Heat::new(1).note(&key));
    }
}
