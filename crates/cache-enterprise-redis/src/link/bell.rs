//! Wakes a task whose futures wake each other.
//!
//! A task that wakes itself while it is polled goes through the queue of its scheduler, which may
//! rouse another thread for it: for a lone read that doubled what the client spent. What the
//! futures of one task tell each other is noted here instead, and the task polls them again before
//! it rests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// The last poll is over, and nobody rang since.
const RESTING: u8 = 0;
/// The task is being polled, and nobody rang since that began.
const POLLED: u8 = 1;
/// Somebody rang; the task knows or will look.
const RUNG: u8 = 2;

/// Rounds in one poll, after which other tasks have their turn. A future that used up what the
/// runtime grants it before others rings whenever it is polled.
const ROUNDS: u32 = 4;

/// The waker of all futures in one task.
#[derive(Debug, Default)]
struct Bell {
    state: AtomicU8,
    /// The task's own.
    task: Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(RUNG, Ordering::AcqRel) == RESTING
            && let Some(task) = &*self.task.lock()
        {
            task.wake_by_ref();
        }
    }
}

/// What the task of several futures polls them with.
#[derive(Debug)]
pub(crate) struct Rounds {
    bell: Arc<Bell>,
    waker: Waker,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        let bell = Arc::<Bell>::default();
        Self { waker: Waker::from(Arc::clone(&bell)), bell }
    }

    /// Makes rounds until one ends the work, or is rested after, or none may follow.
    pub(crate) fn poll(
        &self,
        context: &Context<'_>,
        mut round: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        match &mut *self.bell.task.lock() {
            Some(task) => task.clone_from(context.waker()),
            empty => *empty = Some(context.waker().clone()),
        }
        let state = &self.bell.state;
        for _ in 0..ROUNDS {
            state.swap(POLLED, Ordering::AcqRel);
            if round(&mut Context::from_waker(&self.waker)).is_ready() {
                return Poll::Ready(());
            }
            let (kept, read) = (Ordering::AcqRel, Ordering::Acquire);
            if state.compare_exchange(POLLED, RESTING, kept, read).is_ok() {
                return Poll::Pending;
            }
        }
        // Not resting: who rings now need not wake a task that comes back anyway.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    /// Counts how often a scheduler is asked for the task.
    #[derive(Default)]
    struct Scheduler {
        asked: AtomicU32,
    }

    impl Wake for Scheduler {
        fn wake(self: Arc<Self>) {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Story {
        rounds: Rounds,
        scheduler: Arc<Scheduler>,
        made: u32,
    }

    impl Story {
        fn new() -> Self {
            Self { rounds: Rounds::new(), scheduler: Arc::default(), made: 0 }
        }

        /// Polls once; `round` is told its number, counted from one.
        fn poll(&mut self, mut round: impl FnMut(u32, &Waker) -> Poll<()>) -> Poll<()> {
            let waker = Waker::from(Arc::clone(&self.scheduler));
            let made = &mut self.made;
            self.rounds.poll(&Context::from_waker(&waker), |context| {
                *made += 1;
                round(*made, context.waker())
            })
        }

        fn asked(&self) -> u32 {
            self.scheduler.asked.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn what_rings_during_a_round_has_another_one_and_no_scheduler() {
        let mut story = Story::new();
        let polled = story.poll(|made, bell| {
            if made < 3 {
                bell.wake_by_ref();
            }
            Poll::Pending
        });
        assert_eq!((polled, story.made, story.asked()), (Poll::Pending, 3, 0));
    }

    #[test]
    fn what_rings_between_polls_asks_the_scheduler_once() {
        let mut story = Story::new();
        let mut kept = None;
        assert!(
            story
                .poll(|_, bell| {
                    kept = Some(bell.clone());
                    Poll::Pending
                })
                .is_pending()
        );
        let kept = kept.expect("the round was made");
        kept.wake_by_ref();
        kept.wake_by_ref();
        assert_eq!(story.asked(), 1);
        assert!(story.poll(|_, _| Poll::Pending).is_pending());
        kept.wake();
        assert_eq!((story.made, story.asked()), (2, 2));
    }

    #[test]
    fn a_future_that_always_rings_leaves_room_for_other_tasks() {
        let mut story = Story::new();
        let polled = story.poll(|_, bell| {
            bell.wake_by_ref();
            Poll::Pending
        });
        assert_eq!((polled, story.made, story.asked()), (Poll::Pending, ROUNDS, 1));
    }

    #[test]
    fn finished_work_makes_no_other_round() {
        let mut story = Story::new();
        let polled = story.poll(|_, bell| {
            bell.wake_by_ref();
            Poll::Ready(())
        });
        assert_eq!((polled, story.made, story.asked()), (Poll::Ready(()), 1, 0));
    }
}
