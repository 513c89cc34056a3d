//! A listener, and how cases listen.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::coherence::{Heard, Listener};
use cache_enterprise_core::secs;
use tokio::time::{Instant, timeout};

use crate::conformance::case::{Failure, Verdict, ensure};

/// How long a case waits for what must come.
pub(super) const PATIENCE: Duration = secs(30);

/// A listener of one case.
pub(super) struct Ear {
    listener: Box<dyn Listener>,
}

/// What was heard up to a moment.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) frames: Vec<Bytes>,
    /// The frames among them that came with values.
    pub(super) pushed: Vec<(Bytes, Bytes)>,
    pub(super) is_lost: bool,
}

impl Known {
    /// The frames of [`publish_all`](super::Fixture::publish_all).
    pub(super) fn numbers(&self) -> BTreeSet<u32> {
        let number = |frame: &Bytes| frame[..].try_into().ok().map(u32::from_le_bytes);
        self.frames.iter().filter_map(number).collect()
    }

    /// Expects every number, unless the listener was told that something is lost.
    pub(super) fn expect(&self, numbers: std::ops::Range<u32>) -> Verdict {
        let heard = self.numbers();
        let missing: Vec<_> = numbers.filter(|number| !heard.contains(number)).take(5).collect();
        ensure!(
            self.is_lost || missing.is_empty(),
            "all is said to be known, and {missing:?} were not heard"
        );
        Ok(())
    }
}

impl Ear {
    pub(super) fn new(listener: Box<dyn Listener>) -> Self {
        Self { listener }
    }

    /// What is heard next, if anything is within `time`.
    pub(super) async fn next_within(&mut self, time: Duration) -> Option<Heard> {
        timeout(time, self.listener.next()).await.ok()
    }

    /// What is heard at once; else the wait is given up.
    pub(super) async fn next_at_once(&mut self) -> Option<Heard> {
        let mut next = self.listener.next();
        poll_fn(|context| match next.as_mut().poll(context) {
            Poll::Ready(heard) => Poll::Ready(Some(heard)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Listens until the bus says that everything up to this moment is known.
    pub(super) async fn hear(&mut self) -> Result<Known, Failure> {
        let (start, mut known) = (Instant::now(), Known::default());
        loop {
            // Taken before the wait, so that the bus was asked no earlier than `asked - age`.
            let asked = Instant::now();
            ensure!(asked - start < PATIENCE, "no word that all is known within {PATIENCE:?}");
            match self.next_within(PATIENCE).await {
                Some(Heard::Frame(frame)) => known.frames.push(frame),
                Some(Heard::Pushed { frame, values }) => {
                    known.frames.push(frame.clone());
                    known.pushed.push((frame, values));
                }
                Some(Heard::Lost) => known.is_lost = true,
                Some(Heard::Current { age })
                    if asked.checked_sub(age).is_some_and(|known_at| known_at >= start) =>
                {
                    return Ok(known);
                }
                Some(Heard::Current { .. } | Heard::Touched(_)) | None => {}
            }
        }
    }

    /// Listens until this frame is heard.
    pub(super) async fn hear_frame(&mut self, wanted: &[u8]) -> Verdict {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            match self.next_within(PATIENCE).await {
                Some(Heard::Frame(frame)) if frame == wanted => return Ok(()),
                _ => {}
            }
        }
        Err(Failure(format!("a frame was not heard within {PATIENCE:?}")))
    }
}
