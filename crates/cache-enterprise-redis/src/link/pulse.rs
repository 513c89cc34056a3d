//! Whether a connection still answers.
//!
//! A timer for each read costs a tenth of the throughput. Replies come in the order of their
//! commands, so one look now and then at the newest answer tells for all reads whether one is
//! overdue. A caller that leaves before its answer leaves a gap that nobody fills; then a `PING`
//! behind it tells a healthy connection from a hung one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise_core::{Error, ErrorKind, ms, saturating_millis};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error;

/// How often a connection is looked at while a read may take its limit.
const LOOKS: u32 = 8;

/// Counts the reads of one connection, and says how it ended.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    asked: AtomicU64,
    /// One more than the newest read that was answered.
    answered: AtomicU64,
    /// How long the most patient of those who left would have waited, in milliseconds; zero when
    /// nobody left.
    patience: AtomicU64,
    leaving: Notify,
    ended: OnceLock<Ended>,
    end: Notify,
}

/// Why a connection was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A reply did not come in time.
    Overdue,
    /// The server is no primary any more.
    Demoted,
}

impl Pulse {
    /// Counts a read that is about to be sent.
    pub(crate) fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes the answer to that read.
    pub(crate) fn answer(&self, asked: u64) {
        self.answered.fetch_max(asked + 1, Ordering::Relaxed);
    }

    /// Notes that somebody left who had waited for an answer, and would have for `within`.
    pub(crate) fn leave(&self, within: Duration) {
        self.patience.fetch_max(saturating_millis(within).max(1), Ordering::Relaxed);
        self.leaving.notify_one();
    }

    /// Completes when somebody left, with the longest that one of them would have waited.
    pub(crate) async fn left(&self) -> Duration {
        loop {
            match self.patience.swap(0, Ordering::Relaxed) {
                0 => self.leaving.notified().await,
                millis => return ms(millis),
            }
        }
    }

    /// Gives the connection up: every call that waits for it fails.
    pub(crate) fn give_up(&self, why: Ended) {
        // The first reason is the cause of the others.
        let _ = self.ended.set(why);
        self.end.notify_one();
    }

    /// Completes when the connection was given up.
    pub(crate) async fn given_up(&self) {
        self.end.notified().await;
    }

    /// The error of a call on a connection that was given up.
    pub(crate) fn fault(&self) -> Option<Error> {
        let error = match self.ended.get()? {
            Ended::Overdue => error::late(
                "the server did not answer in time, so the connection was given up; look for what \
                 keeps the server busy, or raise the timeout",
            ),
            Ended::Demoted => Error::new(
                ErrorKind::Unavailable,
                "the server is no primary any more, so the connection was given up",
            ),
        };
        Some(error)
    }
}

/// What a look at a connection finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Fine,
    /// Nothing came for half of the limit: ask the server whether it is there.
    Quiet,
    /// A reply is overdue.
    Overdue,
}

/// Looks at a [`Pulse`] from time to time.
#[derive(Debug)]
pub(crate) struct Watch {
    limit: Duration,
    /// Every read before this one must be answered within the limit from `since`.
    mark: u64,
    since: Instant,
    has_asked: bool,
}

impl Watch {
    pub(crate) fn new(limit: Duration, now: Instant) -> Self {
        Self { limit, mark: 0, since: now, has_asked: false }
    }

    /// Time between two looks.
    pub(crate) fn every(limit: Duration) -> Duration {
        (limit / LOOKS).max(Duration::from_millis(1))
    }

    pub(crate) fn look(&mut self, pulse: &Pulse, now: Instant) -> Finding {
        let answered = pulse.answered.load(Ordering::Relaxed);
        if answered >= self.mark {
            self.mark = pulse.asked.load(Ordering::Relaxed);
            self.since = now;
            self.has_asked = false;
            return Finding::Fine;
        }
        let quiet = now.duration_since(self.since);
        if quiet >= self.limit {
            Finding::Overdue
        } else if quiet >= self.limit / 2 && !self.has_asked {
            self.has_asked = true;
            Finding::Quiet
        } else {
            Finding::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_enterprise_core::secs;

    struct Story {
        pulse: Pulse,
        watch: Watch,
        now: Instant,
    }

    impl Story {
        fn new() -> Self {
            let now = Instant::now();
            Self { pulse: Pulse::default(), watch: Watch::new(secs(1), now), now }
        }

        fn after(&mut self, millis: u64) -> Finding {
            self.now += ms(millis);
            self.watch.look(&self.pulse, self.now)
        }
    }

    #[test]
    fn an_idle_connection_is_fine_for_ever() {
        let mut story = Story::new();
        for _ in 0..100 {
            assert_eq!(story.after(700), Finding::Fine);
        }
    }

    #[test]
    fn a_reply_that_never_comes_is_overdue_after_the_limit() {
        let mut story = Story::new();
        story.pulse.ask();
        assert_eq!(story.after(125), Finding::Fine);
        assert_eq!(story.after(500), Finding::Quiet);
        assert_eq!(story.after(125), Finding::Fine);
        assert_eq!(story.after(375), Finding::Overdue);
    }

    #[test]
    fn a_trickle_of_replies_does_not_hide_an_old_read() {
        let mut story = Story::new();
        let first = story.pulse.ask();
        for _ in 0..10 {
            story.pulse.ask();
        }
        assert_eq!(story.after(10), Finding::Fine);
        assert_eq!(story.after(600), Finding::Quiet);
        story.pulse.answer(first);
        assert_eq!(story.after(300), Finding::Fine);
        assert_eq!(story.after(100), Finding::Overdue);
    }

    #[test]
    fn a_caller_that_left_is_cleared_by_the_answer_to_a_ping() {
        let mut story = Story::new();
        story.pulse.ask();
        assert_eq!(story.after(10), Finding::Fine);
        assert_eq!(story.after(500), Finding::Quiet);
        let ping = story.pulse.ask();
        story.pulse.answer(ping);
        for _ in 0..10 {
            assert_eq!(story.after(400), Finding::Fine);
        }
    }

    #[test]
    fn callers_that_all_leave_do_not_keep_a_hung_connection_alive() {
        let mut story = Story::new();
        let mut findings = Vec::new();
        for _ in 0..12 {
            story.pulse.ask();
            findings.push(story.after(100));
        }
        assert!(findings.contains(&Finding::Quiet) && findings.contains(&Finding::Overdue));
    }
}
