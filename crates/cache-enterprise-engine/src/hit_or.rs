//! The future of a read: a hit at once, else the climb.
//!
//! An `async fn` would say the same in fewer words. But its poll holds the climb's as well, is too
//! large to be inlined where it is awaited, and then hands each answer over through memory: that
//! costs half as much as the hit itself. So the two halves are parted here by hand. The hit is
//! inlined into the caller; the climb is one box, polled by a function of its own.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Answers from `hit` if that gives an answer, else becomes the future that `climb` makes.
pub(crate) struct HitOr<H, C, F> {
    state: State<H, C, F>,
}

enum State<H, C, F> {
    Start { hit: H, climb: C },
    Climbing(Pin<Box<F>>),
    Done,
}

// Neither closure is ever pinned: both are moved out before they are called.
impl<H, C, F> Unpin for HitOr<H, C, F> {}

impl<H, C, F> HitOr<H, C, F>
where
    H: FnOnce() -> Option<F::Output>,
    C: FnOnce() -> F,
    F: Future,
{
    #[inline(always)]
    pub(crate) fn new(hit: H, climb: C) -> Self {
        Self { state: State::Start { hit, climb } }
    }

    /// The first poll when nothing was hit, and every later one.
    #[cold]
    #[inline(never)]
    fn climb(&mut self, start: Option<C>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let Some(climb) = start {
            self.state = State::Climbing(Box::pin(climb()));
        }
        let State::Climbing(climb) = &mut self.state else {
            unreachable!("a future is not polled again after its answer");
        };
        let answer = climb.as_mut().poll(cx);
        if answer.is_ready() {
            self.state = State::Done;
        }
        answer
    }
}

impl<H, C, F> Future for HitOr<H, C, F>
where
    H: FnOnce() -> Option<F::Output>,
    C: FnOnce() -> F,
    F: Future,
{
    type Output = F::Output;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !matches!(self.state, State::Start { .. }) {
            return self.climb(None, cx);
        }
        let State::Start { hit, climb } = std::mem::replace(&mut self.state, State::Done) else {
            unreachable!("the state was looked at above");
        };
        match hit() {
            Some(answer) => Poll::Ready(answer),
            None => self.climb(Some(climb), cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_hit_is_ready_at_the_first_poll_and_makes_no_climb() {
        let climb = || -> std::future::Ready<u8> { unreachable!("nothing was missed") };
        assert_eq!(poll(&mut HitOr::new(|| Some(1), climb)), Poll::Ready(1));
    }

    #[test]
    fn a_miss_climbs_until_the_climb_answers() {
        let mut polls = 0;
        let climb = || {
            std::future::poll_fn(move |_| {
                polls += 1;
                if polls < 3 { Poll::Pending } else { Poll::Ready(polls) }
            })
        };
        let mut read = HitOr::new(|| None, climb);
        assert!(poll(&mut read).is_pending());
        assert!(poll(&mut read).is_pending());
        assert_eq!(poll(&mut read), Poll::Ready(3));
    }

    #[test]
    fn nothing_is_asked_before_the_first_poll() {
        let hit = || -> Option<u8> { unreachable!("the read was never polled") };
        drop(HitOr::new(hit, || std::future::ready(1)));
    }
}
