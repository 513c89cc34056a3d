//! Deadlines on a manager's clock, woken by the ticker: they need no runtime.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::sync::atomic::{AtomicBool, Ordering};
use cache_enterprise_core::{Clock, Millis};
use pin_project_lite::pin_project;

/// The deadlines of one manager.
#[derive(Debug)]
pub(crate) struct Timer {
    clock: Clock,
    pending: Mutex<BinaryHeap<Reverse<Pending>>>,
}

#[derive(Debug)]
struct Pending {
    at: Millis,
    alarm: Arc<Alarm>,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Pending {}
impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Pending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

#[derive(Debug, Default)]
struct Alarm {
    is_cancelled: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Timer {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, pending: Mutex::default() }
    }

    /// A future that ends at `at`.
    pub(crate) fn deadline(self: &Arc<Self>, at: Millis) -> Deadline {
        Deadline { timer: Arc::clone(self), at, alarm: None }
    }

    /// Wakes whoever is due.
    pub(crate) fn turn(&self) {
        let now = self.clock.now();
        let mut due = Vec::new();
        {
            let mut pending = self.pending.lock();
            while pending.peek().is_some_and(|Reverse(next)| next.at <= now) {
                due.extend(pending.pop());
            }
        }
        for Reverse(pending) in due {
            if !pending.alarm.is_cancelled.load(Ordering::Relaxed) {
                let waker = pending.alarm.waker.lock().take();
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }

    fn schedule(&self, at: Millis, alarm: &Arc<Alarm>) {
        let mut pending = self.pending.lock();
        // Cancelled alarms leave when they come due; a burst of short loads with long deadlines
        // would pile them up, so they are swept when they are the larger part.
        if pending.len() >= 1024 && pending.len() == pending.capacity() {
            pending.retain(|Reverse(held)| !held.alarm.is_cancelled.load(Ordering::Relaxed));
        }
        pending.push(Reverse(Pending { at, alarm: Arc::clone(alarm) }));
    }
}

/// Ends at a date of the manager's clock. Costs nothing until it is polled.
#[derive(Debug)]
pub(crate) struct Deadline {
    timer: Arc<Timer>,
    at: Millis,
    alarm: Option<Arc<Alarm>>,
}

impl Future for Deadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.clock.now() >= self.at {
            return Poll::Ready(());
        }
        match &self.alarm {
            Some(alarm) => *alarm.waker.lock() = Some(cx.waker().clone()),
            None => {
                let alarm = Arc::new(Alarm::default());
                *alarm.waker.lock() = Some(cx.waker().clone());
                self.timer.schedule(self.at, &alarm);
                self.alarm = Some(alarm);
            }
        }
        // The clock may have passed the date between the look and the registration.
        if self.timer.clock.now() >= self.at { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(alarm) = &self.alarm {
            alarm.is_cancelled.store(true, Ordering::Relaxed);
            *alarm.waker.lock() = None;
        }
    }
}

/// What came first.
pub(crate) enum Raced<T> {
    Done(T),
    TimedOut,
}

pin_project! {
    /// Runs `work` until it ends or the deadline comes. Written by hand because an `async fn` keeps
    /// room for its argument beside the place where it is polled, and these nest.
    pub(crate) struct Race<F> {
        #[pin]
        work: F,
        deadline: Option<Deadline>,
    }
}

/// Runs `work` until it ends or the deadline, if there is one, comes.
pub(crate) fn race<F: Future>(work: F, deadline: Option<Deadline>) -> Race<F> {
    Race { work, deadline }
}

impl<F: Future> Future for Race<F> {
    type Output = Raced<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.work.poll(cx) {
            return Poll::Ready(Raced::Done(output));
        }
        match this.deadline {
            Some(deadline) => Pin::new(deadline).poll(cx).map(|()| Raced::TimedOut),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_wakes_at_its_date_and_not_before() {
        let clock = Clock::manual();
        let timer = Arc::new(Timer::new(clock.clone()));
        let mut deadline = Box::pin(timer.deadline(10));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(deadline.as_mut().poll(&mut cx).is_pending());
        clock.advance(Duration::from_millis(9));
        timer.turn();
        assert!(deadline.as_mut().poll(&mut cx).is_pending());
        clock.advance(Duration::from_millis(1));
        timer.turn();
        assert!(deadline.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn cancelled_deadlines_do_not_pile_up() {
        let timer = Arc::new(Timer::new(Clock::manual()));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            let mut deadline = Box::pin(timer.deadline(1_000_000));
            assert!(deadline.as_mut().poll(&mut cx).is_pending());
        }
        assert!(timer.pending.lock().len() <= 4_096);
    }
}
