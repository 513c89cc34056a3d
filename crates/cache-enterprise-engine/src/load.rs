//! The loader's part of a climb: whether it runs, while it runs, and what becomes of its answer.
//!
//! ```text
//! rest       a key that failed lately answers with an older value, or its error
//! turn       another process may be loading it (tiers with leases)
//! begin      the caller's loader, watched, with what is known of the older value
//! end        a value, none, the older one confirmed; or an older one in its place
//! ```
//!
//! Where nothing but the loader can be waited for, the first poll of a read begins the load, and
//! ends it if the loader is ready at once: no future is made of the rest then.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cache_enterprise_core::{CacheKey, Cached, Error, ErrorKind, Lookup, Millis};

use crate::cache::Cache;
use crate::context::Fetched;
use crate::flight::{Landing, Lead};
use crate::limiter::{Admission, Places};
use crate::read::{Answer, Call, Loaded, Source, Stale};
use crate::timer::{Deadline, Raced, race};
use crate::turn::{Turn, beside};
use crate::{Held, Sealed};

/// A load whose loader was asked and not ready at once.
pub(crate) struct Underway<'a, K: CacheKey, V, F> {
    lead: Lead<'a, K, V>,
    stale: Option<Arc<Stale<V>>>,
    begun: u64,
    loader: Pin<Box<F>>,
}

/// What the tiers are still to be told when a load has landed.
enum Left {
    Nothing,
    /// The value.
    Fill(Sealed),
    /// That there is none.
    Drop,
}

impl Left {
    fn after<V>((answer, sealed): (Answer<V>, Option<Sealed>)) -> (Answer<V>, Self) {
        (answer, sealed.map_or(Self::Nothing, Self::Fill))
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Runs the loader and lands what it gave: unless the key rests after a failure, and when it
    /// is this process's turn.
    pub(crate) async fn load<Q, L, Fut>(
        &self,
        key: &Q,
        lead: Lead<'_, K, V>,
        below: Option<Stale<V>>,
        loader: L,
        call: &Call,
    ) -> Answer<V>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        let stale = self.older(key, below);
        let lead = match self.ready(key, lead, stale.as_ref(), call) {
            Ok(lead) => lead,
            Err(answer) => return answer,
        };
        if !self.asks_for_turn(call) {
            return self.load_in_turn(key, lead, stale, None, loader, call).await;
        }
        let turn = race(self.take_turn(key, lead, stale, call), self.alarm(self.load_until(call)));
        match Box::pin(turn).await {
            Raced::Done(Turn::Load(lead, stale, held)) => {
                self.load_in_turn(key, lead, stale, held, loader, call).await
            }
            Raced::Done(Turn::Answered(answer)) => answer,
            Raced::TimedOut => self.give_up_lead(key, call),
        }
    }

    /// Whether the loader is to be asked: the lead goes on, and what may answer meanwhile is
    /// offered. Otherwise the flight has landed.
    fn ready<'a, Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        lead: Lead<'a, K, V>,
        stale: Option<&Arc<Stale<V>>>,
        call: &Call,
    ) -> Result<Lead<'a, K, V>, Answer<V>> {
        let lead = self.rest(key, lead, stale, call)?;
        if let Some(stale) = stale {
            lead.offer(stale);
        }
        Ok(lead)
    }

    /// Begins a load that waits for nobody else, in a cache without tiers and limits. One whose
    /// loader is ready at once ends here; another is given back under way.
    pub(crate) fn load_at_once<'a, Q, L, Fut>(
        &'a self,
        key: &Q,
        lead: Lead<'a, K, V>,
        loader: L,
        call: &Call,
        cx: &Context<'_>,
    ) -> Result<Answer<V>, Underway<'a, K, V, Fut>>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        let stale = if lead.found_nothing() { None } else { self.older(key, None) };
        let mut lead = match self.ready(key, lead, stale.as_ref(), call) {
            Ok(lead) => lead,
            Err(answer) => return Ok(answer),
        };
        let begun = self.begins();
        let mut loader = Box::pin(self.begin(key, stale.as_deref(), loader));
        match lead.poll(loader.as_mut(), cx) {
            Poll::Ready(loaded) => {
                let raced = Raced::Done(loaded);
                Ok(self.end(key, lead, raced, begun, stale.as_deref(), call).0)
            }
            Poll::Pending => {
                Err(Underway { lead, stale, begun: self.begun_exactly(begun), loader })
            }
        }
    }

    /// Goes on with a load that was not ready at once.
    pub(crate) async fn load_on<Q, Fut>(
        &self,
        key: &Q,
        load: Underway<'_, K, V, Fut>,
        call: &Call,
    ) -> Answer<V>
    where
        Q: Lookup<K> + ?Sized,
        Fut: Future<Output = Loaded<V>>,
    {
        let Underway { mut lead, stale, begun, loader } = load;
        let work = race(lead.run_on(loader), self.alarm(self.load_until(call)));
        let raced = work.await;
        self.end(key, lead, raced, begun, stale.as_deref(), call).0
    }

    async fn load_in_turn<Q, L, Fut>(
        &self,
        key: &Q,
        mut lead: Lead<'_, K, V>,
        stale: Option<Arc<Stale<V>>>,
        held: Option<Held>,
        loader: L,
        call: &Call,
    ) -> Answer<V>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        let stale = stale.as_deref();
        let mut places = Places::default();
        if self.view.core.limits.is_some() {
            let has_fallback = self.rescue(key, stale, call).is_some();
            let admitted = Box::pin(lead.run(self.admit(call, has_fallback))).await;
            let Admission::Admitted(taken) = admitted else {
                return Box::pin(self.load_beyond(key, lead, stale, loader, call)).await;
            };
            places = taken;
        }
        let begun = self.view.clock.micros();
        let work = lead.run(places.run(self.begin(key, stale, loader)));
        let work = beside(work, held.as_ref().map(|held| self.keep_turn(held)));
        let raced = race(work, self.alarm(self.load_until(call))).await;
        let at = lead.started();
        let (answer, left) = self.end(key, lead, raced, begun, stale, call);
        match left {
            Left::Nothing => {}
            Left::Fill(sealed) => {
                // The value is in hand, and the tiers are told by a task of their own.
                let fill = self.fill_below(sealed, call.access, held);
                let _ = Box::pin(self.in_time(call, fill)).await;
            }
            Left::Drop => {
                // The value is gone where it came from, and so it goes here.
                let _ = Box::pin(self.in_time(call, self.drop_below(key, at))).await;
            }
        }
        answer
    }

    /// Asks the loader, with what is known of the older value.
    fn begin<Q, L, Fut>(&self, key: &Q, stale: Option<&Stale<V>>, loader: L) -> Fut
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce(Option<Cached<V>>) -> Fut,
    {
        self.view.core.counts.loads.add(1);
        let known = stale.filter(|stale| self.stands(key, stale));
        loader(known.map(|stale| stale.value.clone()))
    }

    /// Lands what a load came to, and says what the tiers are still to be told.
    fn end<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        lead: Lead<'_, K, V>,
        raced: Raced<Loaded<V>>,
        begun: u64,
        stale: Option<&Stale<V>>,
        call: &Call,
    ) -> (Answer<V>, Left) {
        let (failure, stale) = match (raced, stale) {
            (Raced::Done(Ok(Fetched::Value(value))), _) => {
                let older = stale.map(|stale| &stale.value);
                return Left::after(self.land(key, lead, value, begun, older, call));
            }
            (Raced::Done(Ok(Fetched::NotModified)), Some(stale)) => {
                return Left::after(self.land_renewed(key, lead, stale, begun, call));
            }
            (Raced::Done(Ok(Fetched::Absent)), _) => {
                let left = match self.land_absent(lead, call) {
                    true => Left::Drop,
                    false => Left::Nothing,
                };
                return (Answer::Absent, left);
            }
            (Raced::Done(Ok(Fetched::NotModified)), None) => {
                (Landing::Broken(not_extended()), None)
            }
            (Raced::Done(Err(error)), stale) => (Landing::Failed(error), stale),
            (Raced::TimedOut, stale) => (Landing::TimedOut(self.limit(call)), stale),
        };
        (self.fail_load(key, lead, stale, failure, call), Left::Nothing)
    }

    /// Ends a flight whose load failed: with an older value where that is allowed.
    fn fail_load<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        lead: Lead<'_, K, V>,
        stale: Option<&Stale<V>>,
        failure: Landing<V>,
        call: &Call,
    ) -> Answer<V> {
        self.view.core.counts.load_failures.add(1);
        self.note_failure(&lead, &failure, call);
        if let Some(stale) = self.rescue(key, stale, call) {
            self.view.core.counts.stale_served.add(1);
            lead.land_empty(Landing::Value(stale.clone(), Source::Memory));
            return Answer::Value(stale, Source::Memory.into());
        }
        if let (Landing::Failed(error), true) = (&failure, self.lets_next_retry(call)) {
            if let Some(owned) = &call.owned {
                // Set before the lead is passed on: its caller may be the next that is asked.
                let _ = owned.failed.set(Arc::clone(error));
            }
            drop(lead);
        } else {
            lead.land_empty(failure.clone());
        }
        match failure {
            Landing::Failed(error) => Answer::Failed(error),
            Landing::Broken(error) => Answer::Broken(error),
            _ => Answer::TimedOut,
        }
    }

    /// When a load ends at the latest. One that may outlive its callers goes on for as long again
    /// as they wait: what it gives then is stored all the same, if nobody changed the key.
    pub(crate) fn load_until(&self, call: &Call) -> Option<Millis> {
        let overtime = if call.owned.is_some() { self.limit(call) } else { 0 };
        call.deadline.map(|deadline| deadline.saturating_add(overtime))
    }

    pub(crate) fn alarm(&self, at: Option<Millis>) -> Option<Deadline> {
        at.map(|at| self.view.shared.timer.deadline(at))
    }

    /// The answer to a loader that asks for its own key, or for one that waits for it.
    pub(crate) async fn recurse<L, Fut>(&self, loader: L, call: &Call) -> Answer<V>
    where
        L: FnOnce(Option<Cached<V>>) -> Fut,
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
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        self.view.core.counts.loads.add(1);
        match self.in_time(call, loader(None)).await {
            Raced::Done(Ok(Fetched::Value(value))) => {
                Answer::Value(self.unstored(value), Source::Loader.into())
            }
            Raced::Done(Ok(Fetched::Absent)) => Answer::Absent,
            Raced::Done(Ok(Fetched::NotModified)) => Answer::Broken(not_extended()),
            Raced::Done(Err(error)) => Answer::Failed(error),
            Raced::TimedOut => Answer::TimedOut,
        }
    }
}

fn not_extended() -> Error {
    let text = "the loader said that nothing was modified, and there is no value to extend";
    Error::new(ErrorKind::InvalidInput, text)
}
