//! Loads whose loader may outlive its caller: `detached`, and a registered loader.
//!
//! The caller joins the flight of its key first. Where it would lead, a task of its own leads, and
//! the caller waits for that as everybody else does. So an older value can answer at once, or
//! after a soft timeout, while the load goes on; and a load that nobody waits for any more fills
//! the cache all the same, unless it is to be cancelled then.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cache_enterprise_core::{CacheKey, CacheLevel, Cached, Millis, NEVER, saturating_millis};
use pin_project_lite::pin_project;

use crate::cache::Cache;
use crate::error::{LoadError, found_of};
use crate::flight::{Flight, Follow, Followed, Join, Lead, Seat};
use crate::policy::OnNoWaiters;
use crate::read::{Answer, Call, Loaded, Owned, Source, Stale, Via};
use crate::timer::{Raced, race};

/// A value and how it came, or why there is none.
pub(crate) type Found<V, E> = Result<(Cached<V>, Via), LoadError<E>>;

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The cold half of a load whose loader may outlive this call.
    pub(crate) async fn climb_owned<L, Fut, E>(&self, key: K, loader: L, call: Call) -> Found<V, E>
    where
        L: FnOnce(Option<Cached<V>>) -> Fut + Send + 'static,
        Fut: Future<Output = Loaded<V>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        self.view.core.counts.misses.add(1);
        self.note_demand(&key);
        if self.view.has_tiers()
            && let Raced::TimedOut = Box::pin(self.in_time(&call, self.prepare_below())).await
        {
            return found_of(self.give_up(&key, &call));
        }
        if !call.access.is_refresh() && call.access.reads(CacheLevel::L1) {
            if self.is_known_absent(&key) {
                return Err(LoadError::Absent);
            }
            let stale = self.fallback(&key, &call);
            if let Some(stale) = stale.filter(|stale| self.answers_at_once(stale, &call)) {
                let newer = self.refresh_behind(key, loader, call);
                if newer.is_none() {
                    self.view.core.counts.stale_served.add(1);
                }
                return Ok((newer.unwrap_or(stale), Source::Memory.into()));
            }
        }
        let soft = self.options(&call).soft_timeout;
        let soft_until =
            soft.map(|soft| self.view.clock.now().saturating_add(saturating_millis(soft)));
        let call = Arc::new(call);
        let loader = Some(loader);
        let asking =
            Asking { cache: self, key, call, loader, older: None, soft_until, is_soft_over: false };
        asking.run().await
    }

    /// Loads `key` behind its caller, which has an older value: unless that failed lately, or is
    /// under way. Gives the newer value where somebody else has brought it by now.
    pub(crate) fn refresh_behind<L, Fut>(
        &self,
        key: K,
        loader: L,
        mut call: Call,
    ) -> Option<Cached<V>>
    where
        L: FnOnce(Option<Cached<V>>) -> Fut + Send + 'static,
        Fut: Future<Output = Loaded<V>> + Send + 'static,
    {
        if self.is_resting(&key) {
            return None;
        }
        call.owned.get_or_insert_default().is_behind = true;
        let call = self.timed(call);
        match self.join_for(&key, self.arrival(&call), &call) {
            Join::Known(value) => Some(value),
            Join::Follow(_) => None,
            Join::Lead(seat) => {
                self.view.core.counts.refreshes.add(1);
                self.lead_detached(key, seat, loader, Arc::new(call));
                None
            }
        }
    }

    /// As [`refresh_behind`](Self::refresh_behind), for a value that is still fresh.
    #[cold]
    pub(crate) fn refresh_early<L, Fut>(&self, key: K, hit: &Cached<V>, loader: L, mut call: Call)
    where
        L: FnOnce(Option<Cached<V>>) -> Fut + Send + 'static,
        Fut: Future<Output = Loaded<V>> + Send + 'static,
    {
        let replaces = Some(Cached::entry(hit).created());
        call.owned.get_or_insert_default().replaces = replaces;
        self.refresh_behind(key, loader, call);
    }

    /// Leads a flight in a task of its own, which ends with the load and not with the caller.
    fn lead_detached<L, Fut>(&self, key: K, seat: Seat<V>, loader: L, call: Arc<Call>)
    where
        L: FnOnce(Option<Cached<V>>) -> Fut + Send + 'static,
        Fut: Future<Output = Loaded<V>> + Send + 'static,
    {
        let flight = Arc::clone(&seat.flight);
        flight.adopt();
        let policy = self.options(&call).on_no_waiters.unwrap_or_default();
        let ends_early = policy == OnNoWaiters::Cancel && !call.is_behind();
        let duty = Duty { cache: self.clone(), call, seat: Some(seat) };
        self.view.shared.spawn(Box::pin(async move {
            let mut duty = duty;
            let Some(seat) = duty.seat.take() else { return };
            // Followers, the caller among them, learn the answer from the flight.
            let load = duty.cache.lead(&key, seat, loader, &duty.call);
            if ends_early {
                WhileWanted { load, flight }.await;
            } else {
                load.await;
            }
        }));
    }

    /// Gives the lead of a flight to the next waiter.
    fn pass_on(&self, seat: Seat<V>, call: &Call) {
        drop(Lead::new(&self.view.core.flights, seat, self.leads_until(call)));
    }
}

/// A call that waits for a load which may outlive it.
struct Asking<'c, K: CacheKey, V: Send + Sync + 'static, L> {
    cache: &'c Cache<K, V>,
    key: K,
    call: Arc<Call>,
    loader: Option<L>,
    /// What the leader of the flight found and offered.
    older: Option<Arc<Stale<V>>>,
    soft_until: Option<Millis>,
    is_soft_over: bool,
}

impl<K, V, L, Fut> Asking<'_, K, V, L>
where
    K: CacheKey,
    V: Send + Sync + 'static,
    L: FnOnce(Option<Cached<V>>) -> Fut + Send + 'static,
    Fut: Future<Output = Loaded<V>> + Send + 'static,
{
    async fn run<E: Send + Sync + 'static>(mut self) -> Found<V, E> {
        let cache = self.cache;
        let mut arrival = cache.arrival(&self.call);
        // The flight whose lead this call gave to a task: it may land before it is joined again.
        let mut led: Option<(Seat<V>, Follow<V>)> = None;
        loop {
            let is_own = led.is_some();
            let (seat, mut follow) = match led.take() {
                Some(led) => led,
                None => {
                    if let Some(error) = self.own_error() {
                        return Err(error);
                    }
                    if cache.is_over(&self.call) {
                        return found_of(self.give_up());
                    }
                    arrival = cache.arrival(&self.call);
                    match cache.join_for(&self.key, arrival, &self.call) {
                        Join::Known(value) => return Ok((value, Source::Memory.into())),
                        Join::Follow(seat) => match Follow::enter(Arc::clone(&seat.flight)) {
                            Some(follow) => (seat, follow),
                            None => return Err(LoadError::Recursive),
                        },
                        Join::Lead(seat) => {
                            led = Some(self.lead(seat)?);
                            continue;
                        }
                    }
                }
            };
            let followed = match self.wait(&mut follow).await {
                Ok(followed) => followed,
                Err(answer) => {
                    follow.keep_load();
                    return found_of(answer);
                }
            };
            drop(follow);
            match followed {
                Followed::Landed(landing) => {
                    if is_own {
                        // However old the flight is, its loader began after this call.
                        arrival.sequence = seat.flight.started();
                    }
                    let answer =
                        cache.accept::<K, E>(&self.key, landing, &seat, arrival, &self.call);
                    let Some(answer) = answer else { continue };
                    let found = found_of(answer);
                    return found.map(|(value, via)| {
                        (value, Via { is_joined: via.is_joined && !is_own, ..via })
                    });
                }
                Followed::Lead => led = Some(self.lead(seat)?),
                Followed::Rejoin | Followed::Offered(_) => {}
                Followed::Alone => {
                    let Some(loader) = self.loader.take() else { return Err(LoadError::Panicked) };
                    return found_of(cache.load_alone(loader, &self.call).await);
                }
            }
        }
    }

    /// Waits for the flight, for an older value that answers, or until patience ends.
    async fn wait(&mut self, follow: &mut Follow<V>) -> Result<Followed<V>, Answer<V>> {
        let (cache, hard_until) = (self.cache, self.call.deadline.unwrap_or(NEVER));
        loop {
            let options = cache.options(&self.call);
            let is_patient = options.stale_for.is_none() && options.soft_timeout.is_none();
            let has_older = self.older.is_some();
            follow.take_offers(!is_patient && !has_older && !self.call.access.is_refresh());
            let until = self.soft_until.map_or(hard_until, |soft| soft.min(hard_until));
            let timer = cache.view.shared.timer.deadline(until);
            match race(&mut *follow, Some(timer)).await {
                Raced::Done(Followed::Offered(older)) => {
                    if cache.answers_at_once(&older.value, &self.call)
                        && cache.stands(&self.key, &older)
                    {
                        return Err(self.serve(older.value.clone()));
                    }
                    self.older = Some(older);
                    if self.is_soft_over
                        && let Some(older) = self.rescue()
                    {
                        return Err(self.serve(older));
                    }
                }
                Raced::Done(followed) => return Ok(followed),
                Raced::TimedOut if cache.is_over(&self.call) => return Err(self.give_up()),
                Raced::TimedOut => {
                    (self.soft_until, self.is_soft_over) = (None, true);
                    if let Some(older) = self.rescue() {
                        return Err(self.serve(older));
                    }
                }
            }
        }
    }

    fn rescue(&self) -> Option<Cached<V>> {
        self.cache.rescue(&self.key, self.older.as_deref(), &self.call)
    }

    fn serve(&self, older: Cached<V>) -> Answer<V> {
        self.cache.view.core.counts.stale_served.add(1);
        Answer::Value(older, Source::Memory.into())
    }

    /// The answer when the deadline has come.
    fn give_up(&self) -> Answer<V> {
        match self.rescue() {
            Some(older) => self.serve(older),
            None => Answer::TimedOut,
        }
    }

    /// Gives the lead to a task with this call's loader, or to the next waiter when that has run.
    /// This call waits before the task begins: a loader that asks back closes the circle.
    fn lead<E>(&mut self, seat: Seat<V>) -> Result<(Seat<V>, Follow<V>), LoadError<E>>
    where
        E: Send + Sync + 'static,
    {
        let Some(loader) = self.loader.take() else {
            self.cache.pass_on(seat, &self.call);
            let is_over = self.cache.is_over(&self.call);
            let why = if is_over { LoadError::Timeout } else { LoadError::Panicked };
            return Err(self.own_error().unwrap_or(why));
        };
        let Some(follow) = Follow::enter(Arc::clone(&seat.flight)) else {
            self.cache.pass_on(seat, &self.call);
            return Err(LoadError::Recursive);
        };
        let (place, call) = (seat.clone(), Arc::clone(&self.call));
        self.cache.lead_detached(self.key.clone(), seat, loader, call);
        Ok((place, follow))
    }

    /// The error of this call's own loader, when others went on without it.
    fn own_error<E: Send + Sync + 'static>(&self) -> Option<LoadError<E>> {
        let error = self.call.owned.as_ref()?.failed.get()?;
        Arc::clone(error).downcast().ok().map(LoadError::Loader)
    }
}

impl Owned {
    /// What there is about a loader that tells of its value there.
    pub(crate) fn telling(told: &crate::context::Telling) -> Box<Self> {
        Box::new(Self { told: Arc::clone(told), ..Self::default() })
    }
}

/// The lead of a flight on its way to a task of its own. Where the task is never polled, because
/// no thread could be had or the runtime has ended, the lead goes to the next waiter.
struct Duty<K: CacheKey, V: Send + Sync + 'static> {
    cache: Cache<K, V>,
    call: Arc<Call>,
    seat: Option<Seat<V>>,
}

impl<K: CacheKey, V: Send + Sync + 'static> Drop for Duty<K, V> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.cache.pass_on(seat, &self.call);
        }
    }
}

pin_project! {
    /// A load that ends when everybody who waited for it was dropped.
    struct WhileWanted<F, V> {
        #[pin]
        load: F,
        flight: Arc<Flight<V>>,
    }
}

impl<F: Future, V> Future for WhileWanted<F, V> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        // Polled first: a load that was polled passes the lead on when it is dropped.
        if this.load.poll(cx).is_ready() || this.flight.is_deserted(cx.waker()) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
