//! The cold half of a read: what follows a miss in level 1.

use std::any::TypeId;
use std::future::Future;
use std::sync::Arc;
use std::task::Context;

use cache_enterprise_core::{CacheKey, Cached, Lookup};

use crate::cache::Cache;
use crate::context::Fetched;
use crate::error::found_of;
use crate::failures::SharedError;
use crate::flight::{Arrival, Follow, Followed, Join, Landing, Lead, Seat};
use crate::hit_or::Climb;
use crate::load::Underway;
use crate::owned::Found;
use crate::read::{Answer, Call, Loaded, Source, Stale, Want};
use crate::timer::Raced;

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The cold half of a read of which `give` makes the answer. It goes on to where it first has
    /// to wait, which may be its end.
    pub(crate) fn climb_at_once<'a, Q, L, Fut, E, G, T>(
        &'a self,
        key: &'a Q,
        loader: L,
        call: Call,
        give: G,
        cx: &Context<'_>,
    ) -> Climb<T, impl Future<Output = T> + use<'a, K, V, Q, L, Fut, E, G, T>>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
        E: Send + Sync + 'static,
        G: FnOnce(Answer<V>) -> T,
    {
        match self.set_out(key, loader, &call, cx) {
            Reached::End(answer) => Climb::Answered(give(answer)),
            reached => Climb::Going(Box::pin(async move {
                give(self.climb_on::<Q, L, Fut, E>(key, reached, call).await)
            })),
        }
    }

    /// Climbs for as long as nothing has to be waited for.
    fn set_out<'a, Q, L, Fut>(
        &'a self,
        key: &Q,
        loader: L,
        call: &Call,
        cx: &Context<'_>,
    ) -> Reached<'a, K, V, L, Fut>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        self.note_miss(key);
        if self.view.has_tiers() || self.view.core.limits.is_some() {
            return Reached::Foot(loader);
        }
        let (arrival, seat) = match self.knock(key, call) {
            Err(answer) => return Reached::End(answer),
            Ok((arrival, Join::Lead(seat))) => (arrival, seat),
            Ok((arrival, joined)) => return Reached::Door(loader, arrival, joined),
        };
        let lead = Lead::new(&self.view.core.flights, seat, arrival.ends);
        self.bury(key);
        match self.load_at_once(key, lead, loader, call, cx) {
            Ok(answer) => Reached::End(answer),
            Err(load) => Reached::Load(load),
        }
    }

    /// [`climb_as`](Self::climb_as) for a loader with an error of its own type.
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
        let call = Call { error: Some(TypeId::of::<E>()), ..call };
        found_of(self.climb_as::<Q, _, _, E>(key, |_| loaded_by(load), call).await)
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
    pub(crate) fn climb_as<'a, Q, L, Fut, E>(
        &'a self,
        key: &'a Q,
        loader: L,
        call: Call,
    ) -> impl Future<Output = Answer<V>> + use<'a, K, V, Q, L, Fut, E>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
        E: Send + Sync + 'static,
    {
        self.note_miss(key);
        self.climb_on::<Q, L, Fut, E>(key, Reached::Foot(loader), call)
    }

    fn note_miss<Q: Lookup<K> + ?Sized>(&self, key: &Q) {
        self.view.core.counts.misses.add(1);
        self.note_demand(key);
    }

    /// Asks at the door of the key's flight, unless the caller's time is over.
    fn knock<Q>(&self, key: &Q, call: &Call) -> std::result::Result<(Arrival, Join<V>), Answer<V>>
    where
        Q: Lookup<K> + ?Sized,
    {
        if self.is_over(call) {
            return Err(self.give_up(key, call));
        }
        let arrival = self.arrival(call);
        Ok((arrival, self.join_for(key, arrival, call)))
    }

    /// Climbs on from what was reached.
    async fn climb_on<Q, L, Fut, E>(
        &self,
        key: &Q,
        reached: Reached<'_, K, V, L, Fut>,
        call: Call,
    ) -> Answer<V>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
        E: Send + Sync + 'static,
    {
        let (loader, mut door) = match reached {
            Reached::Foot(loader) => (loader, None),
            Reached::Door(loader, arrival, joined) => (loader, Some((arrival, joined))),
            Reached::Load(load) => return Box::pin(self.load_on(key, load, &call)).await,
            Reached::End(answer) => return answer,
        };
        // What only tiers ask for is boxed here and below, so that the future of a climb is small
        // where there are none: it is moved into its own box whole.
        if self.view.has_tiers()
            && let Raced::TimedOut = Box::pin(self.in_time(&call, self.prepare_below())).await
        {
            return self.give_up(key, &call);
        }
        loop {
            let (arrival, joined) = match door.take() {
                Some(door) => door,
                None => match self.knock(key, &call) {
                    Ok(door) => door,
                    Err(answer) => return answer,
                },
            };
            let seat = match joined {
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

/// How far a read has climbed.
enum Reached<'a, K: CacheKey, V, L, Fut> {
    Foot(L),
    /// The door of the key's flight, and what was found there.
    Door(L, Arrival, Join<V>),
    Load(Underway<'a, K, V, Fut>),
    End(Answer<V>),
}

/// The error type of loaders that cannot fail.
pub(crate) enum NoError {}

/// What a loader with an error of its own type gave.
pub(crate) async fn loaded_by<V, F, Fut, O, E>(load: F) -> Loaded<V>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = std::result::Result<O, E>>,
    O: Into<V>,
    E: Send + Sync + 'static,
{
    match load().await {
        Ok(value) => Ok(Fetched::Value(value.into())),
        Err(error) => Err(Arc::new(error) as SharedError),
    }
}
