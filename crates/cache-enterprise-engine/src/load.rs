//! The loader's part of a climb: whether it runs, while it runs, and what becomes of its answer.
//!
//! ```text
//! rest       a key that failed lately answers with an older value, or its error
//! turn       another process may be loading it (tiers with leases)
//! run        the caller's loader, watched, with what is known of the older value
//! land       a value, none, the older one confirmed; or an older one in its place
//! ```

use std::future::Future;
use std::sync::Arc;

use cache_enterprise_core::{CacheKey, Cached, Error, ErrorKind, Lookup, Millis};

use crate::Held;
use crate::cache::Cache;
use crate::context::Fetched;
use crate::flight::{Landing, Lead};
use crate::limiter::{Admission, Places};
use crate::read::{Answer, Call, Loaded, Source, Stale};
use crate::timer::{Deadline, Raced, race};
use crate::turn::{Turn, beside};

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
        let lead = match self.rest(key, lead, stale.as_ref(), call) {
            Ok(lead) => lead,
            Err(answer) => return answer,
        };
        if let Some(stale) = &stale {
            lead.offer(stale);
        }
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
        self.view.core.counts.loads.add(1);
        let begun = self.view.clock.micros();
        let known = stale.filter(|stale| self.stands(key, stale));
        let known = known.map(|stale| stale.value.clone());
        let work = lead.run(places.run(loader(known)));
        let work = beside(work, held.as_ref().map(|held| self.keep_turn(held)));
        let (answer, sealed) = match race(work, self.alarm(self.load_until(call))).await {
            Raced::Done(Ok(Fetched::Value(value))) => {
                let older = stale.map(|stale| &stale.value);
                self.land(key, lead, value, begun, older, call)
            }
            Raced::Done(Ok(Fetched::NotModified)) => match stale {
                Some(stale) => self.land_renewed(key, lead, stale, begun, call),
                None => {
                    return self.fail_load(key, lead, None, Landing::Broken(not_extended()), call);
                }
            },
            Raced::Done(Ok(Fetched::Absent)) => {
                let at = lead.started();
                self.land_absent(lead, call);
                if let Some(hold) = stale.and_then(|stale| stale.hold.as_ref()) {
                    // The value is gone where it came from, and so it goes here.
                    Box::pin(self.drop_below(hold, at)).await;
                }
                return Answer::Absent;
            }
            Raced::Done(Err(error)) => {
                return self.fail_load(key, lead, stale, Landing::Failed(error), call);
            }
            Raced::TimedOut => {
                return self.fail_load(key, lead, stale, Landing::TimedOut(self.limit(call)), call);
            }
        };
        if let Some(sealed) = sealed {
            // The value is in hand, and the tiers are told by a task of their own.
            let fill = self.fill_below(sealed, call.access, held);
            let _ = Box::pin(self.in_time(call, fill)).await;
        }
        answer
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
