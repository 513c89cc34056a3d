//! How many loaders run at once, and who is next when too many want to.
//!
//! A limiter bounds the loaders of one cache, or of a whole manager. Where all places are taken a
//! load waits in the line of its tenant; the lines are served in turn, each as many loads a turn
//! as the tenant's weight says. So a tenant that asks for a hundred times as much gets its share
//! and no more while others wait. A line is bounded, and so is the wait in it: what comes to
//! nothing is *overloaded*.
//!
//! ```text
//! places free       the load runs
//! a value in grace  it answers at once; the line stays as short as it is
//! else              the load waits, in the line of its tenant
//! line full, or the wait is over
//!                   an error where the caller can be told; else its loader runs beyond the limit,
//!                   for all who wait for the same key, and nothing is stored
//! ```
//!
//! A loader that asks for another key of the same limiter loads it in its own place: it would wait
//! for itself otherwise.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::sync::atomic::{AtomicBool, Ordering};
use cache_enterprise_core::{CacheKey, Cached, Lookup, mutant, saturating_millis};
use hashbrown::HashMap;
use pin_project_lite::pin_project;

use crate::cache::Cache;
use crate::context::Fetched;
use crate::flight::{Landing, Lead};
use crate::manager::CacheManager;
use crate::read::{Answer, Call, Loaded, Source, Stale};
use crate::timer::{Raced, race};

/// Loads of one tenant that may wait at a limiter.
const LINE_MAX: usize = 1_024;

/// Places for loaders, and the lines of those that wait for one.
#[derive(Debug)]
pub(crate) struct Limiter {
    places: usize,
    state: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    taken: usize,
    /// By number of the tenant; only tenants that wait have one.
    lines: HashMap<u32, Line>,
    /// The tenants that wait, the one whose turn it is first.
    turns: VecDeque<u32>,
}

#[derive(Debug)]
struct Line {
    weight: u32,
    /// Loads left in this turn.
    credit: u32,
    waiting: VecDeque<Arc<Ticket>>,
}

/// One load that waits.
#[derive(Debug, Default)]
struct Ticket {
    /// Changed under the limiter's lock.
    is_called: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Lines {
    /// The load whose turn it is.
    fn next(&mut self) -> Option<Arc<Ticket>> {
        let tenant = *self.turns.front()?;
        let line = self.lines.get_mut(&tenant).expect("who has a turn has a line");
        let ticket = line.waiting.pop_front().expect("an empty line has no turn");
        line.credit -= 1;
        if line.waiting.is_empty() {
            self.lines.remove(&tenant);
            self.turns.pop_front();
        } else if line.credit == 0 {
            line.credit = line.weight;
            self.turns.rotate_left(1);
        }
        Some(ticket)
    }

    fn leave(&mut self, tenant: u32, ticket: &Arc<Ticket>) {
        let Some(line) = self.lines.get_mut(&tenant) else { return };
        line.waiting.retain(|held| !Arc::ptr_eq(held, ticket));
        if line.waiting.is_empty() {
            self.lines.remove(&tenant);
            self.turns.retain(|held| *held != tenant);
        }
    }
}

/// What a load found at the door.
enum Entered {
    In(Place),
    InLine(InLine),
    Full,
}

impl Limiter {
    /// At least one place.
    pub(crate) fn new(places: u32) -> Arc<Self> {
        Arc::new(Self { places: places.max(1) as usize, state: Mutex::default() })
    }

    /// Takes a place for a load of this tenant, or a place in its line.
    fn enter(self: &Arc<Self>, tenant: u32, weight: u32) -> Entered {
        let mut state = self.state.lock();
        if state.taken < self.places || mutant::breaks("a load beyond the limit waits") {
            state.taken += 1;
            return Entered::In(Place { limiter: Arc::clone(self) });
        }
        let Lines { lines, turns, .. } = &mut *state;
        let weight = weight.max(1);
        let line = lines.entry(tenant).or_insert_with(|| {
            turns.push_back(tenant);
            Line { weight, credit: weight, waiting: VecDeque::new() }
        });
        line.weight = weight;
        if line.waiting.len() >= LINE_MAX {
            return Entered::Full;
        }
        let ticket = Arc::new(Ticket::default());
        line.waiting.push_back(Arc::clone(&ticket));
        Entered::InLine(InLine { limiter: Arc::clone(self), tenant, ticket, is_done: false })
    }

    /// Gives the place of a load that has ended to the next.
    fn leave(&self) {
        let mut state = self.state.lock();
        let Some(next) = state.next() else {
            state.taken -= 1;
            return;
        };
        next.is_called.store(true, Ordering::Release);
        drop(state);
        let waker = next.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A loader's place, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    limiter: Arc<Limiter>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.limiter.leave();
    }
}

/// Waiting for a place.
struct InLine {
    limiter: Arc<Limiter>,
    tenant: u32,
    ticket: Arc<Ticket>,
    is_done: bool,
}

impl Future for InLine {
    type Output = Place;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Place> {
        // The waker is there before the look: who calls meanwhile wakes it.
        *self.ticket.waker.lock() = Some(cx.waker().clone());
        if !self.ticket.is_called.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.is_done = true;
        Poll::Ready(Place { limiter: Arc::clone(&self.limiter) })
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut state = self.limiter.state.lock();
        if self.ticket.is_called.load(Ordering::Acquire) {
            drop(state);
            // It was called and leaves instead: the next is called.
            self.limiter.leave();
        } else {
            state.leave(self.tenant, &self.ticket);
        }
    }
}

/// The limiters that a cache's loads pass: its own, then the manager's.
#[derive(Debug)]
pub(crate) struct Limits {
    limiters: Vec<Arc<Limiter>>,
}

impl Limits {
    /// `None` where nothing limits.
    pub(crate) fn new(own: Option<u32>, manager: Option<&Arc<Limiter>>) -> Option<Self> {
        let own = own.map(Limiter::new);
        let limiters: Vec<_> = own.into_iter().chain(manager.cloned()).collect();
        (!limiters.is_empty()).then_some(Self { limiters })
    }
}

/// The places that one load holds; none where nothing limits.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<Place>);

impl Places {
    /// The loader in its places, which are free when it has ended.
    pub(crate) fn run<F>(self, loader: F) -> InPlace<F> {
        InPlace { places: self, loader }
    }
}

pin_project! {
    /// A loader and the places it holds.
    pub(crate) struct InPlace<F> {
        places: Places,
        #[pin]
        loader: F,
    }
}

impl<F: Future> Future for InPlace<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _inside = held::enter(&this.places.0);
        let polled = this.loader.poll(cx);
        if polled.is_ready() {
            this.places.0.clear();
        }
        polled
    }
}

/// At which limiters the loaders that this thread is polling have their places.
mod held {
    use std::cell::RefCell;
    use std::sync::Arc;

    use super::{Limiter, Place};

    thread_local! {
        static HELD: RefCell<Vec<*const Limiter>> = const { RefCell::new(Vec::new()) };
    }

    /// Leaves the limiters when dropped, in a panic too.
    pub(super) struct Inside(usize);

    pub(super) fn enter(places: &[Place]) -> Inside {
        if !places.is_empty() {
            let limiters = places.iter().map(|place| Arc::as_ptr(&place.limiter));
            HELD.with(|held| held.borrow_mut().extend(limiters));
        }
        Inside(places.len())
    }

    impl Drop for Inside {
        fn drop(&mut self) {
            if self.0 > 0 {
                HELD.with(|held| {
                    let mut held = held.borrow_mut();
                    let left = held.len() - self.0;
                    held.truncate(left);
                });
            }
        }
    }

    pub(super) fn has_place(limiter: &Arc<Limiter>) -> bool {
        HELD.with(|held| held.borrow().contains(&Arc::as_ptr(limiter)))
    }
}

/// Whether a load may begin.
pub(crate) enum Admission {
    Admitted(Places),
    Overloaded,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Waits for a place for one loader; not at all where `has_fallback` says that something else
    /// can answer. Free where nothing limits.
    pub(crate) async fn admit(&self, call: &Call, has_fallback: bool) -> Admission {
        let Some(limits) = &self.view.core.limits else {
            return Admission::Admitted(Places::default());
        };
        let wait = saturating_millis(self.options(call).loads_wait_or_default());
        let until = self.view.clock.now().saturating_add(wait);
        let until = call.deadline.map_or(until, |deadline| deadline.min(until));
        let tenant = &self.view.tenant;
        let weight = tenant.load_weight.load(Ordering::Relaxed);
        let mut places = Places::default();
        for limiter in &limits.limiters {
            if held::has_place(limiter) {
                continue;
            }
            let line = match limiter.enter(tenant.id, weight) {
                Entered::In(place) => {
                    places.0.push(place);
                    continue;
                }
                Entered::Full => return Admission::Overloaded,
                Entered::InLine(_) if has_fallback => return Admission::Overloaded,
                Entered::InLine(line) => line,
            };
            match race(line, Some(self.view.shared.timer.deadline(until))).await {
                Raced::Done(place) => places.0.push(place),
                Raced::TimedOut => return Admission::Overloaded,
            }
        }
        Admission::Admitted(places)
    }

    /// Answers a load that got no place: with a value past its life, with an error where the
    /// caller can be told; else its loader runs beyond the limit, for all who wait for it, and
    /// nothing is stored.
    pub(crate) async fn load_beyond<Q, L, Fut>(
        &self,
        key: &Q,
        mut lead: Lead<'_, K, V>,
        stale: Option<&Stale<V>>,
        loader: L,
        call: &Call,
    ) -> Answer<V>
    where
        Q: Lookup<K> + ?Sized,
        L: FnOnce(Option<Cached<V>>) -> Fut,
        Fut: Future<Output = Loaded<V>>,
    {
        let counts = &self.view.core.counts;
        counts.overloads.add(1);
        if let Some(stale) = self.rescue(key, stale, call) {
            counts.stale_served.add(1);
            lead.land_empty(Landing::Value(stale.clone(), Source::Memory));
            return Answer::Value(stale, Source::Memory.into());
        }
        if call.deadline.is_some() {
            lead.land_empty(Landing::Overloaded);
            return Answer::Overloaded;
        }
        counts.loads.add(1);
        match lead.run(loader(None)).await {
            Ok(Fetched::Value(value)) => {
                let cached = self.unstored(value);
                lead.land_empty(Landing::Value(cached.clone(), Source::Loader));
                Answer::Value(cached, Source::Loader.into())
            }
            // A caller without a deadline has a loader that knows no older value to confirm.
            Ok(Fetched::Absent | Fetched::NotModified) => {
                lead.land_empty(Landing::Absent);
                Answer::Absent
            }
            Err(error) => {
                lead.land_empty(Landing::Failed(Arc::clone(&error)));
                Answer::Failed(error)
            }
        }
    }
}

impl<C> CacheManager<C> {
    /// Gives this tenant's loads a weight where they wait beside those of other tenants: of two
    /// tenants that wait, one with a weight of 2 starts two loads for each of the other's. Costs
    /// nothing where nothing limits loads. Default: 1.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec};
    ///
    /// static REPORTS: CacheSpec<u64, String> =
    ///     CacheSpec::new("reports").ttl(mins(5)).loads_max(8);
    /// let manager = CacheManager::in_memory(Capacity::entries(100))?;
    /// let reports = manager.tenant("acme")?.load_weight(2).open(&REPORTS)?;
    /// # drop(reports);
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    #[must_use]
    pub fn load_weight(self, weight: u32) -> Self {
        self.tenant.load_weight.store(weight.max(1), Ordering::Relaxed);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(limiter: &Arc<Limiter>, tenant: u32, weight: u32) -> InLine {
        match limiter.enter(tenant, weight) {
            Entered::InLine(line) => line,
            Entered::In(_) | Entered::Full => panic!("no line"),
        }
    }

    fn place(limiter: &Arc<Limiter>) -> Place {
        match limiter.enter(0, 1) {
            Entered::In(place) => place,
            Entered::InLine(_) | Entered::Full => panic!("no place"),
        }
    }

    #[test]
    fn tenants_are_called_in_turn_by_their_weights() {
        let limiter = Limiter::new(1);
        let mut running = place(&limiter);
        let mut lines: Vec<_> = (0..30).map(|_| (1, line(&limiter, 1, 1))).collect();
        lines.extend((0..6).map(|_| (2, line(&limiter, 2, 2))));
        let mut called = Vec::new();
        for _ in 0..12 {
            drop(running);
            let mut cx = Context::from_waker(Waker::noop());
            let next = lines.iter_mut().enumerate().find_map(|(at, (_, line))| {
                match Pin::new(line).poll(&mut cx) {
                    Poll::Ready(place) => Some((at, place)),
                    Poll::Pending => None,
                }
            });
            let (at, place) = next.expect("somebody is called");
            called.push(lines.remove(at).0);
            running = place;
        }
        assert_eq!(called, [1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 1, 1]);
    }

    #[test]
    fn who_was_called_and_leaves_gives_its_place_to_the_next() {
        let limiter = Limiter::new(1);
        let running = place(&limiter);
        let (first, mut second) = (line(&limiter, 1, 1), line(&limiter, 1, 1));
        drop(running);
        drop(first);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(place) = Pin::new(&mut second).poll(&mut cx) else { panic!("not called") };
        drop(place);
        assert_eq!(limiter.state.lock().taken, 0);
    }

    #[test]
    fn a_line_is_bounded_and_those_of_others_are_not_affected() {
        let limiter = Limiter::new(1);
        let _running = place(&limiter);
        let lines: Vec<_> = (0..LINE_MAX).map(|_| line(&limiter, 1, 1)).collect();
        assert!(matches!(limiter.enter(1, 1), Entered::Full));
        let other = line(&limiter, 2, 1);
        drop((lines, other));
        let state = limiter.state.lock();
        assert!(state.lines.is_empty() && state.turns.is_empty());
    }
}
