//! The cold half of a read: what follows a miss in level 1.

use std::any::TypeId;
use std::future::Future;
use std::sync::Arc;

use cache_enterprise_core::{CacheKey, Cached, Lookup};

use crate::cache::Cache;
use crate::context::Fetched;
use crate::error::{LoadError, found_of};
use crate::failures::SharedError;
use crate::flight::{Follow, Followed, Join, Landing, Lead, Seat};
use crate::owned::Found;
use crate::read::{Answer, Call, Loaded, Source, Stale, Want};
use crate::timer::Raced;

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// [`try_find`](Self::try_find) without how the value came.
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
        self.try_find(key, load, call).await.map(|(value, _)| value)
    }

    /// [`climb`](Self::climb) for a loader with an error of its own type.
    pub(crate) async fn try_find<Q, F, Fut, O, E>(
        &self,
        key: &Q,
        load: F,
        call: Call,
    ) -> Found<V, E>
    where
        Q: Lookup<K> + ?Sized,
        F: FnOnce() -> Fut,
        Fut: Future<Output = std::result::Result<O, E>>,
        O: Into<V>,
        E: Send + Sync + 'static,
    {
        let loader = |_| async {
            match load().await {
                Ok(value) => Ok(Fetched::Value(value.into())),
                Err(error) => Err(Arc::new(error) as SharedError),
            }
        };
        let call = Call { error: Some(TypeId::of::<E>()), ..call };
        found_of(self.climb_as::<Q, _, _, E>(key, loader, call).await)
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
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        self.climb_as::<Q, L, Fut, NoError>(key, loader, call)
    }

    /// The cold half of every read. `E` is the error this caller can share.
    pub(crate) async fn climb_as<Q, L, Fut, E>(&self, key: &Q, loader: L, call: Call) -> Answer<V>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce(Option<Cached<V>>) -> Fut,
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
            let seat = match self.join_for(key, arrival, &call) {
                Join::Known(value) => return Answer::Value(value, Source::Memory.into()),
                Join::Lead(seat) => seat,
                Join::Follow(seat) => {
                    let Some(follow) = Follow::enter(Arc::clone(&seat.flight)) else {
                        return Box::pin(self.recurse(loader, &call)).await;
                    };
                    match self.in_time(&call, follow).await {
                        Raced::Done(Followed::Offered(_)) => {
                            unreachable!("a borrowing call takes no offer")
                        }
                        Raced::TimedOut => return self.give_up(key, &call),
                        Raced::Done(Followed::Lead) => seat,
                        Raced::Done(Followed::Rejoin) => continue,
                        Raced::Done(Followed::Alone) => {
                            return Box::pin(self.load_alone(loader, &call)).await;
                        }
                        Raced::Done(Followed::Landed(landing)) => {
                            match self.accept::<Q, E>(key, landing, &seat, arrival, &call) {
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
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        let is_heir = seat.is_heir;
        let lead = Lead::new(&self.view.core.flights, seat, self.leads_until(call));
        if is_heir && let Some(hit) = self.hit_for(key, call) {
            lead.land_empty(Landing::Value(hit.clone(), Source::Memory));
            return Answer::Value(hit, Source::Memory.into());
        }
        self.bury(key);
        if !self.view.has_tiers() && call.want != Want::Lookup {
            return self.load(key, lead, None, loader, call).await;
        }
        let below = match Box::pin(self.in_time(call, self.read_below(key, lead, call))).await {
            Raced::Done(below) => below,
            Raced::TimedOut => return self.give_up_lead(key, call),
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

    /// The answer to a leader whose deadline came while tiers were asked: the lead has gone to the
    /// next waiter, or the value landed and was still climbing.
    pub(crate) fn give_up_lead<Q: Lookup<K> + ?Sized>(&self, key: &Q, call: &Call) -> Answer<V> {
        match self.hit_for(key, call) {
            Some(hit) => Answer::Value(hit, Source::Memory.into()),
            None => self.give_up(key, call),
        }
    }
}

/// What the tiers gave to a flight's leader.
pub(crate) enum Below<'a, K: CacheKey, V> {
    /// The flight has landed.
    Answered(Answer<V>),
    /// The lead goes on, perhaps with a value past its life to fall back on.
    Unanswered(Lead<'a, K, V>, Option<Stale<V>>),
}

/// The error type of loaders that cannot fail.
enum NoError {}
