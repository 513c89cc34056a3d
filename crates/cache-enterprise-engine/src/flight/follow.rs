//! Waiting for a flight that somebody else leads.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cache_enterprise_core::sync::atomic::Ordering;

use super::{Flight, Landing, Phase, State, recursion};
use crate::read::Stale;
use crate::waits::Wait;

/// What a follower got.
pub(crate) enum Followed<V> {
    Landed(Landing<V>),
    /// An older value, while the load goes on.
    Offered(Arc<Stale<V>>),
    /// The leader is gone: lead the same flight.
    Lead,
    /// The flight dissolved: join anew.
    Rejoin,
    /// Run the own loader, uncoalesced.
    Alone,
}

/// Waiting for a flight.
pub(crate) struct Follow<V> {
    flight: Arc<Flight<V>>,
    slot: Option<usize>,
    /// Whether it waits, as far as the flight knows.
    is_counted: bool,
    takes_offers: bool,
    /// Notes that the loaders this call is made in wait for the flight.
    wait: Option<Wait>,
}

impl<V> Follow<V> {
    pub(super) fn new(flight: Arc<Flight<V>>) -> Self {
        Self { flight, slot: None, is_counted: false, takes_offers: false, wait: None }
    }

    /// Waits for `flight`; `None` inside a loader for which, over whatever others, it waits itself.
    pub(crate) fn enter(flight: Arc<Flight<V>>) -> Option<Self> {
        let wait = Wait::enter(recursion::inside(), flight.id)?;
        let mut follow = Self::new(flight);
        follow.wait = Some(wait);
        Some(follow)
    }

    /// Whether an older value ends the wait.
    pub(crate) fn take_offers(&mut self, takes_offers: bool) {
        self.takes_offers = takes_offers;
    }

    /// The follower leaves with an answer, and wants the load to go on.
    pub(crate) fn keep_load(&self) {
        self.flight.state.lock().is_kept = true;
    }

    /// Leaves the lead to others until it is polled again, and still waits.
    pub(crate) fn stand_aside(&mut self) {
        let next = {
            let mut state = self.flight.state.lock();
            leave_row(&self.flight, &mut state, self.slot.take())
        };
        next.into_iter().for_each(Waker::wake);
    }
}

/// Takes a follower out of the row of those who may lead. One that was woken to lead passes that
/// on: gives whom to wake instead.
fn leave_row<V>(flight: &Flight<V>, state: &mut State<V>, slot: Option<usize>) -> Option<Waker> {
    let place = slot.and_then(|slot| state.followers.get_mut(slot))?;
    let was_chosen = place.take().is_none();
    if !was_chosen || !matches!(state.phase, Phase::Vacant) {
        return None;
    }
    let next = state.followers.iter_mut().find_map(Option::take);
    if next.is_none() {
        flight.note_due();
    }
    next
}

impl<V> Future for Follow<V> {
    type Output = Followed<V>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut state = this.flight.state.lock();
        if !this.is_counted {
            this.is_counted = true;
            state.waiting += 1;
        }
        let followed = match (&state.phase, &state.stale) {
            (Phase::Led | Phase::Vacant, Some(stale)) if this.takes_offers => {
                return Poll::Ready(Followed::Offered(Arc::clone(stale)));
            }
            (Phase::Led, _) => {
                register(&mut state.followers, &mut this.slot, cx.waker());
                return Poll::Pending;
            }
            (Phase::Vacant, _) => Followed::Lead,
            (Phase::Landed(landing), _) => Followed::Landed(landing.clone()),
            (Phase::Dissolved, _) => Followed::Rejoin,
            (Phase::Abandoned, _) => Followed::Alone,
        };
        if matches!(followed, Followed::Lead) {
            state.phase = Phase::Led;
            this.flight.woken.store(0, Ordering::Release);
        }
        if let Some(waker) = this.slot.take().and_then(|slot| state.followers.get_mut(slot)) {
            *waker = None;
        }
        this.is_counted = false;
        state.waiting -= 1;
        Poll::Ready(followed)
    }
}

impl<V> Drop for Follow<V> {
    fn drop(&mut self) {
        drop(self.wait.take());
        if !self.is_counted {
            return;
        }
        let mut wakers = [None, None];
        {
            let mut state = self.flight.state.lock();
            state.waiting -= 1;
            if state.waiting == 0 && !state.is_kept && matches!(state.phase, Phase::Led) {
                self.flight.is_deserted.store(true, Ordering::Release);
                wakers[0] = state.deserted.take();
            }
            wakers[1] = leave_row(&self.flight, &mut state, self.slot.take());
        }
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

pub(crate) fn register(
    followers: &mut Vec<Option<Waker>>,
    slot: &mut Option<usize>,
    waker: &Waker,
) {
    match slot.and_then(|slot| followers.get_mut(slot)) {
        Some(held) if held.as_ref().is_some_and(|held| held.will_wake(waker)) => {}
        Some(held) => *held = Some(waker.clone()),
        None => {
            *slot = Some(followers.len());
            followers.push(Some(waker.clone()));
        }
    }
}
