//! The future of a read: a hit at once, else the climb.
//!
//! An `async fn` would say the same in fewer words. But its poll holds the climb's as well, is too
//! large to be inlined where it is awaited, and then hands each answer over through memory: that
//! costs half as much as the hit itself. So the two halves are parted here by hand. The hit is
//! inlined into the caller; the climb begins in a function of its own, and what is left of it when
//! it first has to wait is one box.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a climb came to at its first step.
pub(crate) enum Climb<T, F> {
    Answered(T),
    /// The rest of it, to be polled at once.
    Going(Pin<Box<F>>),
}

/// What level 1 answers to a kind of read, if it does. A trait, since its function can be told to
/// be part of the poll that asks; a closure cannot, and where a program reads in two places it is
/// not.
pub(crate) trait HitOf<A, T> {
    fn hit(arguments: &A) -> Option<T>;
}

/// Answers what `H` says of the arguments if it says something, else does with them what `climb`
/// does, which is also the first poll of the rest it may leave. A function without state, so that
/// a hit has only the arguments to write down.
pub(crate) struct HitOr<A, H, C, F> {
    state: State<A, F>,
    climb: C,
    hit: PhantomData<fn() -> H>,
}

enum State<A, F> {
    Start(A),
    Climbing(Pin<Box<F>>),
    Done,
}

// The arguments are never pinned: they are moved out before the climb is made.
impl<A, H, C, F> Unpin for HitOr<A, H, C, F> {}

impl<A, H, C, F> HitOr<A, H, C, F>
where
    H: HitOf<A, F::Output>,
    C: Fn(A, &mut Context<'_>) -> Climb<F::Output, F>,
    F: Future,
{
    #[inline(always)]
    pub(crate) fn new(_: H, arguments: A, climb: C) -> Self {
        Self { state: State::Start(arguments), climb, hit: PhantomData }
    }

    /// The first poll when nothing was hit, and every later one.
    #[cold]
    #[inline(never)]
    fn climb(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let State::Start(_) = self.state
            && let State::Start(arguments) = std::mem::replace(&mut self.state, State::Done)
        {
            match (self.climb)(arguments, cx) {
                Climb::Answered(answer) => return Poll::Ready(answer),
                Climb::Going(rest) => self.state = State::Climbing(rest),
            }
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

impl<A, H, C, F> Future for HitOr<A, H, C, F>
where
    H: HitOf<A, F::Output>,
    C: Fn(A, &mut Context<'_>) -> Climb<F::Output, F>,
    F: Future,
{
    type Output = F::Output;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let State::Start(arguments) = &self.state
            && let Some(answer) = H::hit(arguments)
        {
            return Poll::Ready(answer);
        }
        self.climb(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// The next number.
    struct Next;
    struct Nothing;
    struct Unasked;

    impl HitOf<u8, u8> for Next {
        fn hit(number: &u8) -> Option<u8> {
            Some(number + 1)
        }
    }

    impl HitOf<u8, u8> for Nothing {
        fn hit(_: &u8) -> Option<u8> {
            None
        }
    }

    impl HitOf<u8, u8> for Unasked {
        fn hit(_: &u8) -> Option<u8> {
            unreachable!("the read was never polled")
        }
    }

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A climb that has nothing to answer at once.
    fn going<A, F: Future>(
        climb: impl Fn(A) -> F,
    ) -> impl Fn(A, &mut Context<'_>) -> Climb<F::Output, F> {
        move |arguments, _| Climb::Going(Box::pin(climb(arguments)))
    }

    #[test]
    fn a_hit_is_ready_at_the_first_poll_and_makes_no_climb() {
        let climb = going(|_| -> std::future::Ready<u8> { unreachable!("nothing was missed") });
        assert_eq!(poll(&mut HitOr::new(Next, 1, climb)), Poll::Ready(2));
    }

    #[test]
    fn a_climb_may_answer_at_once() {
        let climb = |n: u8, _: &mut Context<'_>| Climb::<u8, std::future::Ready<u8>>::Answered(n);
        assert_eq!(poll(&mut HitOr::new(Nothing, 4, climb)), Poll::Ready(4));
    }

    #[test]
    fn a_miss_climbs_until_the_climb_answers() {
        let climb = going(|mut polls| {
            std::future::poll_fn(move |_| {
                polls += 1;
                if polls < 3 { Poll::Pending } else { Poll::Ready(polls) }
            })
        });
        let mut read = HitOr::new(Nothing, 0, climb);
        assert!(poll(&mut read).is_pending());
        assert!(poll(&mut read).is_pending());
        assert_eq!(poll(&mut read), Poll::Ready(3));
    }

    #[test]
    fn nothing_is_asked_before_the_first_poll() {
        drop(HitOr::new(Unasked, 7, going(std::future::ready)));
    }
}
