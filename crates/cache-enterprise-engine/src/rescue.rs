//! Values that answer in the place of a load, and loads that failed lately.
//!
//! A hard removal or invalidation beats every fallback. So no older value is handed on that was
//! looked at some time ago: where it is used it is looked at again, in level 1 by whether it is
//! still there, from a tier by the gate of its key, and both by their epochs.

use std::any::Any;
use std::sync::Arc;

use cache_enterprise_core::{
    CacheKey, Cached, Freshness, LocalStore, Lookup, mutant, saturating_millis,
};

use crate::cache::Cache;
use crate::flight::{Landing, Lead};
use crate::policy::OnError;
use crate::read::{Answer, Call, Source, Stale};

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The best older value there is: what a tier gave, unless level 1 keeps a later one.
    pub(crate) fn older<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        below: Option<Stale<V>>,
    ) -> Option<Arc<Stale<V>>> {
        let made = |stale: &Stale<V>| Cached::entry(&stale.value).created();
        let older = match (self.kept(key), below) {
            // Of two alike that of the tier is preferred, for the bytes it brings.
            (Some(kept), Some(below)) if made(&kept) > made(&below) + 1 => Some(kept),
            (kept, below) => below.or(kept),
        };
        older.map(Arc::new)
    }

    /// What level 1 keeps under `key`, fresh or not.
    fn kept<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Option<Stale<V>> {
        let entry = self.store.peek(&self.scoped(key))?;
        let now = self.view.clock.now();
        let is_kept = self.is_valid(key, &entry) && entry.freshness(now) != Freshness::Expired;
        is_kept.then(|| Stale { value: Cached::new(entry, now), hold: None })
    }

    /// Whether nothing has ended an older value since it was found.
    pub(crate) fn stands<Q: Lookup<K> + ?Sized>(&self, key: &Q, stale: &Stale<V>) -> bool {
        if mutant::breaks("a fallback is looked at again where it is used") {
            return true;
        }
        let entry = Cached::entry(&stale.value);
        let is_there = match &stale.hold {
            Some(hold) => hold.admits(entry.version()),
            None => {
                let held = self.store.peek(&self.scoped(key));
                held.is_some_and(|held| Arc::ptr_eq(&held, entry))
            }
        };
        let is_valid = is_there && self.is_valid(key, entry);
        is_valid && entry.freshness(self.view.clock.now()) != Freshness::Expired
    }

    /// An older value that may answer because a load failed, was given up, or is not tried.
    pub(crate) fn rescue<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        stale: Option<&Stale<V>>,
        call: &Call,
    ) -> Option<Cached<V>> {
        if let Some(kept) = self.fallback(key, call) {
            return Some(kept);
        }
        let stale = stale?;
        let fresh_until = Cached::entry(&stale.value).dates().fresh_until;
        let may_answer = self.is_in_grace(fresh_until, call) && self.stands(key, stale);
        may_answer.then(|| stale.value.clone())
    }

    /// Whether an older value answers this call at once, while it is refreshed.
    pub(crate) fn answers_at_once(&self, value: &Cached<V>, call: &Call) -> bool {
        let Some(grace) = self.options(call).stale_for else { return false };
        if mutant::breaks("an older value answers before its refresh") {
            return false;
        }
        let fresh_until = Cached::entry(value).dates().fresh_until;
        self.view.clock.now() < fresh_until.saturating_add(saturating_millis(grace))
    }

    /// Whether the loads of `key` failed lately, so that an older value is not refreshed yet.
    pub(crate) fn is_resting<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        if mutant::breaks("a key whose load failed rests") {
            return false;
        }
        let since = self.view.tenant.epochs.newest_without_tags(&self.view.cell);
        let now = self.view.clock.now();
        self.view.core.failures.is_resting(&self.scoped(key), now, since)
    }

    /// Ends a flight without asking the loader: where the key rests and an older value may answer,
    /// or an error is kept for it. Otherwise the lead goes on.
    pub(crate) fn rest<'a, Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        lead: Lead<'a, K, V>,
        stale: Option<&Arc<Stale<V>>>,
        call: &Call,
    ) -> Result<Lead<'a, K, V>, Answer<V>> {
        if call.access.is_refresh() || self.view.core.failures.are_none() {
            return Ok(lead);
        }
        if self.is_resting(key)
            && let Some(value) = self.rescue(key, stale.map(|stale| &**stale), call)
        {
            self.view.core.counts.stale_served.add(1);
            lead.land_empty(Landing::Value(value.clone(), Source::Memory));
            return Err(Answer::Value(value, Source::Memory.into()));
        }
        let since = self.view.tenant.epochs.newest_without_tags(&self.view.cell);
        let now = self.view.clock.now();
        let kept = self.view.core.failures.error(&self.scoped(key), now, since);
        match kept.filter(|error| call.error == Some(Any::type_id(&**error))) {
            Some(error) => {
                lead.land_empty(Landing::Failed(Arc::clone(&error)));
                Err(Answer::Failed(error))
            }
            None => Ok(lead),
        }
    }

    /// Notes that a load failed, if it was still wanted.
    pub(crate) fn note_failure(&self, lead: &Lead<'_, K, V>, failure: &Landing<V>, call: &Call) {
        let kept = match (failure, self.options(call).on_error) {
            (Landing::Failed(error), Some(OnError::CacheFor(keep))) => {
                Some((Arc::clone(error), saturating_millis(keep)))
            }
            _ => None,
        };
        let now = self.view.clock.now();
        let failures = &self.view.core.failures;
        lead.if_attached(|key| failures.note(key.clone(), lead.started(), now, kept));
    }

    /// Whether others try their own loaders after this call's has failed.
    pub(crate) fn lets_next_retry(&self, call: &Call) -> bool {
        self.options(call).on_error == Some(OnError::RetryNext)
    }
}
