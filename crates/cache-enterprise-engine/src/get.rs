//! The reads a caller sees. Each asks level 1 first, at its first poll and without awaiting
//! anything; what follows a miss is told in `read`.

use std::any::TypeId;
use std::future::Future;

use cache_enterprise_core::{CacheKey, Cached, LocalStore, Lookup, Result, mutant};

use crate::cache::Cache;
use crate::climb::{NoError, loaded_by};
use crate::context::Fetched;
use crate::error::{LoadError, found_of};
use crate::hit_or::{Climb, HitOf, HitOr};
use crate::read::{Answer, Call, Hit, Source, Want};

/// The answer to a loader that may fail.
type Loaded<V, E> = std::result::Result<Cached<V>, LoadError<E>>;

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The value under `key` from any level, or `None` when no level holds it.
    ///
    /// # Errors
    /// When the key is over its length limit and tiers would have to be asked. A tier that fails
    /// is not an error: the next level is asked, unless the manager
    /// [fails fast](crate::Failover::FailFast).
    #[inline]
    pub fn get<'a, Q>(
        &'a self,
        key: &'a Q,
    ) -> impl Future<Output = Result<Option<Cached<V>>>> + use<'a, K, V, Q>
    where
        Q: Lookup<K> + ?Sized,
    {
        HitOr::new(Get, (self, key), |(cache, key), _| {
            Climb::Going(Box::pin(async move {
                let found = cache.look_below(key, cache.call(Want::Lookup)).await?;
                Ok(found.map(|(value, _)| value))
            }))
        })
    }

    /// As [`get`](Self::get), with level, age and version.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn get_entry<'a, Q>(
        &'a self,
        key: &'a Q,
    ) -> impl Future<Output = Result<Option<Hit<V>>>> + use<'a, K, V, Q>
    where
        Q: Lookup<K> + ?Sized,
    {
        HitOr::new(GetEntry, (self, key), |(cache, key), _| {
            Climb::Going(Box::pin(async move {
                let found = cache.look_below(key, cache.call(Want::Lookup)).await?;
                Ok(found.map(|(value, via)| Hit::new(value, via)))
            }))
        })
    }

    /// The value under `key` if level 1 holds it: synchronous, and without effect on eviction.
    pub fn peek<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Option<Cached<V>> {
        let entry = self.store.peek(&self.scoped(key))?;
        let now = self.view.clock.now();
        self.is_usable(key, &entry, now).then(|| Cached::new(entry, now))
    }

    /// Whether level 1 would answer `key` now.
    pub fn contains<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        if mutant::breaks("reads of every kind ask the epochs") {
            return self.store.peek(&self.scoped(key)).is_some();
        }
        self.peek(key).is_some()
    }

    /// The value under `key`, loaded when no level holds it. Callers of one key share one load.
    ///
    /// The loader runs inside this task; when this call is dropped the next waiter's own loader
    /// takes over. Cannot fail: a loader that asks for its own key runs unshared and stores
    /// nothing.
    ///
    /// # Panics
    /// With the loader's own panic, in the caller whose loader panicked.
    #[inline]
    pub fn get_with<'a, Q, F, Fut, O>(
        &'a self,
        key: &'a Q,
        load: F,
    ) -> impl Future<Output = Cached<V>> + use<'a, K, V, Q, F, Fut, O>
    where
        Q: Lookup<K> + ?Sized,
        F: FnOnce() -> Fut,
        Fut: Future<Output = O>,
        O: Into<V>,
    {
        HitOr::new(GetWith, (self, key, load), |(cache, key, load), cx| {
            let loader = |_| async { Ok(Fetched::Value(load().await.into())) };
            let give = |answer| match answer {
                Answer::Value(value, _) => value,
                Answer::Absent
                | Answer::Failed(_)
                | Answer::Broken(_)
                | Answer::Recursive
                | Answer::Overloaded
                | Answer::TimedOut => {
                    unreachable!("an infallible loader gives a value: recursion is unshared")
                }
            };
            let call = cache.call(Want::Value);
            cache.climb_at_once::<_, _, _, NoError, _, _>(key, loader, call, give, cx)
        })
    }

    /// As [`get_with`](Self::get_with) for loaders that can fail. An error is shared by all who
    /// waited for the load, and never stored. With `stale_if_error` on the spec, a value past its
    /// life answers instead of the error.
    ///
    /// # Errors
    /// The loader's, [`LoadError::Recursive`], or [`LoadError::Timeout`] after the hard timeout.
    ///
    /// # Panics
    /// With the loader's own panic, in the caller whose loader panicked.
    #[inline]
    pub fn try_get_with<'a, Q, F, Fut, O, E>(
        &'a self,
        key: &'a Q,
        load: F,
    ) -> impl Future<Output = Loaded<V, E>> + use<'a, K, V, Q, F, Fut, O, E>
    where
        Q: Lookup<K> + ?Sized,
        F: FnOnce() -> Fut,
        Fut: Future<Output = std::result::Result<O, E>>,
        O: Into<V>,
        E: Send + Sync + 'static,
    {
        HitOr::new(TryGetWith, (self, key, load), |(cache, key, load), cx| {
            let call = cache.timed(cache.call(Want::Value));
            let call = Call { error: Some(TypeId::of::<E>()), ..call };
            let give = |answer| found_of(answer).map(|(value, _)| value);
            let loader = |_| loaded_by(load);
            cache.climb_at_once::<_, _, _, E, _, _>(key, loader, call, give, cx)
        })
    }

    /// As [`get_with`](Self::get_with) for loaders that may find nothing. That there is nothing is
    /// remembered for the spec's `negative_ttl`, in level 1, in a store of its own that is bounded
    /// to an eighth of the cache's.
    ///
    /// # Panics
    /// With the loader's own panic, in the caller whose loader panicked.
    #[inline]
    pub fn get_opt_with<'a, Q, F, Fut, O>(
        &'a self,
        key: &'a Q,
        load: F,
    ) -> impl Future<Output = Option<Cached<V>>> + use<'a, K, V, Q, F, Fut, O>
    where
        Q: Lookup<K> + ?Sized,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Option<O>>,
        O: Into<V>,
    {
        HitOr::new(GetOptWith, (self, key, load), |(cache, key, load), cx| {
            let loader = |_| async { Ok(Fetched::from(load().await.map(Into::into))) };
            let give = |answer| match answer {
                Answer::Value(value, _) => Some(value),
                _ => None,
            };
            let call = cache.call(Want::Option);
            cache.climb_at_once::<_, _, _, NoError, _, _>(key, loader, call, give, cx)
        })
    }

    /// Whether a miss in level 1 is the answer, because there is no other level; counts it then.
    #[cold]
    #[inline(never)]
    fn is_missed_by_all<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        let is_alone = !self.view.has_tiers();
        if is_alone {
            self.view.core.counts.misses.add(1);
            self.note_demand(key);
            self.bury(key);
        }
        is_alone
    }
}

// The reads above, by what level 1 answers to each.
struct Get;
struct GetEntry;
struct GetWith;
struct TryGetWith;
struct GetOptWith;

/// The arguments of a look-up.
type Asked<'a, K, V, Q> = (&'a Cache<K, V>, &'a Q);
/// Those of a read that loads.
type AskedWith<'a, K, V, Q, F> = (&'a Cache<K, V>, &'a Q, F);

impl<K, V, Q> HitOf<Asked<'_, K, V, Q>, Result<Option<Cached<V>>>> for Get
where
    K: CacheKey,
    V: Send + Sync + 'static,
    Q: Lookup<K> + ?Sized,
{
    #[inline(always)]
    fn hit(&(cache, key): &Asked<'_, K, V, Q>) -> Option<Result<Option<Cached<V>>>> {
        match cache.hit(key) {
            Some(hit) => Some(Ok(Some(hit))),
            None => cache.is_missed_by_all(key).then_some(Ok(None)),
        }
    }
}

impl<K, V, Q> HitOf<Asked<'_, K, V, Q>, Result<Option<Hit<V>>>> for GetEntry
where
    K: CacheKey,
    V: Send + Sync + 'static,
    Q: Lookup<K> + ?Sized,
{
    #[inline(always)]
    fn hit(&(cache, key): &Asked<'_, K, V, Q>) -> Option<Result<Option<Hit<V>>>> {
        match cache.hit(key) {
            Some(hit) => Some(Ok(Some(Hit::new(hit, Source::Memory)))),
            None => cache.is_missed_by_all(key).then_some(Ok(None)),
        }
    }
}

impl<K, V, Q, F> HitOf<AskedWith<'_, K, V, Q, F>, Cached<V>> for GetWith
where
    K: CacheKey,
    V: Send + Sync + 'static,
    Q: Lookup<K> + ?Sized,
{
    #[inline(always)]
    fn hit((cache, key, _): &AskedWith<'_, K, V, Q, F>) -> Option<Cached<V>> {
        cache.hit(*key)
    }
}

impl<K, V, Q, F, E> HitOf<AskedWith<'_, K, V, Q, F>, Loaded<V, E>> for TryGetWith
where
    K: CacheKey,
    V: Send + Sync + 'static,
    Q: Lookup<K> + ?Sized,
{
    #[inline(always)]
    fn hit((cache, key, _): &AskedWith<'_, K, V, Q, F>) -> Option<Loaded<V, E>> {
        cache.hit(*key).map(Ok)
    }
}

impl<K, V, Q, F> HitOf<AskedWith<'_, K, V, Q, F>, Option<Cached<V>>> for GetOptWith
where
    K: CacheKey,
    V: Send + Sync + 'static,
    Q: Lookup<K> + ?Sized,
{
    #[inline(always)]
    fn hit((cache, key, _): &AskedWith<'_, K, V, Q, F>) -> Option<Option<Cached<V>>> {
        match cache.hit(*key) {
            Some(hit) => Some(Some(hit)),
            None => cache.is_known_absent(*key).then_some(None),
        }
    }
}
