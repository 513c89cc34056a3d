//! `cache.entry(..)`: reading a value and deciding on the next as one step.
//!
//! A computation leads the key's flight, as a load does: others of the same key wait, and a
//! reader that finds nothing in level 1 waits for what it leaves. Under the key's lock it lands
//! only if its flight is still attached. A `set` or `remove` in between detaches it; the
//! computation is then asked again, with what came in between.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{
    CacheKey, Cached, Error, LocalStore, Lookup, Merit, RemovalCause, Tag, mutant,
};

use crate::cache::{Cache, Leaving};
use crate::error::LoadError;
use crate::filling::Said;
use crate::flight::{Follow, Followed, Join, Landing, Lead, Seat};
use crate::options::{Life, Options};
use crate::read::{Call, Source, Want};
use crate::timer::Raced;
use crate::write::{Labels, Plan};

/// What a computation wants to become of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compute<V> {
    /// It is set to this value.
    Put(V),
    /// It is removed.
    Remove,
    /// It stays as it is.
    Keep,
}

/// What a computation did.
#[derive(Debug)]
#[non_exhaustive]
pub enum Computed<V> {
    /// There was no value, and this is the new one.
    Inserted(Cached<V>),
    /// There was a value, and this is the new one.
    Replaced(Cached<V>),
    /// This value was removed.
    Removed(Cached<V>),
    /// This value was kept.
    Unchanged(Cached<V>),
    /// There was no value, and there is none.
    StillAbsent,
    /// The cache's strategy did not let this value in. What was there before it is removed.
    Declined(Cached<V>),
}

impl<V> Computed<V> {
    /// The value that is there now.
    pub fn value(&self) -> Option<&Cached<V>> {
        match self {
            Self::Inserted(value) | Self::Replaced(value) | Self::Unchanged(value) => Some(value),
            Self::Removed(_) | Self::StillAbsent | Self::Declined(_) => None,
        }
    }
}

/// One key of a cache, to be computed; see [`Cache::entry`].
#[must_use = "an entry does nothing until something is computed"]
pub struct KeyEntry<'a, K: CacheKey, V: Send + Sync + 'static> {
    cache: &'a Cache<K, V>,
    key: K,
    options: Options,
    tags: Vec<Tag>,
    /// What a strategy hears of the value.
    said: Said,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The entry of `key`, to decide on its next value by the one it has.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, Compute, Computed, block_on};
    ///
    /// static VISITS: CacheSpec<String, u64> = CacheSpec::new("visits").ttl(mins(5));
    /// let visits = CacheManager::in_memory(Capacity::entries(100))?.open(&VISITS)?;
    /// let visit = || {
    ///     visits.entry("home").and_compute_with(|old| async move {
    ///         Compute::Put(old.map_or(0, |old| *old) + 1)
    ///     })
    /// };
    /// block_on(async {
    ///     assert!(matches!(visit().await, Ok(Computed::Inserted(visits)) if *visits == 1));
    ///     assert!(matches!(visit().await, Ok(Computed::Replaced(visits)) if *visits == 2));
    /// });
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub fn entry<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> KeyEntry<'_, K, V> {
        let options = self.view.core.options;
        KeyEntry {
            cache: self,
            key: key.to_key(),
            options,
            tags: Vec::new(),
            said: Said::default(),
        }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> KeyEntry<'_, K, V> {
    /// Life of the new value. Default: the spec's.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = Some(Life::For(ttl));
        self
    }

    /// Labels the new value. Default: none.
    pub fn tags<I>(mut self, tags: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Tag>,
    {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Names the kind of value, for a strategy to hear. Default: none.
    pub fn data_type(mut self, data_type: impl Into<Box<str>>) -> Self {
        self.said.data_type = Some(data_type.into());
        self
    }

    /// Says something of the new value that a strategy asks for; see
    /// [`Set::attribute`](crate::Set::attribute). Default: nothing.
    pub fn attribute(mut self, name: impl Into<Box<str>>, text: impl Into<Box<str>>) -> Self {
        self.said.attributes.push((name.into(), text.into()));
        self
    }

    /// Gives the value that level 1 or a tier holds to `compute`, and does what it says. In this
    /// process no other computation and no load of the key runs meanwhile. Where the key is set or
    /// removed meanwhile, `compute` is asked again, with what is there then.
    ///
    /// Between processes it is a `set` like any other: the later one wins. Where that is not
    /// enough see [`set_if_version`](Cache::set_if_version). A strategy is asked as by a `set`;
    /// what it does not let in answers [`Computed::Declined`].
    ///
    /// # Errors
    /// [`LoadError::Timeout`] after the hard timeout, [`LoadError::Recursive`] inside a load or
    /// computation of the same key, [`LoadError::Cache`] for an invalid tag, and where a tier
    /// fails in a manager that [fails fast](crate::Failover::FailFast).
    ///
    /// # Panics
    /// With the panic of `compute`; nothing has changed then.
    pub async fn and_compute_with<F, Fut>(
        self,
        mut compute: F,
    ) -> Result<Computed<V>, LoadError<Infallible>>
    where
        F: FnMut(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Compute<V>>,
    {
        self.and_try_compute_with(|old| {
            let computed = compute(old);
            async { Ok(computed.await) }
        })
        .await
    }

    /// As [`and_compute_with`](Self::and_compute_with), for what can fail.
    ///
    /// # Errors
    /// Those of [`and_compute_with`](Self::and_compute_with), and that of `compute`; nothing has
    /// changed then.
    pub async fn and_try_compute_with<F, Fut, E>(
        self,
        mut compute: F,
    ) -> Result<Computed<V>, LoadError<E>>
    where
        F: FnMut(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Result<Compute<V>, E>>,
    {
        let Self { cache, key, options, tags, said } = self;
        if tags.iter().any(Tag::is_invalid) {
            let error = Error::invalid("a tag is empty or over 512 bytes").operation("compute");
            return Err(LoadError::Cache(error));
        }
        let call = Call { want: Want::Lookup, ..Call::with(options, tags) };
        let call = cache.timed(call);
        if cache.view.has_tiers()
            && let Raced::TimedOut = Box::pin(cache.in_time(&call, cache.prepare_below())).await
        {
            return Err(LoadError::Timeout);
        }
        loop {
            let seat = cache.claim_key(&key, &call).await?;
            let lead = Lead::new(&cache.view.core.flights, seat, cache.leads_until(&call));
            let done = cache.compute_once(&key, lead, &mut compute, (&call, &said)).await?;
            if let Some(computed) = done {
                return Ok(computed);
            }
        }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The lead of the key's flight, whatever level 1 holds.
    async fn claim_key<E>(&self, key: &K, call: &Call) -> Result<Seat<V>, LoadError<E>> {
        loop {
            if self.is_over(call) {
                return Err(LoadError::Timeout);
            }
            let make =
                || cache_enterprise_core::Scoped { tenant: self.tenant_id, key: key.clone() };
            let arrival = self.arrival(call);
            let flights = &self.view.core.flights;
            match flights.join(&self.scoped(key), || None, make, arrival) {
                Join::Known(_) => unreachable!("nothing was looked for"),
                Join::Lead(seat) => return Ok(seat),
                Join::Follow(seat) => {
                    let Some(follow) = Follow::enter(Arc::clone(&seat.flight)) else {
                        return Err(LoadError::Recursive);
                    };
                    match self.in_time(call, follow).await {
                        Raced::TimedOut => return Err(LoadError::Timeout),
                        Raced::Done(Followed::Lead) => return Ok(seat),
                        Raced::Done(_) => {}
                    }
                }
            }
        }
    }

    /// One try: `None` when a `set` or `remove` came in between.
    async fn compute_once<F, Fut, E>(
        &self,
        key: &K,
        mut lead: Lead<'_, K, V>,
        compute: &mut F,
        (call, said): (&Call, &Said),
    ) -> Result<Option<Computed<V>>, LoadError<E>>
    where
        F: FnMut(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Result<Compute<V>, E>>,
    {
        let held = self.hit(key);
        let old = match held {
            Some(hit) => Some(hit),
            None => {
                let below = Box::pin(self.peek_below(key, &mut lead));
                match self.in_time(call, below).await {
                    Raced::Done(Ok(found)) => found,
                    Raced::Done(Err(error)) => return Err(LoadError::Cache(error)),
                    Raced::TimedOut => return Err(LoadError::Timeout),
                }
            }
        };
        // What those get who wait for the flight when nothing changes.
        let unchanged = old.clone();
        let unchanged =
            unchanged.map_or(Landing::Missing, |value| Landing::Value(value, Source::Memory));
        match self.in_time(call, lead.run(compute(old.clone()))).await {
            Raced::TimedOut => {
                lead.land_empty(unchanged);
                Err(LoadError::Timeout)
            }
            Raced::Done(Err(error)) => {
                lead.land_empty(unchanged);
                Err(LoadError::Loader(Arc::new(error)))
            }
            Raced::Done(Ok(Compute::Keep)) => {
                lead.land_empty(unchanged);
                Ok(Some(old.map_or(Computed::StillAbsent, Computed::Unchanged)))
            }
            Raced::Done(Ok(Compute::Put(value))) => {
                let mut options = *self.options(call);
                let advice = self.advise(key, &value, &options, Some(said), None);
                if advice.is_some_and(|advice| !advice.is_kept) {
                    self.view.core.counts.declined.add(1);
                    let removed = Box::pin(self.land_removal(key, lead)).await;
                    return Ok(removed.then(|| Computed::Declined(self.unstored(value))));
                }
                let ttl = advice.and_then(|advice| advice.ttl);
                options.ttl = ttl.map(Life::For).or(options.ttl);
                let merit = advice.map_or(Merit::NORMAL, |advice| advice.merit);
                let kept = (&options, merit);
                let (tags, data_type) = (call.tags.clone(), said.data_type.clone());
                let put = self.land_computed(key, lead, value, Labels { tags, data_type }, kept);
                Ok(Box::pin(put).await.map(|value| match old {
                    Some(_) => Computed::Replaced(value),
                    None => Computed::Inserted(value),
                }))
            }
            Raced::Done(Ok(Compute::Remove)) => match old {
                None => {
                    lead.land_empty(unchanged);
                    Ok(Some(Computed::StillAbsent))
                }
                Some(old) => {
                    let removed = Box::pin(self.land_removal(key, lead)).await;
                    Ok(removed.then_some(Computed::Removed(old)))
                }
            },
        }
    }

    /// Sets the value if the flight is still attached, and tells the tiers.
    async fn land_computed(
        &self,
        key: &K,
        lead: Lead<'_, K, V>,
        value: V,
        Labels { tags, data_type }: Labels,
        (options, merit): (&Options, Merit),
    ) -> Option<Cached<V>> {
        let number = self.number_below().await;
        let checked = self.view.tenant.epochs.changes();
        let (at, now) = (self.numbered(&number), self.view.clock.now());
        let tags = self.labelled(key, tags);
        let plan = self.plan(at, checked, now, tags, options);
        let plan = Plan { data_type, ..plan };
        let sealed = self.seal(key, &value, &plan, 0);
        let encoded_len = sealed.as_ref().map(|sealed| sealed.plain_len());
        let entry = self.make_entry(lead.key_heap_bytes(), value, &plan, encoded_len);
        let cached = Cached::new(Arc::clone(&entry), now);
        let mut leaving = Leaving::<K, V>::default();
        let is_blind = mutant::breaks("a computation that was overtaken is asked again");
        let landed = lead.land(
            || Landing::Value(cached.clone(), Source::Loader),
            |owned| {
                self.forget_absence(&self.scoped(&owned.key));
                self.note_name(&owned.key);
                let fence = self.fence_below(&owned.key, at);
                self.put_level1(owned, Arc::clone(&entry), merit, true, &mut leaving);
                fence
            },
        );
        drop(leaving);
        let fence = match landed {
            Some(fence) => fence,
            None if is_blind => return Some(cached),
            None => return None,
        };
        // A tier that failed was reported; until it is told, what it still holds is a miss.
        let _ = self.replace_below(sealed, fence, at).await;
        self.end_dependents([key], false).await;
        Some(cached)
    }

    /// Removes the key if the flight is still attached, and tells the tiers.
    async fn land_removal(&self, key: &K, lead: Lead<'_, K, V>) -> bool {
        let number = self.number_below().await;
        let at = self.numbered(&number);
        let mut leaving = Leaving::<K, V>::default();
        let landed = lead.land(
            || Landing::Missing,
            |owned| {
                let scoped = self.scoped(&owned.key);
                self.store.remove(&scoped, RemovalCause::Removed, &mut leaving);
                self.note_removed(&scoped);
                self.forget_absence(&scoped);
                self.fence_below(&owned.key, at)
            },
        );
        drop(leaving);
        let Some(fence) = landed else { return false };
        // As for a value.
        let _ = self.remove_below(fence, at).await;
        self.end_dependents([key], false).await;
        self.tell_keys([key], false);
        true
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> fmt::Debug for KeyEntry<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEntry").field("cache", &self.cache).finish_non_exhaustive()
    }
}
