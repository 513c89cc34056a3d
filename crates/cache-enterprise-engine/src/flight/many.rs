//! Many flights at once: one load that leads several, and one caller that follows several.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use cache_enterprise_core::CacheKey;
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::sync::atomic::Ordering;
use pin_project_lite::pin_project;

use super::{Flight, Follow, Followed, Lead, recursion};

/// The waker of one load that serves several flights: a wake-up is noted at each of them, so that
/// none waits for a leader that does not come.
struct Herd<V> {
    flights: Box<[Arc<Flight<V>>]>,
    leader: Mutex<Option<Waker>>,
}

impl<V: Send + Sync + 'static> Wake for Herd<V> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.flights.iter().for_each(|flight| flight.note_due());
        let leader = self.leader.lock().clone();
        if let Some(leader) = leader {
            leader.wake();
        }
    }
}

pin_project! {
    /// One loader for several flights, watched while it runs.
    pub(crate) struct RunMany<'l, 'a, K, V, F>
    where
        K: CacheKey,
    {
        leads: Vec<&'l mut Lead<'a, K, V>>,
        herd: Arc<Herd<V>>,
        waker: Waker,
        #[pin]
        loader: F,
    }
}

/// Runs `loader` in this task for all of `leads`: its wake-ups are noted and its recursion is
/// seen as those of one load, and a panic counts in every flight.
pub(crate) fn run_many<'l, 'a, K, V, F>(
    leads: impl Iterator<Item = &'l mut Lead<'a, K, V>>,
    loader: F,
) -> RunMany<'l, 'a, K, V, F>
where
    K: CacheKey,
    V: Send + Sync + 'static,
    F: Future,
{
    let mut leads: Vec<_> = leads.collect();
    // One panic of one loader is one event.
    leads.iter_mut().skip(1).for_each(|lead| lead.tells_of_panics = false);
    let flights = leads.iter().map(|lead| Arc::clone(&lead.seat.flight)).collect();
    let herd = Arc::new(Herd { flights, leader: Mutex::new(None) });
    let waker = Waker::from(Arc::clone(&herd));
    RunMany { leads, herd, waker, loader }
}

impl<K: CacheKey, V: Send + Sync + 'static, F: Future> Future for RunMany<'_, '_, K, V, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let herd = &**this.herd;
        herd.flights.iter().for_each(|flight| flight.woken.store(0, Ordering::Release));
        {
            let mut leader = herd.leader.lock();
            if !leader.as_ref().is_some_and(|held| held.will_wake(cx.waker())) {
                *leader = Some(cx.waker().clone());
            }
        }
        this.leads.iter_mut().for_each(|lead| lead.is_polling = true);
        let inside = |flight: &Arc<Flight<V>>| recursion::enter(flight.id);
        let _inside: Vec<_> = herd.flights.iter().map(inside).collect();
        let polled = this.loader.poll(&mut Context::from_waker(this.waker));
        this.leads.iter_mut().for_each(|lead| lead.is_polling = false);
        polled
    }
}

/// Waiting for the next of several flights, until all have ended. Whoever drops it passes on the
/// leads it was chosen for.
pub(crate) struct FollowMany<V> {
    follows: Vec<Option<Follow<V>>>,
}

impl<V> FollowMany<V> {
    pub(crate) fn new<'a>(flights: impl Iterator<Item = &'a Arc<Flight<V>>>) -> Self
    where
        V: 'a,
    {
        Self { follows: flights.map(|flight| Some(Follow::new(Arc::clone(flight)))).collect() }
    }

    /// Leaves the leads to others until it is polled again, and still wants the loads.
    pub(crate) fn stand_aside(&mut self) {
        self.follows.iter_mut().flatten().for_each(Follow::stand_aside);
    }
}

impl<V> Future for FollowMany<V> {
    /// The places of the flights that have ended since the last time, in ascending order, and what
    /// they gave.
    type Output = Vec<(usize, Followed<V>)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut ended = Vec::new();
        for (place, held) in self.follows.iter_mut().enumerate() {
            let Some(follow) = held else { continue };
            if let Poll::Ready(followed) = Pin::new(follow).poll(cx) {
                *held = None;
                ended.push((place, followed));
            }
        }
        if ended.is_empty() { Poll::Pending } else { Poll::Ready(ended) }
    }
}
