//! Loading several keys in one call, top to bottom.
//!
//! ```text
//! level 1    what it holds, and what it knows to be absent
//! claim      every other key: its flight is led from here, or somebody else leads it
//!   below    the tiers, level by level, for all that are led
//!   turns    which keys other processes load (tiers with leases)
//!   load     one loader call for what is still missing, watched in every flight
//!   land     each key by itself; the tiers get all values together
//! follow     the keys of others; those that are left to this call are led in turn
//! ```
//!
//! No call waits for another while it leads a flight that has not landed: it lands what it leads
//! first, and leads what it is left with at once. So two batches that lead each other's keys do
//! not wait in a circle.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

use cache_enterprise_core::{CacheKey, Error};
use hashbrown::HashMap;

use crate::HeldMany;
use crate::batch_answer::{Batch, BatchAnswer, BatchValue, Item, KeyOutcome, Loaded, Missing};
use crate::cache::Cache;
use crate::error::LoadError;
use crate::flight::{Arrival, FollowMany, Followed, Join, Landing, Lead, Seat, run_many};
use crate::limiter::{Admission, Places};
use crate::options::Life;
use crate::read::{Answer, Call, Source, Stale, Want};
use crate::timer::Raced;
use crate::turn::{Turns, beside};

/// One key of a batch whose flight this call leads.
pub(crate) struct Claim<'a, K: CacheKey, V> {
    /// Its place among the keys of the call.
    pub(crate) index: usize,
    pub(crate) lead: Lead<'a, K, V>,
    /// A value past its life to fall back on, found in a tier.
    pub(crate) stale: Option<Stale<V>>,
}

/// One key of a batch that somebody else loads.
struct Other<V> {
    index: usize,
    seat: Seat<V>,
}

/// The keys of a call, and what is known of each so far.
struct Answers<K, V, E> {
    keys: Vec<K>,
    outcomes: Vec<Option<KeyOutcome<V, E>>>,
}

impl<K: CacheKey, V, E: Send + Sync + 'static> Answers<K, V, E> {
    fn new(keys: Vec<K>) -> Self {
        let outcomes = keys.iter().map(|_| None).collect();
        Self { keys, outcomes }
    }

    fn unanswered(&self) -> Vec<usize> {
        (0..self.keys.len()).filter(|&index| self.outcomes[index].is_none()).collect()
    }

    /// Takes the places out of `left` whose key has an earlier one there, and gives each with that.
    fn take_twins(&self, left: &mut Vec<usize>) -> Vec<(usize, usize)> {
        let (mut firsts, mut twins) = (HashMap::with_capacity(left.len()), Vec::new());
        left.retain(|&index| {
            let first = *firsts.entry(&self.keys[index]).or_insert(index);
            if first != index {
                twins.push((index, first));
            }
            first == index
        });
        twins
    }

    fn set(&mut self, index: usize, answer: Answer<V>) {
        self.outcomes[index] = Some(outcome_of(answer));
    }

    fn into_loaded(self) -> Loaded<K, V, E> {
        let known = |outcome: Option<_>| outcome.expect("every key was answered");
        Loaded::new(self.keys.into_iter().zip(self.outcomes.into_iter().map(known)).collect())
    }
}

/// The places of these keys among those of the call.
fn places_of<K: CacheKey, V>(claims: &[Claim<'_, K, V>]) -> Vec<usize> {
    claims.iter().map(|claim| claim.index).collect()
}

/// The outcome of a key whose loader fails with `E`.
fn outcome_of<V, E: Send + Sync + 'static>(answer: Answer<V>) -> KeyOutcome<V, E> {
    match answer {
        Answer::Value(value, _) => Ok(Some(value)),
        Answer::Absent => Ok(None),
        Answer::Failed(error) => match error.downcast::<E>() {
            Ok(error) => Err(LoadError::Loader(error)),
            Err(_) => unreachable!("errors of other types send their followers round once more"),
        },
        Answer::Broken(error) => Err(LoadError::Cache(error)),
        Answer::Recursive => Err(LoadError::Recursive),
        Answer::Overloaded => Err(LoadError::Overloaded),
        Answer::TimedOut => Err(LoadError::Timeout),
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The values under `keys`, those that no level holds from one call of `load`. Keys that
    /// others are loading are waited for and not loaded again; batches that overlap load each key
    /// once. Each tier is asked once for all keys, each of its nodes at the same time, and gets
    /// all loaded values together.
    ///
    /// The loader runs inside this task. It is called once, and once more for keys that another
    /// caller was loading and gave up. With [`Leases::Loads`](crate::Leases::Loads) it is not
    /// called for keys that other processes load: those are waited for after the call. A key that its answer does not name is absent, which is
    /// remembered for the spec's `negative_ttl`; [`Batch`] says more of single keys. With
    /// `stale_if_error` on the spec, a value past its life answers instead of an error.
    ///
    /// The call ends after the hard timeout of the spec, with what there is by then. A loader
    /// that asks for keys it is loading gets [`LoadError::Recursive`] for them.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, Missing, block_on};
    ///
    /// # struct Db;
    /// # impl Db {
    /// #     async fn users(&self, ids: &[u64]) -> std::io::Result<Vec<(u64, String)>> {
    /// #         Ok(ids.iter().map(|id| (*id, format!("user {id}"))).collect())
    /// #     }
    /// # }
    /// static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(5));
    /// let (db, users) = (Db, CacheManager::in_memory(Capacity::entries(100))?.open(&USERS)?);
    /// let db = &db;
    /// let load = |missing: Missing<u64>| async move { db.users(&missing).await };
    /// let found = block_on(users.get_many_with([3_u64, 1], load));
    /// let values = found.into_values().expect("the query does not fail");
    /// assert_eq!(values[0].as_deref().map(String::as_str), Some("user 3"));
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Panics
    /// With the loader's own panic. Whoever waits for its keys loads them with a loader of their
    /// own.
    pub async fn get_many_with<I, F, Fut, A>(&self, keys: I, load: F) -> Loaded<K, V, A::Error>
    where
        I: IntoIterator,
        I::Item: Into<K>,
        F: FnMut(Missing<K>) -> Fut,
        Fut: Future<Output = A>,
        A: BatchAnswer<K, V>,
    {
        let mut answers = Answers::new(keys.into_iter().map(Into::into).collect());
        for (key, outcome) in answers.keys.iter().zip(&mut answers.outcomes) {
            *outcome = match self.hit(key) {
                Some(hit) => Some(Ok(Some(hit))),
                None => self.is_known_absent(key).then_some(Ok(None)),
            };
        }
        let mut missing = answers.unanswered();
        if !missing.is_empty() {
            self.view.core.counts.misses.add(missing.len() as u64);
            missing.iter().for_each(|&index| self.note_demand(&answers.keys[index]));
            let twins = answers.take_twins(&mut missing);
            Box::pin(self.climb_many(missing, load, &mut answers)).await;
            for (index, first) in twins {
                answers.outcomes[index] = answers.outcomes[first].clone();
            }
        }
        answers.into_loaded()
    }

    /// The cold half: answers every key of `left`, which are different ones.
    async fn climb_many<F, Fut, A>(
        &self,
        mut left: Vec<usize>,
        mut load: F,
        answers: &mut Answers<K, V, A::Error>,
    ) where
        F: FnMut(Missing<K>) -> Fut,
        Fut: Future<Output = A>,
        A: BatchAnswer<K, V>,
    {
        let call = self.timed(self.call(Want::Option));
        if self.view.has_tiers()
            && let Raced::TimedOut = Box::pin(self.in_time(&call, self.prepare_below())).await
        {
            return self.give_up_many(left, answers, &call);
        }
        while !left.is_empty() {
            if self.is_over(&call) {
                return self.give_up_many(left, answers, &call);
            }
            let arrival = self.arrival(&call);
            let (claims, others) = self.claim_many(left, arrival, answers, &call);
            if !claims.is_empty() {
                Box::pin(self.lead_many(claims, &mut load, answers, &call)).await;
            }
            left = self.follow_many(others, arrival, &mut load, answers, &call).await;
        }
    }

    /// Joins the flights of all keys in `left`: which are led from here, and which by others.
    fn claim_many<E: Send + Sync + 'static>(
        &self,
        left: Vec<usize>,
        arrival: Arrival,
        answers: &mut Answers<K, V, E>,
        call: &Call,
    ) -> (Vec<Claim<'_, K, V>>, Vec<Other<V>>) {
        let (mut claims, mut others) = (Vec::with_capacity(left.len()), Vec::new());
        for index in left {
            match self.join(&answers.keys[index], arrival) {
                Join::Known(value) => {
                    answers.set(index, Answer::Value(value, Source::Memory.into()))
                }
                Join::Lead(seat) => claims.push(self.claim(index, seat, call)),
                Join::Follow(seat) if seat.flight.is_recursion() => {
                    answers.set(index, Answer::Recursive);
                }
                Join::Follow(seat) => others.push(Other { index, seat }),
            }
        }
        (claims, others)
    }

    fn claim(&self, index: usize, seat: Seat<V>, call: &Call) -> Claim<'_, K, V> {
        let lead = Lead::new(&self.view.core.flights, seat, self.leads_until(call));
        Claim { index, lead, stale: None }
    }

    /// Leads all of `claims` to an answer: the tiers, then one call of the loader; and again for
    /// those that other processes were loading and did not bring to the tiers.
    async fn lead_many<F, Fut, A>(
        &self,
        mut claims: Vec<Claim<'_, K, V>>,
        load: &mut F,
        answers: &mut Answers<K, V, A::Error>,
        call: &Call,
    ) where
        F: FnMut(Missing<K>) -> Fut,
        Fut: Future<Output = A>,
        A: BatchAnswer<K, V>,
    {
        claims.iter().for_each(|claim| self.bury(&answers.keys[claim.index]));
        let mut pause = 0;
        loop {
            let Some(left) = self.ask_below(claims, answers, call).await else { return };
            if left.is_empty() {
                return;
            }
            if !self.asks_for_turn(call) {
                return self.load_many(left, None, load, answers, call).await;
            }
            let led = places_of(&left);
            let turns = Box::pin(self.take_turns(&answers.keys, left, call));
            let Raced::Done(Turns { mut ours, held, others }) = self.in_time(call, turns).await
            else {
                return self.give_up_many(led, answers, call);
            };
            if held.is_some() {
                // Who held a lease before may just have filled the tiers.
                let Some(left) = self.ask_below(ours, answers, call).await else {
                    return self.give_up_many(places_of(&others), answers, call);
                };
                ours = left;
            }
            if !ours.is_empty() {
                Box::pin(self.load_many(ours, held, load, answers, call)).await;
            }
            claims = {
                let Answers { keys, outcomes } = &mut *answers;
                let take = |index: usize, value| outcomes[index] = Some(Ok(Some(value)));
                self.answer_beside_many(keys, others, call, take)
            };
            if claims.is_empty() {
                return;
            }
            let waiting = places_of(&claims);
            let paused = self.pause_for_others(&mut claims, &mut pause);
            if let Raced::TimedOut = Box::pin(self.in_time(call, paused)).await {
                drop(claims);
                return self.give_up_many(waiting, answers, call);
            }
        }
    }

    /// Asks the tiers for all of `claims` and gives back those they could not answer. `None` when
    /// the call has ended: by its deadline, or where a failing level ends it.
    async fn ask_below<'a, E: Send + Sync + 'static>(
        &'a self,
        claims: Vec<Claim<'a, K, V>>,
        answers: &mut Answers<K, V, E>,
        call: &Call,
    ) -> Option<Vec<Claim<'a, K, V>>> {
        if !self.view.has_tiers() {
            return Some(claims);
        }
        let led = places_of(&claims);
        let Answers { keys, outcomes } = &mut *answers;
        let take = |index: usize, value| outcomes[index] = Some(Ok(Some(value)));
        let below = self.read_below_many(keys, claims, call, take);
        match Box::pin(self.in_time(call, below)).await {
            Raced::Done(Ok(unanswered)) => return Some(unanswered),
            Raced::Done(Err(error)) => self.break_many(led, &error, answers),
            // The leads have gone to the next waiters.
            Raced::TimedOut => self.give_up_many(led, answers, call),
        }
        None
    }

    /// Answers the keys that have no answer yet with the failure of a level.
    fn break_many<E: Send + Sync + 'static>(
        &self,
        led: Vec<usize>,
        error: &Error,
        answers: &mut Answers<K, V, E>,
    ) {
        for index in led {
            if answers.outcomes[index].is_none() {
                answers.set(index, Answer::Broken(error.clone()));
            }
        }
    }

    /// Runs the loader for all of `claims`, and lands each key by what the answer says of it.
    async fn load_many<F, Fut, A>(
        &self,
        mut claims: Vec<Claim<'_, K, V>>,
        held: Option<HeldMany>,
        load: &mut F,
        answers: &mut Answers<K, V, A::Error>,
        call: &Call,
    ) where
        F: FnMut(Missing<K>) -> Fut,
        Fut: Future<Output = A>,
        A: BatchAnswer<K, V>,
    {
        let mut places = Places::default();
        if self.view.core.limits.is_some() {
            let leads = claims.iter_mut().map(|claim| &mut claim.lead);
            let admitted = Box::pin(run_many(leads, self.admit(call, false))).await;
            let Admission::Admitted(taken) = admitted else {
                self.view.core.counts.overloads.add(1);
                return self.fail_many(claims, Landing::Overloaded, answers, call);
            };
            places = taken;
        }
        let keys = claims.iter().map(|claim| answers.keys[claim.index].clone()).collect();
        self.view.core.counts.loads.add(1);
        let begun = self.view.clock.micros();
        let leads = claims.iter_mut().map(|claim| &mut claim.lead);
        let loader = places.run(load(Missing::new(keys)));
        let keeper = held.as_ref().map(|held| self.keep_turns(held));
        match self.in_time(call, beside(run_many(leads, loader), keeper)).await {
            Raced::Done(answer) => {
                let batch = answer.into_batch();
                self.land_many(claims, held, batch, begun, answers, call).await;
            }
            Raced::TimedOut => {
                let failure = Landing::TimedOut(self.limit(call));
                self.fail_many(claims, failure, answers, call);
            }
        }
    }

    /// Lands each key by itself, and tells the tiers of all values together, and of all that are
    /// gone.
    async fn land_many<E: Send + Sync + 'static>(
        &self,
        claims: Vec<Claim<'_, K, V>>,
        held: Option<HeldMany>,
        mut batch: Batch<K, V, E>,
        begun: u64,
        answers: &mut Answers<K, V, E>,
        call: &Call,
    ) {
        let (mut sealed, mut gone) = (Vec::new(), Vec::new());
        for claim in claims {
            let index = claim.index;
            let failure = match batch.take(&answers.keys[index]) {
                Item::Value(value) => {
                    let (answer, job) =
                        self.land_one(&answers.keys[index], claim, value, begun, call);
                    sealed.extend(job);
                    answers.set(index, answer);
                    continue;
                }
                Item::Absent => {
                    let at = claim.lead.started();
                    if self.land_absent(claim.lead, call) {
                        gone.push((at, answers.keys[index].clone()));
                    }
                    answers.set(index, Answer::Absent);
                    continue;
                }
                Item::Unknown => Landing::Missing,
                Item::Failed(error) => Landing::Failed(error as Arc<dyn Any + Send + Sync>),
            };
            self.fail(claim, failure, answers, call);
        }
        if !gone.is_empty() {
            let _ = Box::pin(self.in_time(call, self.drop_below_many(gone))).await;
        }
        if !sealed.is_empty() {
            // The values are in hand, and the tiers are told by a task of their own.
            let _ = Box::pin(self.in_time(call, self.fill_below_many(sealed, held))).await;
        }
    }

    /// Lands one value, kept as its loader said.
    fn land_one(
        &self,
        key: &K,
        Claim { lead, stale, .. }: Claim<'_, K, V>,
        value: BatchValue<V>,
        begun: u64,
        call: &Call,
    ) -> (Answer<V>, Option<crate::Sealed>) {
        let BatchValue { value, ttl, tags, is_skipped } = value;
        if is_skipped {
            let cached = self.unstored(value);
            lead.land_empty(Landing::Value(cached.clone(), Source::Loader));
            return (Answer::Value(cached, Source::Loader.into()), None);
        }
        // Looked for where somebody compares it with the new value.
        let older = self.view.core.strategy.as_ref().and_then(|_| self.older(key, stale));
        let older = older.as_ref().map(|stale| &stale.value);
        if ttl.is_none() && tags.is_empty() {
            return self.land(key, lead, value, begun, older, call);
        }
        let mut options = *self.options(call);
        options.ttl = ttl.map(Life::For).or(options.ttl);
        self.land(key, lead, value, begun, older, &Call::with(options, tags))
    }

    fn fail_many<E: Send + Sync + 'static>(
        &self,
        claims: Vec<Claim<'_, K, V>>,
        failure: Landing<V>,
        answers: &mut Answers<K, V, E>,
        call: &Call,
    ) {
        for claim in claims {
            self.fail(claim, failure.clone(), answers, call);
        }
    }

    /// Ends the flight of a key that was not loaded, with a value past its life if there is one.
    fn fail<E: Send + Sync + 'static>(
        &self,
        claim: Claim<'_, K, V>,
        failure: Landing<V>,
        answers: &mut Answers<K, V, E>,
        call: &Call,
    ) {
        let Claim { index, lead, stale } = claim;
        let counts = &self.view.core.counts;
        counts.load_failures.add(1);
        if let Some(stale) = self.rescue(&answers.keys[index], stale.as_ref(), call) {
            counts.stale_served.add(1);
            lead.land_empty(Landing::Value(stale.clone(), Source::Memory));
            return answers.set(index, Answer::Value(stale, Source::Memory.into()));
        }
        lead.land_empty(failure.clone());
        answers.outcomes[index] = Some(match failure {
            Landing::Missing => Err(LoadError::Omitted),
            Landing::Failed(error) => outcome_of(Answer::Failed(error)),
            Landing::Overloaded => Err(LoadError::Overloaded),
            _ => Err(LoadError::Timeout),
        });
    }

    /// Waits for the keys that others load; gives back those that must be joined anew.
    async fn follow_many<F, Fut, A>(
        &self,
        others: Vec<Other<V>>,
        arrival: Arrival,
        load: &mut F,
        answers: &mut Answers<K, V, A::Error>,
        call: &Call,
    ) -> Vec<usize>
    where
        F: FnMut(Missing<K>) -> Fut,
        Fut: Future<Output = A>,
        A: BatchAnswer<K, V>,
    {
        let (mut again, mut waiting) = (Vec::new(), others.len());
        // One for all rounds: a load that nobody waits for between two of them may be cancelled.
        let mut follow = FollowMany::new(others.iter().map(|other| &other.seat.flight));
        let mut others: Vec<_> = others.into_iter().map(Some).collect();
        while waiting > 0 {
            let Raced::Done(ended) = self.in_time(call, &mut follow).await else {
                self.give_up_many(others.iter().flatten().map(|other| other.index), answers, call);
                break;
            };
            waiting -= ended.len();
            let (mut heirs, mut alone) = (Vec::new(), Vec::new());
            for (place, followed) in ended {
                let Other { index, seat } = others[place].take().expect("a flight ends once");
                match followed {
                    Followed::Rejoin | Followed::Offered(_) => again.push(index),
                    Followed::Alone => alone.push(index),
                    Followed::Lead => heirs.extend(self.inherit(index, seat, answers, call)),
                    Followed::Landed(landing) => {
                        let key = &answers.keys[index];
                        match self.accept::<_, A::Error>(key, landing, &seat, arrival, call) {
                            Some(answer) => answers.set(index, answer),
                            None => again.push(index),
                        }
                    }
                }
            }
            if !heirs.is_empty() || !alone.is_empty() {
                follow.stand_aside();
            }
            if !heirs.is_empty() {
                Box::pin(self.lead_many(heirs, load, answers, call)).await;
            }
            if !alone.is_empty() {
                Box::pin(self.load_many_alone(alone, load, answers, call)).await;
            }
        }
        again
    }

    /// Takes over a flight whose leader is gone, unless level 1 holds the value by now.
    fn inherit<E: Send + Sync + 'static>(
        &self,
        index: usize,
        seat: Seat<V>,
        answers: &mut Answers<K, V, E>,
        call: &Call,
    ) -> Option<Claim<'_, K, V>> {
        let claim = self.claim(index, seat, call);
        let Some(hit) = self.hit(&answers.keys[index]) else { return Some(claim) };
        claim.lead.land_empty(Landing::Value(hit.clone(), Source::Memory));
        answers.set(index, Answer::Value(hit, Source::Memory.into()));
        None
    }

    /// Runs the loader for keys whose loaders panicked again and again: nobody shares what it
    /// gives, and nothing is stored.
    async fn load_many_alone<F, Fut, A>(
        &self,
        alone: Vec<usize>,
        load: &mut F,
        answers: &mut Answers<K, V, A::Error>,
        call: &Call,
    ) where
        F: FnMut(Missing<K>) -> Fut,
        Fut: Future<Output = A>,
        A: BatchAnswer<K, V>,
    {
        let keys = alone.iter().map(|&index| answers.keys[index].clone()).collect();
        self.view.core.counts.loads.add(1);
        let Raced::Done(answer) = self.in_time(call, load(Missing::new(keys))).await else {
            return self.give_up_many(alone, answers, call);
        };
        let mut batch = answer.into_batch();
        for index in alone {
            answers.outcomes[index] = Some(match batch.take(&answers.keys[index]) {
                Item::Value(value) => Ok(Some(self.unstored(value.value))),
                Item::Absent => Ok(None),
                Item::Unknown => Err(LoadError::Omitted),
                Item::Failed(error) => Err(LoadError::Loader(error)),
            });
        }
    }

    /// Answers the keys that have no answer yet when the deadline has come.
    fn give_up_many<E: Send + Sync + 'static>(
        &self,
        left: impl IntoIterator<Item = usize>,
        answers: &mut Answers<K, V, E>,
        call: &Call,
    ) {
        for index in left {
            if answers.outcomes[index].is_some() {
                continue;
            }
            let key = &answers.keys[index];
            let answer = match self.hit(key) {
                Some(hit) => Answer::Value(hit, Source::Memory.into()),
                None => self.give_up(key, call),
            };
            answers.set(index, answer);
        }
    }
}
