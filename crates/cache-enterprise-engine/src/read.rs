//! Reading, top to bottom: level 1, the flight, the tiers, the loader, and back up.
//!
//! ```text
//! hit        level 1, synchronous; nothing else runs when it answers
//! climb      the cold half, in `climb`: joins or leads the key's flight
//!   below    the tiers, one by one
//!   load     the caller's loader, watched
//!   land     under the key's lock: still wanted? then into level 1
//! ```

use std::any::TypeId;
use std::future::Future;

use cache_enterprise_core::{
    CacheKey, CacheLevel, Cached, Entry, Error, Freshness, LocalStore, Lookup, Millis, Result,
    Scoped, Sequence, Tag, mutant, saturating_millis,
};

use crate::Hold;
use crate::access::Access;
use crate::cache::Cache;
pub(crate) use crate::climb::Below;
use crate::context::{Fetched, Telling};
use crate::failures::SharedError;
use crate::flight::{Arrival, Join, Landing, Seat};
use crate::heed::note_name;
pub(crate) use crate::hit::Via;
pub use crate::hit::{Hit, Source};
use crate::options::Options;
use crate::timer::{Race, race};

/// What a loader gave, or an error that all waiters share.
pub(crate) type Loaded<V> = std::result::Result<Fetched<V>, SharedError>;

/// What the cold half gave.
pub(crate) enum Answer<V> {
    Value(Cached<V>, Via),
    Absent,
    Failed(SharedError),
    /// A level failed, in a manager where that ends the call.
    Broken(Error),
    Recursive,
    /// The loader was not run: too many others run or wait.
    Overloaded,
    TimedOut,
}

/// A value that answers where no better one is to be had, and what speaks for it.
pub(crate) struct Stale<V> {
    pub(crate) value: Cached<V>,
    /// What a tier says of it; `None` for a value of level 1.
    pub(crate) hold: Option<Hold>,
}

/// How one call wants to read.
pub(crate) struct Call {
    /// Call over spec over manager; `None` for those of the spec.
    pub(crate) options: Option<Box<Options>>,
    pub(crate) tags: Vec<Tag>,
    /// What stands for the entries the value is derived from.
    pub(crate) parents: Vec<Tag>,
    pub(crate) want: Want,
    /// When the caller gives up: its hard timeout after it called. `None` waits for ever.
    pub(crate) deadline: Option<Millis>,
    /// Which levels it reads and writes.
    pub(crate) access: Access,
    /// The error its loader fails with.
    pub(crate) error: Option<TypeId>,
    /// What there is about a loader that may outlive the call.
    pub(crate) owned: Option<Box<Owned>>,
}

/// What there is about a load that may outlive its caller.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    /// What the loader tells about its value.
    pub(crate) told: Telling,
    /// Whether nobody waits for it.
    pub(crate) is_behind: bool,
    /// The value to be replaced was made at this date, and a later one is wanted.
    pub(crate) replaces: Option<Millis>,
    /// The error of the load, for its own caller, when others go on without it.
    pub(crate) failed: std::sync::OnceLock<SharedError>,
}

impl Call {
    /// A call for something.
    pub(crate) fn of(want: Want) -> Self {
        Self {
            options: None,
            tags: Vec::new(),
            parents: Vec::new(),
            want,
            deadline: None,
            access: Access::PLAIN,
            error: None,
            owned: None,
        }
    }

    /// A call for a value with options of its own.
    pub(crate) fn with(options: Options, tags: Vec<Tag>) -> Self {
        Self { options: Some(Box::new(options)), tags, ..Self::of(Want::Value) }
    }

    /// Whether a value made at `created` is one this call can be answered with.
    pub(crate) fn takes(&self, created: Millis) -> bool {
        let replaces = self.owned.as_ref().and_then(|owned| owned.replaces);
        // Dates pass through wall time on their way over a tier, which may cost a millisecond.
        replaces.is_none_or(|made| created > made + 1)
    }

    /// Whether nobody waits for it.
    pub(crate) fn is_behind(&self) -> bool {
        self.owned.as_ref().is_some_and(|owned| owned.is_behind)
    }

    /// Whether the caller can be told of an error: a lookup, or a call with a limit.
    pub(crate) fn can_fail(&self) -> bool {
        self.want == Want::Lookup || self.deadline.is_some()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// The value if some level holds it.
    Lookup,
    /// The value, from the loader if need be.
    Value,
    /// The value or its known absence.
    Option,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Level 1's answer: one look-up, one compare of counters, one of dates.
    ///
    /// The clock and the change counter are read first, so the answer is as of the start of the
    /// read: an invalidation that is acknowledged while it looks runs beside it.
    ///
    /// Part of the poll that asks, and the store's `get` part of it: calls between them would save
    /// and restore registers for a fifth of the hit's instructions.
    #[inline(always)]
    pub(crate) fn hit<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Option<Cached<V>> {
        let view = &*self.view;
        let now = view.clock.now();
        let changes = view.tenant.epochs.changes();
        let hits = &view.core.counts.hits;
        let entry = self.store.get(&self.scoped(key))?;
        let is_current = entry.checked() == changes || self.recheck(key, &entry);
        if !is_current || !entry.is_plainly_fresh(now) && !self.reads_fresh(key, &entry, now) {
            return None;
        }
        hits.add(1);
        Some(Cached::new(entry, now))
    }

    /// As [`hit`](Self::hit), for a caller that can have the value loaded anew: says whether it is
    /// time for that.
    #[inline]
    pub(crate) fn hit_or_due<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Option<(Cached<V>, bool)> {
        let view = &*self.view;
        let now = view.clock.now();
        let changes = view.tenant.epochs.changes();
        let hits = &view.core.counts.hits;
        let entry = self.store.get(&self.scoped(key))?;
        if entry.checked() != changes && !self.recheck(key, &entry) {
            return None;
        }
        let is_due = !entry.is_plainly_fresh(now) && self.reads_due(key, &entry, now)?;
        hits.add(1);
        Some((Cached::new(entry, now), is_due))
    }

    /// Level 1's answer to a call that may not want every value of it.
    pub(crate) fn hit_for<Q: Lookup<K> + ?Sized>(&self, key: &Q, call: &Call) -> Option<Cached<V>> {
        if !call.access.reads(CacheLevel::L1) {
            return None;
        }
        self.hit(key).filter(|hit| call.takes(Cached::entry(hit).created()))
    }

    /// Compares an entry with the epochs that apply to it, and remembers a good answer. The
    /// counter is read first: an epoch raised meanwhile moves it, and the next hit looks again.
    #[cold]
    pub(crate) fn recheck<Q: Lookup<K> + ?Sized>(&self, key: &Q, entry: &Entry<V>) -> bool {
        let epochs = &self.view.tenant.epochs;
        let changes = epochs.changes();
        let text = || self.text_of(key);
        let is_valid = epochs.is_sure(entry.checked())
            && epochs.is_valid(entry.version(), &self.view.cell, entry.tags(), text);
        if is_valid {
            if self.is_softly_ended(key, entry) {
                entry.end_freshness(self.view.clock.now());
            }
            entry.set_checked(changes);
        }
        is_valid
    }

    /// Whether a soft invalidation ended the fresh life of an entry.
    fn is_softly_ended<Q: Lookup<K> + ?Sized>(&self, key: &Q, entry: &Entry<V>) -> bool {
        let (epochs, text) = (&self.view.tenant.epochs, || self.text_of(key));
        !mutant::breaks("a soft end is seen in level 1")
            && epochs.is_ended(entry.version(), &self.view.cell, entry.tags(), text)
    }

    /// Whether an entry answers now. Validity comes first: it may end the freshness.
    pub(crate) fn is_usable<Q>(&self, key: &Q, entry: &Entry<V>, now: Millis) -> bool
    where
        Q: Lookup<K> + ?Sized,
    {
        self.is_valid(key, entry) && entry.freshness(now) == Freshness::Fresh
    }

    pub(crate) fn is_valid<Q: Lookup<K> + ?Sized>(&self, key: &Q, entry: &Entry<V>) -> bool {
        entry.checked() == self.view.tenant.epochs.changes() || self.recheck(key, entry)
    }

    /// A value past its life that may answer when a load fails: valid, and within its grace.
    pub(crate) fn fallback<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        call: &Call,
    ) -> Option<Cached<V>> {
        let entry = self.store.peek(&self.scoped(key))?;
        let now = self.view.clock.now();
        let is_in_grace = self.is_in_grace(entry.dates().fresh_until, call);
        let is_kept = entry.freshness(now) != Freshness::Expired;
        let is_valid =
            self.is_valid(key, &entry) || mutant::breaks("a hard end beats every fallback");
        (is_in_grace && is_kept && is_valid).then(|| Cached::new(entry, now))
    }

    /// Whether a value whose fresh life ended then may still answer this call.
    pub(crate) fn is_in_grace(&self, fresh_until: Millis, call: &Call) -> bool {
        let Some(grace) = self.options(call).grace() else { return false };
        self.view.clock.now() < fresh_until.saturating_add(saturating_millis(grace))
    }

    /// What the levels below level 1 hold under `key`.
    pub(crate) async fn look_below<Q>(
        &self,
        key: &Q,
        call: Call,
    ) -> Result<Option<(Cached<V>, Via)>>
    where
        Q: Lookup<K> + ?Sized,
    {
        self.view.space.key(&key.to_key())?;
        let nothing = |_| std::future::ready(Ok(Fetched::Absent));
        match self.climb(key, nothing, call).await {
            Answer::Value(value, via) => Ok(Some((value, via))),
            Answer::Broken(error) => Err(error),
            _ => Ok(None),
        }
    }

    /// A call with the options of the spec that waits for as long as it takes.
    pub(crate) fn call(&self, want: Want) -> Call {
        Call::of(want)
    }

    /// What holds for a call: call over spec over manager.
    pub(crate) fn options<'a>(&'a self, call: &'a Call) -> &'a Options {
        call.options.as_deref().unwrap_or(&self.view.core.options)
    }

    /// How long the caller waits at most, in milliseconds.
    pub(crate) fn limit(&self, call: &Call) -> Millis {
        saturating_millis(self.options(call).hard_timeout_or_default())
    }

    /// The same call, which gives up after its hard timeout, counted from now.
    pub(crate) fn timed(&self, call: Call) -> Call {
        let deadline = self.view.clock.now().saturating_add(self.limit(&call));
        Call { deadline: Some(deadline), ..call }
    }

    /// Runs `work`, until the caller's deadline when it has one.
    pub(crate) fn in_time<F: Future>(&self, call: &Call, work: F) -> Race<F> {
        let deadline = call.deadline.filter(|_| !mutant::breaks("a caller leaves at its deadline"));
        race(work, deadline.map(|at| self.view.shared.timer.deadline(at)))
    }

    /// The answer to a caller whose deadline has come.
    pub(crate) fn give_up<Q: Lookup<K> + ?Sized>(&self, key: &Q, call: &Call) -> Answer<V> {
        match self.fallback(key, call) {
            Some(stale) => {
                self.view.core.counts.stale_served.add(1);
                Answer::Value(stale, Source::Memory.into())
            }
            None => Answer::TimedOut,
        }
    }

    pub(crate) fn is_over(&self, call: &Call) -> bool {
        call.deadline.is_some_and(|deadline| self.view.clock.now() >= deadline)
    }

    pub(crate) fn arrival(&self, call: &Call) -> Arrival {
        let epochs = &self.view.tenant.epochs;
        Arrival {
            checked: epochs.changes(),
            sequence: epochs.sequence().newest(),
            oldest: if call.access.is_apart() {
                // No flight that runs already is new enough.
                Sequence(u64::MAX)
            } else {
                epochs.newest_without_tags(&self.view.cell)
            },
            ends: self.leads_until(call),
        }
    }

    /// When a flight is taken from this caller at the latest, should it lead one.
    pub(crate) fn leads_until(&self, call: &Call) -> Millis {
        match self.load_until(call) {
            Some(deadline) => deadline.saturating_add(self.view.core.takeover_after),
            None => self.view.clock.now().saturating_add(self.limit(call)),
        }
    }

    pub(crate) fn join<Q: Lookup<K> + ?Sized>(&self, key: &Q, arrival: Arrival) -> Join<V> {
        self.join_for(key, arrival, &Call::of(Want::Value))
    }

    pub(crate) fn join_for<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        arrival: Arrival,
        call: &Call,
    ) -> Join<V> {
        // What is of no use is dropped when no lock is held.
        let (mut useless, mut found_nothing) = (None, false);
        let known = || {
            if !call.access.reads(CacheLevel::L1) {
                return None;
            }
            let Some(entry) = self.store.get(&self.scoped(key)) else {
                found_nothing = true;
                return None;
            };
            let now = self.view.clock.now();
            if !self.is_usable(key, &entry, now) || !call.takes(entry.created()) {
                useless = Some(entry);
                return None;
            }
            entry.touch(now);
            self.view.core.counts.hits.add(1);
            Some(Cached::new(entry, now))
        };
        let make = || Scoped { tenant: self.tenant_id, key: key.to_key() };
        let mut joined = self.view.core.flights.join(&self.scoped(key), known, make, arrival);
        drop(useless);
        if let Join::Lead(seat) = &mut joined {
            seat.found_nothing = found_nothing;
            if self.view.core.names.is_some() {
                // Before anything is read: a notice finds the load, or came before it.
                self.note_name(&key.to_key());
            }
        }
        joined
    }

    /// Remembers what the key is called below, where other processes call it so.
    pub(crate) fn note_name(&self, key: &K) {
        note_name(self.view.core.names.as_ref(), &self.view.space, self.scoped(key));
    }

    /// A follower's look at what the flight gave; `None` sends it round once more.
    pub(crate) fn accept<Q: Lookup<K> + ?Sized, E: 'static>(
        &self,
        key: &Q,
        landing: Landing<V>,
        seat: &Seat<V>,
        arrival: Arrival,
        call: &Call,
    ) -> Option<Answer<V>> {
        match landing {
            Landing::Value(value, source) => {
                let entry = Cached::entry(&value);
                let is_newer = seat.flight.started() >= arrival.sequence;
                if !is_newer
                    && (!self.recheck(key, entry) || self.is_softly_ended(key, entry))
                    && !mutant::breaks("who came after an epoch goes round once more")
                {
                    return None;
                }
                self.view.core.counts.shared_loads.add(1);
                Some(Answer::Value(value, Via { source, is_joined: true }))
            }
            Landing::Broken(error) => call.can_fail().then_some(Answer::Broken(error)),
            Landing::Missing if call.want == Want::Lookup => Some(Answer::Absent),
            // Absence carries no value to check again: where something may have ended it, an older
            // flight's is not taken.
            Landing::Absent
                if self.may_end_absence() && seat.flight.started() < arrival.sequence =>
            {
                None
            }
            Landing::Absent if call.want != Want::Value => Some(Answer::Absent),
            Landing::Missing | Landing::Absent => None,
            Landing::Failed(error) if error.is::<E>() => {
                self.view.core.counts.shared_loads.add(1);
                Some(Answer::Failed(error))
            }
            // A caller with more patience than the leader had goes on with what is left of it.
            Landing::TimedOut(limit) if call.deadline.is_some() && self.limit(call) <= limit => {
                Some(Answer::TimedOut)
            }
            Landing::Overloaded if call.deadline.is_some() => Some(Answer::Overloaded),
            Landing::Failed(_) | Landing::TimedOut(_) | Landing::Overloaded => {
                (call.want == Want::Lookup).then_some(Answer::Absent)
            }
        }
    }
}
