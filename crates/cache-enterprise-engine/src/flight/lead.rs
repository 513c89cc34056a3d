//! Leading a flight: running its loader, landing what it gave, and leaving it to the next.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cache_enterprise_core::sync::atomic::Ordering;
use cache_enterprise_core::{CacheKey, Event, Millis, Scoped, Sequence, mutant};
use pin_project_lite::pin_project;

use super::{Flights, Landing, PANICS_MAX, Phase, Seat, recursion};
use crate::read::Stale;

/// A leader's duty: it lands, or the flight goes to the next.
pub(crate) struct Lead<'a, K: CacheKey, V> {
    flights: &'a Flights<K, V>,
    pub(super) seat: Seat<V>,
    pub(super) is_polling: bool,
    pub(super) tells_of_panics: bool,
    /// Whether every tier was asked since this lead began, and held nothing.
    pub(crate) found_nothing_below: bool,
    has_landed: bool,
}

impl<'a, K: CacheKey, V> Lead<'a, K, V> {
    /// Leads the flight until `ends` at the latest.
    pub(crate) fn new(flights: &'a Flights<K, V>, seat: Seat<V>, ends: Millis) -> Self {
        seat.flight.ends.store(ends, Ordering::Release);
        Self {
            flights,
            seat,
            is_polling: false,
            tells_of_panics: true,
            found_nothing_below: false,
            has_landed: false,
        }
    }

    /// The sequence noted when the flight started.
    pub(crate) fn started(&self) -> Sequence {
        self.seat.flight.started
    }

    /// The change counter noted when the flight started: what it lands was checked then.
    pub(crate) fn checked(&self) -> u64 {
        self.seat.flight.checked
    }

    /// Whether level 1 held nothing under the key when the flight started.
    pub(crate) fn found_nothing(&self) -> bool {
        self.seat.found_nothing
    }

    /// Bytes the key holds on the heap.
    pub(crate) fn key_heap_bytes(&self) -> usize {
        self.seat.flight.key_heap_bytes
    }

    /// Ends the flight with `landing`, which is made for those who wait for it. `store` runs under
    /// the key's lock with the flight's key, and only if the flight is still attached.
    pub(crate) fn land<R>(
        mut self,
        landing: impl FnOnce() -> Landing<V>,
        store: impl FnOnce(Scoped<K>) -> R,
    ) -> Option<R> {
        self.has_landed = true;
        let stored = {
            let mut lock = self.flights.lock_hash(self.seat.hash);
            let released = lock.release(&self.seat.flight);
            if mutant::breaks("attached and stored are one step") {
                drop(lock);
                std::thread::yield_now();
            }
            released.map(store)
        };
        // Out of the table nobody finds it any more: alone, it has nobody to tell.
        if Arc::strong_count(&self.seat.flight) > 1 {
            self.seat.flight.finish(Phase::Landed(landing()));
        }
        stored
    }

    /// Lets those who take it be answered with an older value while the loader runs.
    pub(crate) fn offer(&self, stale: &Arc<Stale<V>>) {
        self.seat.flight.offer(Arc::clone(stale));
    }

    /// The owned key, while the flight is attached.
    pub(crate) fn if_attached<R>(&self, then: impl FnOnce(&Scoped<K>) -> R) -> Option<R> {
        let lock = self.flights.lock_hash(self.seat.hash);
        lock.held_by(&self.seat.flight).map(then)
    }

    /// Ends the flight and stores nothing.
    pub(crate) fn land_empty(self, landing: Landing<V>) {
        self.land(|| landing, drop);
    }
}

impl<'a, K: CacheKey, V: Send + Sync + 'static> Lead<'a, K, V> {
    /// Runs the loader in this task, watched: its wake-ups are noted, its recursion is seen.
    pub(crate) fn run<F: Future>(&mut self, loader: F) -> Run<'_, 'a, K, V, F> {
        let waker = self.waker();
        Run { lead: self, waker, was_polled: false, loader }
    }

    /// As [`run`](Self::run), for a loader that [`poll`](Self::poll) has just found pending: it is
    /// polled again when it was woken.
    pub(crate) fn run_on<F: Future>(&mut self, loader: F) -> Run<'_, 'a, K, V, F> {
        let waker = self.waker();
        Run { lead: self, waker, was_polled: true, loader }
    }

    /// Polls the loader once, watched.
    pub(crate) fn poll<F>(&mut self, loader: Pin<&mut F>, cx: &Context<'_>) -> Poll<F::Output>
    where
        F: Future + ?Sized,
    {
        let waker = self.waker();
        self.poll_as(&waker, loader, cx)
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.seat.flight))
    }

    /// Whoever wakes the loader meanwhile finds no leader, and the flight passes that on: a loader
    /// that is ready at once has no leader noted for it.
    fn poll_as<F: Future + ?Sized>(
        &mut self,
        waker: &Waker,
        loader: Pin<&mut F>,
        cx: &Context<'_>,
    ) -> Poll<F::Output> {
        let flight = &self.seat.flight;
        flight.woken.store(0, Ordering::Release);
        self.is_polling = true;
        let inside = recursion::enter(flight.id);
        let polled = loader.poll(&mut Context::from_waker(waker));
        drop(inside);
        self.is_polling = false;
        if polled.is_pending() {
            flight.note_leader(cx.waker());
        }
        polled
    }
}

pin_project! {
    /// A loader that is watched while it runs.
    pub(crate) struct Run<'l, 'a, K, V, F>
    where
        K: CacheKey,
    {
        lead: &'l mut Lead<'a, K, V>,
        waker: Waker,
        // Whether its first poll has happened elsewhere.
        was_polled: bool,
        #[pin]
        loader: F,
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, F: Future> Future for Run<'_, '_, K, V, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if std::mem::take(this.was_polled) {
            return Poll::Pending;
        }
        this.lead.poll_as(this.waker, this.loader, cx)
    }
}

impl<K: CacheKey, V> Drop for Lead<'_, K, V> {
    fn drop(&mut self) {
        if self.has_landed {
            return;
        }
        if self.is_polling && self.tells_of_panics {
            let cache = self.flights.cache.to_owned();
            self.flights.observer.on_event(&Event::LoaderPanicked { cache });
        }
        if mutant::breaks("a lost leader is followed by the next") {
            return;
        }
        let flight = &self.seat.flight;
        let mut lock = self.flights.lock_hash(self.seat.hash);
        let mut state = flight.state.lock();
        if !matches!(state.phase, Phase::Led) {
            return;
        }
        state.leader = None;
        state.panics += u8::from(self.is_polling);
        let next = state.followers.iter_mut().find_map(Option::take);
        let is_given_up = state.panics >= PANICS_MAX;
        if is_given_up || next.is_none() {
            drop(state);
            let key = lock.release(flight);
            drop(lock);
            drop(key);
            let phase = if is_given_up { Phase::Abandoned } else { Phase::Dissolved };
            flight.finish(phase);
            next.into_iter().for_each(Waker::wake);
            return;
        }
        state.phase = Phase::Vacant;
        flight.note_due();
        drop(state);
        drop(lock);
        next.into_iter().for_each(Waker::wake);
    }
}
