//! Writing: `set`, `remove`, `expire`, and the landing of loads.
//!
//! Every change of level 1 happens under the lock of the key's flight shard. `set` and `remove`
//! take a number of the tenant's sequence there and detach the key's flight; a landing asks there
//! whether its flight is still attached. So a load that began before a `remove` never stores.

use std::time::Duration;

use cache_enterprise_core::{
    CacheKey, CacheLevel, Cached, Dates, Detail, Early, Entry, Freshness, LocalStore, Lookup,
    Merit, Millis, NEVER, Priority, RemovalCause, Scoped, Sequence, SetOutcome, Tag, mutant,
    saturating_millis,
};
use std::sync::Arc;

use crate::cache::{Cache, Leaving};
use crate::filling::{Advice, AsLoaded};
use crate::flight::{Landing, Lead};
use crate::names::Names;
use crate::options::{Life, Options};
use crate::read::{Answer, Call, Source};
use crate::settle::Settled;
use crate::weight::value_bytes;
use crate::{Fence, Number, Sealed};

/// Everything about an entry but its value.
pub(crate) struct Plan {
    pub(crate) version: Sequence,
    pub(crate) checked: u64,
    /// The entry's own life, the same at every level.
    pub(crate) dates: Dates,
    /// When the copy in level 1 ends at the latest.
    pub(crate) l1_until: Millis,
    pub(crate) tags: Vec<Tag>,
    pub(crate) priority: Priority,
    pub(crate) idle: Option<Duration>,
    /// When it is loaded anew before its fresh life is over.
    pub(crate) early: Option<Early>,
    pub(crate) etag: Option<Box<str>>,
    /// The kind of value, where its writer or loader named one.
    pub(crate) data_type: Option<Box<str>>,
}

/// What a writer says of its value besides how long it lives.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    pub(crate) tags: Vec<Tag>,
    /// The kind of value, where the writer named one.
    pub(crate) data_type: Option<Box<str>>,
}

/// How a caller's value is set.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    pub(crate) options: &'a Options,
    pub(crate) number: &'a Number,
    /// What speaks for keeping it.
    pub(crate) merit: Merit,
}

impl<'a> How<'a> {
    /// With a number of the process's own.
    pub(crate) fn own(options: &'a Options, merit: Merit) -> Self {
        Self { options, number: &Number::OWN, merit }
    }
}

impl Plan {
    /// The dates of the copy in level 1: the entry's, cut at `l1_until`.
    pub(crate) fn l1_dates(&self) -> Dates {
        Dates {
            created: self.dates.created,
            fresh_until: self.dates.fresh_until.min(self.l1_until),
            expires: self.dates.expires.min(self.l1_until),
        }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Removes `key` from every level, hard: no read that begins after this call returned sees
    /// the old value, and a load that began before it does not store. What was
    /// [derived](crate::Set::depends_on) from it ends too. Says whether level 1 or a tier held
    /// something.
    pub async fn remove<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        let was_held = self.remove_alone(key).await;
        self.end_dependents([key], false).await;
        self.tell_keys([key], false);
        was_held
    }

    /// Removes `key` and tells nobody who was derived from it.
    pub(crate) async fn remove_alone<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        if !self.view.has_tiers() {
            return self.remove_level1(key, &Number::OWN).1;
        }
        self.prepare_below().await;
        let number = self.number_below().await;
        let (at, was_held, fence) = self.remove_level1(key, &number);
        // A tier that failed was reported; until it is told, what it still holds is a miss.
        Box::pin(self.remove_below(fence, at)).await.unwrap_or(false) || was_held
    }

    /// Ends the fresh life of `key` at every level, softly: it may still answer as a fallback
    /// while its grace lasts. What was derived from it ends likewise. Says whether level 1 held
    /// it.
    pub async fn expire<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        let was_held = self.expire_alone(key).await;
        self.end_dependents([key], true).await;
        self.tell_keys([key], true);
        was_held
    }

    async fn expire_alone<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        if self.view.has_tiers() {
            self.prepare_below().await;
            let number = self.number_below().await;
            // Level 1 comes last: what a reader takes up from a tier meanwhile is ended with it.
            let at = self.numbered(&number);
            // A tier that failed was reported; until it is told, what it holds is a miss.
            let _ = Box::pin(self.expire_below(key.to_key(), at)).await;
        }
        let scoped = self.scoped(key);
        let mut lock = self.view.core.flights.lock(&scoped);
        lock.detach(&scoped);
        let Some(entry) = self.store.peek(&scoped) else { return false };
        let now = self.view.clock.now();
        let was_fresh = self.is_usable(key, &entry, now);
        entry.end_freshness(now);
        was_fresh
    }

    /// Takes an invalidated entry out of level 1, where a read has found it. Invalidating walks
    /// over no entries; what is never read again is evicted or expires.
    pub(crate) fn bury<Q: Lookup<K> + ?Sized>(&self, key: &Q) {
        if self.view.tenant.epochs.has_never_changed() {
            return;
        }
        let scoped = self.scoped(key);
        let takes_all = mutant::breaks("a read takes out what was invalidated and no more");
        let is_invalid =
            || self.store.peek(&scoped).is_some_and(|held| takes_all || !self.recheck(key, &held));
        if !is_invalid() {
            return;
        }
        let mut leaving = Leaving::<K, V>::default();
        let lock = self.view.core.flights.lock(&scoped);
        if is_invalid() {
            self.store.remove(&scoped, RemovalCause::Invalidated, &mut leaving);
        }
        drop(lock);
        drop(leaving);
    }

    /// The number that was taken, or the process's next.
    pub(crate) fn numbered(&self, number: &Number) -> Sequence {
        number.taken().unwrap_or_else(|| self.view.tenant.epochs.sequence().take())
    }

    /// Whether a set of `number`, which is `at`, is older than a value that level 1 holds. A number
    /// that the store did not give may be lower than those of older values, which climbed or were
    /// pushed since it was taken: it compares with others of its kind alone.
    pub(crate) fn gives_way(&self, number: &Number, at: Sequence, held: Sequence) -> bool {
        let is_comparable =
            number.failure().is_none() || self.view.tenant.epochs.sequence().is_provisional(held);
        held > at && is_comparable
    }

    pub(crate) fn remove_level1<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        number: &Number,
    ) -> (Sequence, bool, Fence) {
        let mut leaving = Leaving::<K, V>::default();
        let scoped = self.scoped(key);
        let mut lock = self.view.core.flights.lock(&scoped);
        let at = self.numbered(number);
        if !mutant::breaks("a removal detaches the load") {
            lock.detach(&scoped);
        }
        let held = self.store.remove(&scoped, RemovalCause::Removed, &mut leaving);
        self.note_removed(&scoped);
        self.forget_absence(&scoped);
        let fence = self.fence_below(key, at);
        drop(lock);
        let now = self.view.clock.now();
        let was_usable = held.is_some_and(|entry| self.is_usable(key, &entry, now));
        drop(leaving);
        (at, was_usable, fence)
    }

    /// Puts a value into level 1 as a caller's `set`: takes a number, detaches the key's flight.
    pub(crate) fn set_level1(
        &self,
        key: K,
        value: V,
        labels: Labels,
        how: How<'_>,
        encoded: impl FnOnce(&V, &Plan) -> Option<usize>,
    ) -> (Cached<V>, SetOutcome) {
        let Labels { tags, data_type } = labels;
        let tags = self.labelled(&key, tags);
        let checked = self.view.tenant.epochs.changes();
        let at = self.numbered(how.number);
        let plan = self.plan(at, checked, self.view.clock.now(), tags, how.options);
        let plan = Plan { data_type, ..plan };
        let encoded_len = encoded(&value, &plan);
        let entry = self.make_entry(key.heap_bytes(), value, &plan, encoded_len);
        let mut leaving = Leaving::<K, V>::default();
        let scoped = Scoped { tenant: self.tenant_id, key };
        let outcome = {
            let borrowed = self.scoped(&scoped.key);
            let mut lock = self.view.core.flights.lock(&borrowed);
            if !mutant::breaks("a set detaches the load") {
                lock.detach(&borrowed);
            }
            self.forget_absence(&borrowed);
            let held = self.store.peek(&borrowed);
            if held.is_some_and(|held| self.gives_way(how.number, at, held.version())) {
                SetOutcome::Fenced
            } else {
                self.note_name(&scoped.key);
                let held = Arc::clone(&entry);
                let outcome = self.put_level1(scoped, held, how.merit, true, &mut leaving);
                match mutant::breaks("a set that is refused says so") {
                    true => SetOutcome::Stored,
                    false => outcome,
                }
            }
        };
        drop(leaving);
        (Cached::new(entry, plan.dates.created), outcome)
    }

    /// Lands a loaded value in level 1 if the flight is still wanted, and gives what the tiers are
    /// to be told then.
    pub(crate) fn land<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        lead: Lead<'_, K, V>,
        value: V,
        begun_micros: u64,
        older: Option<&Cached<V>>,
        call: &Call,
    ) -> (Answer<V>, Option<Sealed>) {
        let now = self.view.clock.now();
        let Settled { mut options, tags, etag, is_stored, said } = self.settled(call);
        let tags = self.labelled(key, tags);
        if !is_stored {
            let cached = self.unstored(value);
            lead.land_empty(Landing::Value(cached.clone(), Source::Loader));
            return (Answer::Value(cached, Source::Loader.into()), None);
        }
        let took = self.took(begun_micros);
        let load_ms = took.millis();
        let loaded = AsLoaded { took, older, etag: etag.as_deref(), is_confirmed: false };
        let advice = self.advise(key, &value, &options, Some(&said), Some(loaded));
        let merit = took.told(advice.map_or(Merit::NORMAL, |advice| advice.merit));
        match advice {
            Some(Advice { is_kept: false, .. }) => {
                self.view.core.counts.declined.add(1);
                let cached = self.unstored(value);
                self.pass_landed(lead, || Landing::Value(cached.clone(), Source::Loader));
                return (Answer::Value(cached, Source::Loader.into()), None);
            }
            Some(Advice { ttl: Some(ttl), .. }) => options.to_mut().ttl = Some(Life::For(ttl)),
            _ => {}
        }
        let version = match mutant::breaks("a version is from before the load") {
            true => self.view.tenant.epochs.sequence().newest(),
            false => lead.started(),
        };
        let plan = self.plan(version, lead.checked(), now, tags, &options);
        let early = self.early(&options, plan.dates, load_ms);
        let plan = Plan { early, etag, data_type: said.data_type, ..plan };
        let sealed = self.seal(key, &value, &plan, load_ms);
        let encoded_len = sealed.as_ref().map(|sealed| sealed.plain_len());
        let entry = self.make_entry(lead.key_heap_bytes(), value, &plan, encoded_len);
        // An epoch raised since the flight started makes the entry a miss from the first read.
        self.is_valid(key, &entry);
        let cached = Cached::new(Arc::clone(&entry), now);
        let landing = || Landing::Value(cached.clone(), Source::Loader);
        let stored = if call.access.writes(CacheLevel::L1) {
            self.store_landed(lead, entry, merit, landing)
        } else {
            self.pass_landed(lead, landing)
        };
        (Answer::Value(cached, Source::Loader.into()), sealed.filter(|_| stored))
    }

    /// The one step: attached, then stored. Says whether the flight was still attached.
    pub(crate) fn store_landed(
        &self,
        lead: Lead<'_, K, V>,
        entry: Arc<Entry<V>>,
        merit: Merit,
        landing: impl FnOnce() -> Landing<V>,
    ) -> bool {
        self.store_landed_if(|| true, lead, entry, merit, landing)
    }

    /// As [`store_landed`](Self::store_landed), for what may have ended on its way though its
    /// flight began later: `is_newest` is asked in the same step.
    pub(crate) fn store_landed_if(
        &self,
        is_newest: impl FnOnce() -> bool,
        lead: Lead<'_, K, V>,
        entry: Arc<Entry<V>>,
        merit: Merit,
        landing: impl FnOnce() -> Landing<V>,
    ) -> bool {
        let mut leaving = Leaving::<K, V>::default();
        let stored = lead.land(landing, |key| {
            let is_newest = is_newest();
            if is_newest {
                self.forget_absence(&self.scoped(&key.key));
                self.put_level1(key, entry, merit, false, &mut leaving);
            }
            is_newest
        });
        drop(leaving);
        stored == Some(true)
    }

    /// As [`store_landed`](Self::store_landed), for a value that level 1 does not get: what it
    /// holds is older now, and goes.
    fn pass_landed(&self, lead: Lead<'_, K, V>, landing: impl FnOnce() -> Landing<V>) -> bool {
        let mut leaving = Leaving::<K, V>::default();
        let passed = lead.land(landing, |key| {
            self.forget_absence(&key);
            self.store.remove(&key, RemovalCause::Replaced, &mut leaving);
        });
        drop(leaving);
        passed.is_some()
    }

    /// Lands the knowledge that there is no value. Says whether the tiers may hold one that is to
    /// go: not where all were asked and held nothing, since what is told of them ends what other
    /// processes know to be absent.
    pub(crate) fn land_absent(&self, lead: Lead<'_, K, V>, call: &Call) -> bool {
        if !self.settled(call).is_stored {
            lead.land_empty(Landing::Absent);
            return false;
        }
        let may_be_below = self.view.has_tiers() && !lead.found_nothing_below;
        let ttl = self.options(call).negative_ttl_or_default();
        if ttl.is_zero() {
            // Not remembered, and an older value is no fallback all the same.
            return self.pass_landed(lead, || Landing::Absent) && may_be_below;
        }
        let dates = Dates::lasting(self.view.clock.now(), Some(ttl));
        let (version, checked) = (lead.started(), lead.checked());
        // Made, if it was not yet, before the flight is locked: others make room for it.
        let absences = self.view.holding.absences_or_new();
        let mut leaving = Leaving::<K, ()>::default();
        let mut gone = Leaving::<K, V>::default();
        let landed = lead.land(
            || Landing::Absent,
            |key| {
                let unit = self.view.core.holdings.unit();
                let tags = self.labelled(&key.key, Vec::new());
                let tags = self.view.tenant.epochs.tag_cells(tags);
                let detail = Detail { tags, ..Detail::default() };
                let weight = unit.weight::<K>(key.key.heap_bytes(), 0, &detail);
                let entry = Entry::new((), version, checked, dates).with_weight(weight);
                let entry = entry.with_detail(detail);
                // An older value is no fallback for what is known to be gone.
                self.store.remove(&key, RemovalCause::Replaced, &mut gone);
                self.view.core.failures.forget(&key);
                absences.insert(key, Arc::new(entry), &mut leaving)
            },
        );
        drop(gone);
        landed.is_some() && may_be_below
    }

    /// Whether `key` was loaded before and found absent, and nothing has changed since.
    pub(crate) fn is_known_absent<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        let Some(absences) = self.view.holding.absences() else { return false };
        let Some(entry) = absences.get(&self.scoped(key)) else { return false };
        let (epochs, cell) = (&self.view.tenant.epochs, &self.view.cell);
        let text = || self.text_of(key);
        entry.freshness(self.view.clock.now()) == Freshness::Fresh
            && epochs.is_valid(entry.version(), cell, entry.tags(), text)
            && !epochs.is_ended(entry.version(), cell, entry.tags(), text)
    }

    /// Forgets that there was no value, or that its load failed.
    pub(crate) fn forget_absence<Q>(&self, key: &Q)
    where
        Q: ?Sized + std::hash::Hash + equivalent::Equivalent<Scoped<K>>,
    {
        self.view.core.failures.forget(key);
        if let Some(absences) = self.view.holding.absences() {
            let mut leaving = Leaving::<K, ()>::default();
            absences.remove(key, RemovalCause::Replaced, &mut leaving);
        }
    }

    /// Dates, tags and version of an entry made at `now`.
    pub(crate) fn plan(
        &self,
        version: Sequence,
        checked: u64,
        now: Millis,
        tags: Vec<Tag>,
        options: &Options,
    ) -> Plan {
        let ttl = self.life_under(options).map(saturating_millis);
        let life = ttl.map(|ttl| ttl + self.view.shared.jitter(ttl, options.jitter_or_default()));
        let fresh_until = life.map_or(NEVER, |life| now.saturating_add(life));
        let grace = options.grace().map_or(0, saturating_millis);
        let dates = Dates { created: now, fresh_until, expires: fresh_until.saturating_add(grace) };
        Plan {
            version,
            checked,
            dates,
            l1_until: self.l1_until(now, options),
            tags,
            priority: options.priority.unwrap_or_default(),
            idle: options.idle,
            early: None,
            etag: None,
            data_type: None,
        }
    }

    /// The last millisecond of a copy that enters level 1 now.
    pub(crate) fn l1_until(&self, now: Millis, options: &Options) -> Millis {
        let life = self.view.l1_life(options);
        life.map_or(NEVER, |life| now.saturating_add(saturating_millis(life)))
    }

    /// The entry of `value` in level 1.
    pub(crate) fn make_entry(
        &self,
        key_heap_bytes: usize,
        value: V,
        plan: &Plan,
        encoded_len: Option<usize>,
    ) -> Arc<Entry<V>> {
        let bytes = match (self.view.core.weigh, encoded_len) {
            (Some(weigh), _) => weigh(&value),
            (None, encoded_len) => value_bytes(&value).max(encoded_len.unwrap_or(0)),
        };
        let tags = self.view.tenant.epochs.tag_cells(plan.tags.iter().cloned());
        let detail = Detail {
            tags,
            idle_ms: plan.idle.map(saturating_millis),
            early: plan.early,
            etag: plan.etag.clone(),
        };
        let key_heap_bytes = match &self.view.core.names {
            Some(_) => 2 * key_heap_bytes + Names::<K>::BYTES,
            None => key_heap_bytes,
        };
        let weight = self.view.core.holdings.unit().weight::<K>(key_heap_bytes, bytes, &detail);
        let entry = Entry::new(value, plan.version, plan.checked, plan.l1_dates())
            .with_weight(weight)
            .with_priority(plan.priority)
            .with_detail(detail);
        Arc::new(entry)
    }

    /// A handle on a value that no level stores.
    pub(crate) fn unstored(&self, value: V) -> Cached<V> {
        let now = self.view.clock.now();
        let epochs = &self.view.tenant.epochs;
        let dates = Dates::lasting(now, None);
        let entry = Entry::new(value, epochs.sequence().newest(), epochs.changes(), dates);
        Cached::new(Arc::new(entry), now)
    }
}

#[cfg(all(test, feature = "tiers"))]
mod tests {
    use cache_enterprise_core::{Capacity, Error, ErrorKind, mins};

    use super::*;
    use crate::{CacheManager, CacheSpec};

    static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

    fn cache() -> Cache<u64, u64> {
        let manager = CacheManager::in_memory(Capacity::entries(100)).expect("room for some");
        manager.open(&SPEC).expect("a plain spec")
    }

    fn provisional(cache: &Cache<u64, u64>) -> Number {
        let error = Error::new(ErrorKind::Unavailable, "the store gave no number");
        Number::Provisional(cache.view.tenant.epochs.sequence().take_provisional(), error)
    }

    /// A number of the store's, above all that are known here so far.
    fn given(cache: &Cache<u64, u64>) -> Number {
        let sequence = cache.view.tenant.epochs.sequence();
        let at = Sequence(sequence.newest().0 + 1_000);
        sequence.observe(at);
        Number::Given(at)
    }

    /// Sets the key, in level 1 or below alone, and says what level 1 holds then.
    fn write(
        cache: &Cache<u64, u64>,
        value: u64,
        number: &Number,
        is_hot: bool,
    ) -> (SetOutcome, Option<u64>) {
        let options = cache.view.core.options;
        let how = How { options: &options, number, merit: Merit::NORMAL };
        let outcome = cache.place_level1(1, value, Labels::default(), how, is_hot, |_, _| None);
        (outcome, cache.peek(&1).map(|value| *value))
    }

    #[test]
    fn a_set_without_a_number_gives_way_to_none_that_has_one() {
        let cache = cache();
        let (first, second) = (provisional(&cache), provisional(&cache));
        // What climbs now is older, whatever number it was given elsewhere.
        let climbed = given(&cache);
        assert_eq!(write(&cache, 10, &climbed, true), (SetOutcome::Stored, Some(10)));
        assert_eq!(write(&cache, 12, &second, true), (SetOutcome::Stored, Some(12)));
        assert_eq!(write(&cache, 11, &first, true), (SetOutcome::Fenced, Some(12)));
    }

    #[test]
    fn one_that_stays_below_takes_what_is_above_it_along() {
        let cache = cache();
        let number = provisional(&cache);
        let climbed = given(&cache);
        assert_eq!(write(&cache, 10, &climbed, true), (SetOutcome::Stored, Some(10)));
        assert_eq!(write(&cache, 11, &number, false), (SetOutcome::Stored, None));
    }

    #[test]
    fn a_set_with_a_number_gives_way_to_a_greater_one() {
        let cache = cache();
        let (early, late) = (given(&cache), given(&cache));
        assert_eq!(write(&cache, 11, &late, true), (SetOutcome::Stored, Some(11)));
        for is_hot in [true, false] {
            assert_eq!(write(&cache, 10, &early, is_hot), (SetOutcome::Fenced, Some(11)));
        }
    }
}
