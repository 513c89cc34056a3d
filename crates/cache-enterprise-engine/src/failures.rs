//! Keys whose loads failed lately: when they are tried again, and errors that are kept.
//!
//! A key rests after a failed load, longer after each: while it does, an older value answers
//! without asking its origin. A key without an older value is loaded whenever it is asked for,
//! unless its error is kept. Bounded: past its limit the table forgets those that rest no longer,
//! then any.

use std::any::Any;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cache_enterprise_core::sync::{MapHashBuilder, Mutex};
use cache_enterprise_core::{CacheKey, Millis, Scoped, Sequence};
use equivalent::Equivalent;
use hashbrown::HashMap;

/// Most keys that are remembered.
const KEYS_MAX: usize = 4_096;

/// The first rest, in milliseconds; each further one is twice as long.
const REST_FIRST: Millis = 1_000;

/// The longest rest.
const REST_MOST: Millis = 30_000;

/// An error that all callers share.
pub(crate) type SharedError = Arc<dyn Any + Send + Sync>;

/// The failed loads of one cache.
#[derive(Debug)]
pub(crate) struct Failures<K> {
    keys: Mutex<HashMap<Scoped<K>, Failure, MapHashBuilder>>,
    /// How many there are, so that nobody asks an empty table.
    len: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Failure {
    /// In a row.
    failures: u32,
    rests_until: Millis,
    /// The sequence the load started at: what is invalidated later has not failed yet.
    started: Sequence,
    kept: Option<(SharedError, Millis)>,
}

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self { keys: Mutex::new(HashMap::default()), len: AtomicUsize::new(0) }
    }
}

impl<K: CacheKey> Failures<K> {
    /// Notes that a load of `key` failed at `now`. Its error is kept for `keep` milliseconds.
    pub(crate) fn note(
        &self,
        key: Scoped<K>,
        started: Sequence,
        now: Millis,
        error: Option<(SharedError, Millis)>,
    ) {
        let mut keys = self.keys.lock();
        if keys.len() >= KEYS_MAX && !keys.contains_key(&key) {
            make_room(&mut keys, now);
        }
        let kept = error.map(|(error, keep)| (error, now.saturating_add(keep)));
        let failures = keys.get(&key).map_or(0, |failure| failure.failures).saturating_add(1);
        let rest = REST_FIRST << (failures - 1).min(8);
        let rests_until = now.saturating_add(rest.min(REST_MOST));
        keys.insert(key, Failure { failures, rests_until, started, kept });
        self.len.store(keys.len(), Ordering::Release);
    }

    /// Whether no load failed lately.
    pub(crate) fn are_none(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// Forgets a key: it was loaded, set or removed.
    pub(crate) fn forget<Q>(&self, key: &Q)
    where
        Q: ?Sized + Hash + Equivalent<Scoped<K>>,
    {
        if self.are_none() {
            return;
        }
        let mut keys = self.keys.lock();
        keys.remove(key);
        self.len.store(keys.len(), Ordering::Release);
    }

    /// Whether `key` rests at `now`. What failed before `since` tells nothing.
    pub(crate) fn is_resting<Q>(&self, key: &Q, now: Millis, since: Sequence) -> bool
    where
        Q: ?Sized + Hash + Equivalent<Scoped<K>>,
    {
        self.look(key, since, |failure| (now < failure.rests_until).then_some(())).is_some()
    }

    /// The error that is kept for `key`.
    pub(crate) fn error<Q>(&self, key: &Q, now: Millis, since: Sequence) -> Option<SharedError>
    where
        Q: ?Sized + Hash + Equivalent<Scoped<K>>,
    {
        self.look(key, since, |failure| {
            let (error, until) = failure.kept.as_ref()?;
            (now < *until).then(|| Arc::clone(error))
        })
    }

    fn look<Q, R>(
        &self,
        key: &Q,
        since: Sequence,
        ask: impl FnOnce(&Failure) -> Option<R>,
    ) -> Option<R>
    where
        Q: ?Sized + Hash + Equivalent<Scoped<K>>,
    {
        if self.are_none() {
            return None;
        }
        let keys = self.keys.lock();
        keys.get(key).filter(|failure| failure.started >= since).and_then(ask)
    }
}

/// Forgets what rests no longer, or else an eighth, so that a full table is not walked each time.
#[cold]
fn make_room<K: CacheKey>(keys: &mut HashMap<Scoped<K>, Failure, MapHashBuilder>, now: Millis) {
    keys.retain(|_, failure| now < failure.rests_until);
    if keys.len() >= KEYS_MAX {
        let mut surplus = KEYS_MAX / 8;
        keys.retain(|_, _| {
            surplus = surplus.saturating_sub(1);
            surplus == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: u64) -> Scoped<u64> {
        Scoped { tenant: 0, key }
    }

    #[test]
    fn rests_double_to_half_a_minute_and_end_with_a_success() {
        let failures = Failures::default();
        let mut now = 0;
        for rest in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            failures.note(key(1), Sequence(5), now, None);
            assert!(failures.is_resting(&key(1), now + rest - 1, Sequence(5)));
            assert!(!failures.is_resting(&key(1), now + rest, Sequence(5)));
            now += rest;
        }
        failures.note(key(1), Sequence(5), now, None);
        assert!(!failures.is_resting(&key(1), now, Sequence(6)), "invalidated since");
        failures.forget(&key(1));
        failures.note(key(1), Sequence(5), now, None);
        assert!(!failures.is_resting(&key(1), now + 1_000, Sequence(5)), "from the start again");
    }

    #[test]
    fn an_error_is_kept_as_long_as_it_was_told() {
        let failures = Failures::default();
        let error: SharedError = Arc::new("down");
        failures.note(key(1), Sequence(5), 0, Some((error, 100)));
        assert!(failures.error(&key(1), 99, Sequence(5)).is_some_and(|error| error.is::<&str>()));
        assert!(failures.error(&key(1), 100, Sequence(5)).is_none());
        assert!(failures.error(&key(2), 0, Sequence(5)).is_none());
    }

    #[test]
    fn a_million_failing_keys_take_the_room_of_a_few() {
        let failures = Failures::default();
        for n in 0..1_000_000 {
            failures.note(key(n), Sequence(5), n / 1_000, None);
        }
        assert!(failures.keys.lock().len() <= KEYS_MAX);
        assert!(failures.is_resting(&key(999_999), 999, Sequence(5)));
    }
}
