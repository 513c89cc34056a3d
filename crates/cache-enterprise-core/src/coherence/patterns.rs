//! Patterns that were ended without a look at the keys they match.
//!
//! A level that cannot list its keys cannot be walked. What matches a pattern there ends lazily:
//! the pattern is kept with its number, and an entry that is older is compared with it when it is
//! read. So both the patterns and what a comparison costs are bounded: of each cache as many are
//! kept as [`PATTERNS_MAX`], of [`PATTERN_BYTES_MAX`] each. One more ends the whole cache at the
//! number of the oldest, which is forgotten then: what is older than that one is a miss, matched
//! or not, and what is younger is compared with the others as before.

use std::sync::Arc;

use hashbrown::HashMap;

use super::Sequence;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::{Pattern, Tag};

/// Patterns that are kept of one cache of one tenant, hard and soft ones each by themselves.
pub const PATTERNS_MAX: usize = 32;

/// Longest pattern that can be ended lazily.
pub const PATTERN_BYTES_MAX: usize = 256;

/// Those of one cache, in the order of their numbers.
type Kept = Vec<(Arc<Pattern>, Sequence)>;

/// The patterns of one strength that were ended in the caches of one tenant.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// The greatest number of any, which spares most entries a look at the list.
    newest: AtomicU64,
    caches: RwLock<HashMap<Tag, Kept>>,
}

impl Patterns {
    /// Keeps `pattern`. Those up to `ended` say nothing any more, since the whole cache ended
    /// then. Where one is too many, `fold` is called with its number before it is forgotten.
    pub(super) fn raise(
        &self,
        cache: &Tag,
        pattern: &Arc<Pattern>,
        at: Sequence,
        ended: Sequence,
        fold: impl FnOnce(Sequence),
    ) {
        let mut caches = self.caches.write();
        let kept = caches.entry(cache.clone()).or_default();
        let known = kept.iter().find(|(known, _)| known == pattern).map(|(_, before)| *before);
        let at = at.max(known.unwrap_or_default());
        kept.retain(|(known, before)| *before > ended && known != pattern);
        let place = kept.partition_point(|(_, other)| *other <= at);
        kept.insert(place, (Arc::clone(pattern), at));
        if kept.len() > PATTERNS_MAX {
            fold(kept[0].1);
            kept.remove(0);
        }
        self.newest.fetch_max(at.0, Ordering::AcqRel);
    }

    /// Whether a pattern that was ended after `version` matches the text of a key. `text` is asked
    /// for only where one was.
    pub(super) fn take(
        &self,
        cache: &Tag,
        version: Sequence,
        text: impl FnOnce() -> String,
    ) -> bool {
        if version.0 >= self.newest.load(Ordering::Acquire) {
            return false;
        }
        let caches = self.caches.read();
        let Some(kept) = caches.get(cache) else { return false };
        let newer = &kept[kept.partition_point(|(_, at)| *at <= version)..];
        if newer.is_empty() {
            return false;
        }
        let text: Vec<char> = text().chars().collect();
        newer.iter().any(|(pattern, _)| pattern.takes(&text))
    }

    /// The number of the newest pattern of a cache.
    pub(super) fn newest(&self, cache: &Tag) -> Sequence {
        if self.newest.load(Ordering::Acquire) == 0 {
            return Sequence::ZERO;
        }
        let caches = self.caches.read();
        let newest = caches.get(cache).and_then(|kept| kept.last());
        newest.map_or(Sequence::ZERO, |(_, at)| *at)
    }

    /// The newest pattern after `version` that matches.
    pub(super) fn newest_taking(
        &self,
        cache: &Tag,
        version: Sequence,
        text: &str,
    ) -> Option<Arc<Pattern>> {
        let caches = self.caches.read();
        let kept = caches.get(cache)?.iter().rev();
        let newer = kept.take_while(|(_, at)| *at > version);
        newer.map(|(pattern, _)| pattern).find(|pattern| pattern.matches(text)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coherence::{EpochRecord, EpochTarget, TenantEpochs};

    fn no_text() -> String {
        unreachable!("no pattern was ended")
    }

    fn pattern(text: &str) -> EpochTarget {
        let pattern = Pattern::new(text).expect("a pattern");
        EpochTarget::Pattern("users".into(), Arc::new(pattern))
    }

    #[test]
    fn a_pattern_ends_what_it_matches_and_is_older() {
        let epochs = TenantEpochs::new(Sequence(1));
        let (users, posts) = (epochs.cache_cell("users"), epochs.cache_cell("posts"));
        let old = epochs.sequence().newest();
        epochs.raise(&pattern("user:*:temp"), epochs.sequence().take());
        let now = epochs.sequence().newest();
        let valid =
            |version, cell, text: &str| epochs.is_valid(version, cell, &[], || text.to_owned());
        assert!(!valid(old, &users, "user:7:temp"));
        assert!(valid(old, &users, "user:7:name") && valid(old, &posts, "user:7:temp"));
        assert!(epochs.is_valid(now, &users, &[], no_text), "what is newer is not compared");
        assert_eq!(epochs.newest_without_tags(&users), now);
        assert_eq!(epochs.newest_without_tags(&posts), Sequence::ZERO);
        let by = epochs.ending_pattern(old, &users, "user:7:temp");
        assert_eq!(by.as_deref().map(Pattern::as_str), Some("user:*:temp"));
    }

    #[test]
    fn a_soft_pattern_ends_freshness_and_a_hard_one_more() {
        let epochs = TenantEpochs::new(Sequence(1));
        let users = epochs.cache_cell("users");
        let old = epochs.sequence().newest();
        let text = || "a1".to_owned();
        epochs.raise(&pattern("a*").soft(), epochs.sequence().take());
        assert!(epochs.is_ended(old, &users, &[], text));
        assert!(epochs.is_valid(old, &users, &[], no_text));
        epochs.raise(&pattern("a*"), epochs.sequence().take());
        epochs.raise(&pattern("a*").soft(), epochs.sequence().take());
        assert!(!epochs.is_valid(old, &users, &[], text), "hard beats soft, in any order");
    }

    #[test]
    fn a_pattern_too_many_ends_the_whole_cache_at_the_number_of_the_oldest() {
        let epochs = TenantEpochs::new(Sequence(1));
        let users = epochs.cache_cell("users");
        let before = epochs.sequence().newest();
        let numbers: Vec<_> = (0..=PATTERNS_MAX)
            .map(|number| {
                let at = epochs.sequence().take();
                epochs.raise(&pattern(&format!("{number}:*")), at);
                at
            })
            .collect();
        let valid = |version, text: &str| epochs.is_valid(version, &users, &[], || text.to_owned());
        assert_eq!(users.epoch(), numbers[0]);
        assert!(!valid(before, "0:x"), "the pattern that was forgotten still holds");
        assert!(!valid(before, "other"), "with it ends what it did not match");
        assert!(valid(numbers[0], "other") && valid(numbers[0], "0:x"));
        assert!(!valid(numbers[0], "1:x"), "the younger ones are compared as before");
    }

    #[test]
    fn the_same_pattern_takes_one_place_and_a_cleared_cache_gives_its_places_back() {
        let epochs = TenantEpochs::new(Sequence(1));
        let users = epochs.cache_cell("users");
        for number in 0..2 * PATTERNS_MAX {
            epochs.raise(&pattern("a*"), epochs.sequence().take());
            epochs.raise(&pattern(&format!("{}:*", number % 8)), epochs.sequence().take());
        }
        assert_eq!(users.epoch(), Sequence::ZERO);
        let cleared = epochs.sequence().take();
        epochs.raise(&EpochTarget::Cache("users".into()), cleared);
        for number in 0..PATTERNS_MAX {
            epochs.raise(&pattern(&format!("later {number}")), epochs.sequence().take());
        }
        assert_eq!(users.epoch(), cleared, "patterns from before it were forgotten");
    }

    #[test]
    fn patterns_come_back_from_a_record_in_any_order() {
        let epochs = TenantEpochs::new(Sequence(1));
        let users = epochs.cache_cell("users");
        let raised = (2..50).rev().map(|number| (pattern(&format!("{number}*")), Sequence(number)));
        let record = EpochRecord {
            sequence: Sequence(60),
            epochs: raised.collect(),
            ..EpochRecord::default()
        };
        epochs.restore(&record);
        let oldest = 49 - PATTERNS_MAX as u64;
        assert_eq!(users.epoch(), Sequence(oldest));
        assert!(!epochs.is_valid(Sequence(48), &users, &[], || "49x".to_owned()));
        assert!(epochs.is_valid(Sequence(48), &users, &[], || "48x".to_owned()));
    }
}
