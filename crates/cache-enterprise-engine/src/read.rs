//! Reading, top to bottom: level 1, the flight, the tiers, the loader, and back up.
//!
//! ```text
//! hit        level 1, synchronous; nothing else runs when it answers
//! climb      the cold half: joins or leads the key's flight
//!   below    the tiers, one by one
//!   load     the caller's loader, watched
//!   land     under the key's lock: still wanted? then into level 1
//! ```

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

use cache_enterprise_core::{
    CacheKey, CacheLevel, Cached, Entry, Error, Freshness, LocalStore, Lookup, Millis, Result,
    Scoped, Sequence, Tag, mutant, saturating_millis,
};

use crate::cache::Cache;
use crate::error::LoadError;
use crate::fetch::{LoadContext, answer_of};
use crate::flight::{Arrival, Follow, Followed, Join, Landing, Lead, Seat};
use crate::heed::note_name;
use crate::limiter::{Admission, Places};
use crate::options::Options;
use crate::timer::{Race, Raced, race};

/// What a loader gave: a value, none, or an error that all waiters share.
pub(crate) type Loaded<V> = std::result::Result<Option<V>, Arc<dyn Any + Send + Sync>>;

/// What the cold half gave.
pub(crate) enum Answer<V> {
    Value(Cached<V>, Source),
    Absent,
    Failed(Arc<dyn Any + Send + Sync>),
    /// A level failed, in a manager where that ends the call.
    Broken(Error),
    Recursive,
    /// The loader was not run: too many others run or wait.
    Overloaded,
    TimedOut,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Level 1.
    Memory,
    /// A tier: the number of its level, from 2.
    Tier(u8),
    /// The loader, or another caller's loader.
    Loader,
}

impl Source {
    /// The level, when it was one.
    pub fn level(self) -> Option<CacheLevel> {
        match self {
            Self::Memory => Some(CacheLevel::L1),
            Self::Tier(number) => CacheLevel::numbered(number),
            Self::Loader => None,
        }
    }
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
    /// What the loader tells about its value, when it can.
    pub(crate) context: Option<LoadContext>,
}

impl Call {
    /// A call for a value with options of its own.
    pub(crate) fn with(options: Options, tags: Vec<Tag>) -> Self {
        let options = Some(Box::new(options));
        let parents = Vec::new();
        Self { options, tags, parents, want: Want::Value, deadline: None, context: None }
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

/// A value with what is known about it; see [`Cache::get_entry`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Hit<V> {
    /// The value.
    pub value: Cached<V>,
    /// Where the value came from.
    pub source: Source,
    /// The level that answered; none when another caller's loader did.
    pub level: Option<CacheLevel>,
    /// How old the value was.
    pub age: std::time::Duration,
    /// Whether it was past its life.
    pub stale: bool,
    /// Its sequence: higher for a later value of the key.
    pub version: Sequence,
}

impl<V> Hit<V> {
    pub(crate) fn new(value: Cached<V>, source: Source) -> Self {
        Self {
            source,
            level: source.level(),
            age: value.age(),
            stale: value.is_stale(),
            version: value.version(),
            value,
        }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Level 1's answer: one look-up, one compare of counters, one of dates.
    ///
    /// The clock and the change counter are read first, so the answer is as of the start of the
    /// read: an invalidation that is acknowledged while it looks runs beside it.
    #[inline]
    pub(crate) fn hit<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Option<Cached<V>> {
        let view = &*self.view;
        let now = view.clock.now();
        let changes = view.tenant.epochs.changes();
        let hits = &view.core.counts.hits;
        let entry = self.store.get(&self.scoped(key))?;
        let is_current = entry.checked() == changes || self.recheck(&entry);
        if !is_current || entry.read(now) != Freshness::Fresh {
            return None;
        }
        hits.add(1);
        Some(Cached::new(entry, now))
    }

    /// Compares an entry with the epochs that apply to it, and remembers a good answer. The
    /// counter is read first: an epoch raised meanwhile moves it, and the next hit looks again.
    #[cold]
    pub(crate) fn recheck(&self, entry: &Entry<V>) -> bool {
        let epochs = &self.view.tenant.epochs;
        let changes = epochs.changes();
        let is_valid = epochs.is_sure(entry.checked())
            && epochs.is_valid(entry.version(), &self.view.cell, entry.tags());
        if is_valid {
            if self.is_softly_ended(entry) {
                entry.end_freshness(self.view.clock.now());
            }
            entry.set_checked(changes);
        }
        is_valid
    }

    /// Whether a soft invalidation ended the fresh life of an entry.
    fn is_softly_ended(&self, entry: &Entry<V>) -> bool {
        !mutant::breaks("a soft end is seen in level 1")
            && self.view.tenant.epochs.is_ended(entry.version(), &self.view.cell, entry.tags())
    }

    /// Whether an entry answers now. Validity comes first: it may end the freshness.
    pub(crate) fn is_usable(&self, entry: &Entry<V>, now: Millis) -> bool {
        self.is_valid(entry) && entry.freshness(now) == Freshness::Fresh
    }

    fn is_valid(&self, entry: &Entry<V>) -> bool {
        entry.checked() == self.view.tenant.epochs.changes() || self.recheck(entry)
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
        let is_valid = self.is_valid(&entry) || mutant::breaks("a hard end beats every fallback");
        (is_in_grace && is_kept && is_valid).then(|| Cached::new(entry, now))
    }

    /// Whether a value whose fresh life ended then may still answer this call.
    pub(crate) fn is_in_grace(&self, fresh_until: Millis, call: &Call) -> bool {
        let Some(grace) = self.options(call).stale_if_error else { return false };
        self.view.clock.now() < fresh_until.saturating_add(saturating_millis(grace))
    }

    /// What the levels below level 1 hold under `key`.
    pub(crate) async fn look_below<Q>(&self, key: &Q) -> Result<Option<(Cached<V>, Source)>>
    where
        Q: Lookup<K> + ?Sized,
    {
        self.view.space.key(&key.to_key())?;
        let call = self.call(Want::Lookup);
        let nothing = || std::future::ready(Ok(None));
        match self.climb(key, nothing, call).await {
            Answer::Value(value, source) => Ok(Some((value, source))),
            Answer::Broken(error) => Err(error),
            _ => Ok(None),
        }
    }

    /// A call with the options of the spec that waits for as long as it takes.
    pub(crate) fn call(&self, want: Want) -> Call {
        let (tags, parents) = (Vec::new(), Vec::new());
        Call { options: None, tags, parents, want, deadline: None, context: None }
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
        race(work, call.deadline.map(|at| self.view.shared.timer.deadline(at)))
    }

    /// The answer to a caller whose deadline has come.
    pub(crate) fn give_up<Q: Lookup<K> + ?Sized>(&self, key: &Q, call: &Call) -> Answer<V> {
        match self.fallback(key, call) {
            Some(stale) => {
                self.view.core.counts.stale_served.add(1);
                Answer::Value(stale, Source::Memory)
            }
            None => Answer::TimedOut,
        }
    }

    pub(crate) fn is_over(&self, call: &Call) -> bool {
        call.deadline.is_some_and(|deadline| self.view.clock.now() >= deadline)
    }

    /// [`climb`](Self::climb) for a loader with an error of its own type.
    pub(crate) async fn try_climb<Q, F, Fut, O, E>(
        &self,
        key: &Q,
        load: F,
        call: Call,
    ) -> std::result::Result<Cached<V>, LoadError<E>>
    where
        Q: Lookup<K> + ?Sized,
        F: FnOnce() -> Fut,
        Fut: Future<Output = std::result::Result<O, E>>,
        O: Into<V>,
        E: Send + Sync + 'static,
    {
        let loader = || async {
            match load().await {
                Ok(value) => Ok(Some(value.into())),
                Err(error) => Err(Arc::new(error) as Arc<dyn Any + Send + Sync>),
            }
        };
        answer_of(self.climb_as::<Q, _, _, E>(key, loader, call).await)
    }

    /// [`climb_as`](Self::climb_as) for a loader that cannot fail.
    pub(crate) fn climb<'a, Q, L, Fut>(
        &'a self,
        key: &'a Q,
        loader: L,
        call: Call,
    ) -> impl Future<Output = Answer<V>> + use<'a, K, V, Q, L, Fut>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce() -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        self.climb_as::<Q, L, Fut, NoError>(key, loader, call)
    }

    /// The cold half of every read. `E` is the error this caller can share.
    pub(crate) async fn climb_as<Q, L, Fut, E>(&self, key: &Q, loader: L, call: Call) -> Answer<V>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce() -> Fut,
        Fut: Future<Output = Loaded<V>>,
        E: Send + Sync + 'static,
    {
        self.view.core.counts.misses.add(1);
        self.note_demand(key);
        // What only tiers ask for is boxed here and below, so that the future of a climb is small
        // where there are none: it is moved into its own box whole.
        if self.view.has_tiers()
            && let Raced::TimedOut = Box::pin(self.in_time(&call, self.prepare_below())).await
        {
            return self.give_up(key, &call);
        }
        loop {
            if self.is_over(&call) {
                return self.give_up(key, &call);
            }
            let arrival = self.arrival(&call);
            let seat = match self.join(key, arrival) {
                Join::Known(value) => return Answer::Value(value, Source::Memory),
                Join::Lead(seat) => seat,
                Join::Follow(seat) if seat.flight.is_recursion() => {
                    return Box::pin(self.recurse(loader, &call)).await;
                }
                Join::Follow(seat) => {
                    let follow = Follow::new(Arc::clone(&seat.flight));
                    match self.in_time(&call, follow).await {
                        Raced::TimedOut => return self.give_up(key, &call),
                        Raced::Done(Followed::Lead) => seat,
                        Raced::Done(Followed::Rejoin) => continue,
                        Raced::Done(Followed::Alone) => {
                            return Box::pin(self.load_alone(loader, &call)).await;
                        }
                        Raced::Done(Followed::Landed(landing)) => {
                            match self.accept::<E>(landing, &seat, arrival, &call) {
                                Some(answer) => return answer,
                                None => continue,
                            }
                        }
                    }
                }
            };
            // Boxed, so that ten thousand followers of one load do not carry room to lead.
            return Box::pin(self.lead(key, seat, loader, &call)).await;
        }
    }

    /// Leads a flight: the tiers, then the loader. An heir asks level 1 first, which may hold the
    /// value since; whoever starts a flight has asked it under the key's lock.
    pub(crate) async fn lead<Q, L, Fut>(
        &self,
        key: &Q,
        seat: Seat<V>,
        loader: L,
        call: &Call,
    ) -> Answer<V>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce() -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        let is_heir = seat.is_heir;
        let lead = Lead::new(&self.view.core.flights, seat, self.leads_until(call));
        if is_heir && let Some(hit) = self.hit(key) {
            lead.land_empty(Landing::Value(hit.clone()));
            return Answer::Value(hit, Source::Memory);
        }
        self.bury(key);
        if !self.view.has_tiers() && call.want != Want::Lookup {
            return self.load(key, lead, None, loader, call).await;
        }
        let below = match Box::pin(self.in_time(call, self.read_below(key, lead, call))).await {
            Raced::Done(below) => below,
            // The lead has gone to the next waiter, or the value landed and was still climbing.
            Raced::TimedOut => {
                return match self.hit(key) {
                    Some(hit) => Answer::Value(hit, Source::Memory),
                    None => self.give_up(key, call),
                };
            }
        };
        match below {
            Below::Answered(answer) => answer,
            Below::Unanswered(lead, _) if call.want == Want::Lookup => {
                lead.land_empty(Landing::Missing);
                Answer::Absent
            }
            Below::Unanswered(lead, stale) => self.load(key, lead, stale, loader, call).await,
        }
    }

    /// Runs the loader and lands what it gave.
    async fn load<Q, L, Fut>(
        &self,
        key: &Q,
        mut lead: Lead<'_, K, V>,
        stale: Option<Cached<V>>,
        loader: L,
        call: &Call,
    ) -> Answer<V>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce() -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        let counts = &self.view.core.counts;
        let mut places = Places::default();
        if self.view.core.limits.is_some() {
            let has_fallback = stale.is_some() || self.fallback(key, call).is_some();
            let admitted = Box::pin(lead.run(self.admit(call, has_fallback))).await;
            let Admission::Admitted(taken) = admitted else {
                return Box::pin(self.load_beyond(key, lead, stale, loader, call)).await;
            };
            places = taken;
        }
        counts.loads.add(1);
        let begun = self.view.clock.now();
        let failure = match self.in_time(call, lead.run(places.run(loader()))).await {
            Raced::Done(Ok(Some(value))) => {
                let (answer, sealed) = self.land(key, lead, value, begun, call);
                if let Some(sealed) = sealed {
                    // The value is in hand, and the tiers are told by a task of their own.
                    let _ = Box::pin(self.in_time(call, self.fill_below(sealed))).await;
                }
                return answer;
            }
            Raced::Done(Ok(None)) => {
                self.land_absent(lead, call);
                return Answer::Absent;
            }
            Raced::Done(Err(error)) => Landing::Failed(error),
            Raced::TimedOut => Landing::TimedOut(self.limit(call)),
        };
        counts.load_failures.add(1);
        if let Some(stale) = self.fallback(key, call).or(stale) {
            counts.stale_served.add(1);
            lead.land_empty(Landing::Value(stale.clone()));
            return Answer::Value(stale, Source::Memory);
        }
        lead.land_empty(failure.clone());
        match failure {
            Landing::Failed(error) => Answer::Failed(error),
            _ => Answer::TimedOut,
        }
    }

    pub(crate) fn arrival(&self, call: &Call) -> Arrival {
        let epochs = &self.view.tenant.epochs;
        Arrival {
            checked: epochs.changes(),
            sequence: epochs.sequence().newest(),
            oldest: epochs.newest_without_tags(&self.view.cell),
            ends: self.leads_until(call),
        }
    }

    /// When a flight is taken from this caller at the latest, should it lead one.
    pub(crate) fn leads_until(&self, call: &Call) -> Millis {
        match call.deadline {
            Some(deadline) => deadline.saturating_add(self.view.core.takeover_after),
            None => self.view.clock.now().saturating_add(self.limit(call)),
        }
    }

    pub(crate) fn join<Q: Lookup<K> + ?Sized>(&self, key: &Q, arrival: Arrival) -> Join<V> {
        // What is of no use is dropped when no lock is held.
        let mut useless = None;
        let known = || {
            let entry = self.store.get(&self.scoped(key))?;
            let now = self.view.clock.now();
            if !self.is_usable(&entry, now) {
                useless = Some(entry);
                return None;
            }
            entry.touch(now);
            self.view.core.counts.hits.add(1);
            Some(Cached::new(entry, now))
        };
        let make = || Scoped { tenant: self.tenant_id, key: key.to_key() };
        let joined = self.view.core.flights.join(&self.scoped(key), known, make, arrival);
        drop(useless);
        if matches!(joined, Join::Lead(_)) && self.view.core.names.is_some() {
            // Before anything is read: a notice finds the load, or came before it.
            self.note_name(&key.to_key());
        }
        joined
    }

    /// Remembers what the key is called below, where other processes call it so.
    pub(crate) fn note_name(&self, key: &K) {
        note_name(self.view.core.names.as_ref(), &self.view.space, self.scoped(key));
    }

    /// A follower's look at what the flight gave; `None` sends it round once more.
    pub(crate) fn accept<E: 'static>(
        &self,
        landing: Landing<V>,
        seat: &Seat<V>,
        arrival: Arrival,
        call: &Call,
    ) -> Option<Answer<V>> {
        match landing {
            Landing::Value(value) => {
                let entry = Cached::entry(&value);
                let is_newer = seat.flight.started() >= arrival.sequence;
                if !is_newer
                    && (!self.recheck(entry) || self.is_softly_ended(entry))
                    && !mutant::breaks("who came after an epoch goes round once more")
                {
                    return None;
                }
                self.view.core.counts.shared_loads.add(1);
                Some(Answer::Value(value, Source::Loader))
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

    async fn recurse<L, Fut>(&self, loader: L, call: &Call) -> Answer<V>
    where
        L: FnOnce() -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        if call.deadline.is_some() {
            Answer::Recursive
        } else {
            self.load_alone(loader, call).await
        }
    }

    /// Runs a loader that nobody shares and whose value nobody stores.
    pub(crate) async fn load_alone<L, Fut>(&self, loader: L, call: &Call) -> Answer<V>
    where
        L: FnOnce() -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        self.view.core.counts.loads.add(1);
        match self.in_time(call, loader()).await {
            Raced::Done(Ok(Some(value))) => Answer::Value(self.unstored(value), Source::Loader),
            Raced::Done(Ok(None)) => Answer::Absent,
            Raced::Done(Err(error)) => Answer::Failed(error),
            Raced::TimedOut => Answer::TimedOut,
        }
    }
}

/// What the tiers gave to a flight's leader.
pub(crate) enum Below<'a, K: CacheKey, V> {
    /// The flight has landed.
    Answered(Answer<V>),
    /// The lead goes on, perhaps with a value past its life to fall back on.
    Unanswered(Lead<'a, K, V>, Option<Cached<V>>),
}

/// The error type of loaders that cannot fail.
enum NoError {}
