//! One process's ear on an in-process bus.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Heard, Listener};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::bus::{End, Wire};
use super::log::{Position, Replay};

/// Something on its way to a listener.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A frame, its place in the log, and the values beside it.
    Push(Position, Bytes, Bytes),
    /// What the log had when it was asked.
    Answer { asked: Instant, replay: Replay },
}

/// What is on its way to one listener.
pub(super) struct Inbox {
    pub(super) manager: String,
    pub(super) end: Arc<End>,
    coming: Mutex<Coming>,
    news: Notify,
}

#[derive(Default)]
struct Coming {
    /// By the time of arrival, and in the order of departure within it.
    arrivals: BTreeMap<(Instant, u64), Arrival>,
    departures: u64,
    is_pulse_wanted: bool,
}

impl Inbox {
    pub(super) fn new(manager: &str, end: Arc<End>) -> Self {
        let (manager, coming) = (manager.to_owned(), Mutex::default());
        Self { manager, end, coming, news: Notify::new() }
    }

    pub(super) fn deliver(&self, at: Instant, arrival: Arrival) {
        let mut coming = self.coming.lock();
        coming.departures += 1;
        let place = (at, coming.departures);
        coming.arrivals.insert(place, arrival);
        self.news.notify_one();
    }

    pub(super) fn pulse(&self) {
        self.coming.lock().is_pulse_wanted = true;
        self.wake();
    }

    pub(super) fn clear(&self) {
        self.coming.lock().arrivals.clear();
    }

    pub(super) fn wake(&self) {
        self.news.notify_one();
    }

    fn arrived(&self, now: Instant) -> Option<Arrival> {
        let mut coming = self.coming.lock();
        let first = coming.arrivals.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.coming.lock().arrivals.first_key_value().map(|((at, _), _)| *at)
    }

    fn takes_pulse(&self) -> bool {
        std::mem::take(&mut self.coming.lock().is_pulse_wanted)
    }
}

/// Given next.
enum Ready {
    Frame(Bytes),
    Pushed(Bytes, Bytes),
    Current { asked: Instant },
    Lost,
}

/// What a listener does while nothing is ready.
enum Step {
    Again,
    Wait { until: Option<Instant> },
}

/// A listener: its place in the log, and what has arrived and was not given yet.
pub(super) struct InProcessListener {
    wire: Arc<Wire>,
    inbox: Arc<Inbox>,
    position: Position,
    ready: VecDeque<Ready>,
    /// When the log is asked next.
    pulse: Option<Instant>,
    /// How often the end had gone deaf when the log was last asked because of that.
    cuts: u64,
}

impl InProcessListener {
    pub(super) fn new(wire: Arc<Wire>, inbox: Arc<Inbox>, position: Position) -> Self {
        let (pulse, cuts) = (wire.pulse.map(|_| Instant::now()), inbox.end.state().cuts);
        Self { wire, inbox, position, ready: VecDeque::new(), pulse, cuts }
    }

    fn step(&mut self, now: Instant) -> Step {
        let end = self.inbox.end.state();
        if end.is_closed || !end.link.hears() {
            return Step::Wait { until: None };
        }
        if end.cuts != self.cuts {
            self.cuts = end.cuts;
            self.ask(now);
        }
        if let Some(arrival) = self.inbox.arrived(now) {
            self.take(arrival, now);
            return Step::Again;
        }
        if self.inbox.takes_pulse() || self.pulse.is_some_and(|pulse| pulse <= now) {
            self.pulse = self.wire.pulse.map(|every| now + every);
            self.ask(now);
            return Step::Again;
        }
        let times = [self.pulse, self.inbox.next_arrival()];
        Step::Wait { until: times.into_iter().flatten().min() }
    }

    fn ask(&self, now: Instant) {
        let (replay, at) = self.wire.ask(&self.inbox.manager, self.position);
        self.inbox.deliver(at, Arrival::Answer { asked: now, replay });
    }

    fn take(&mut self, arrival: Arrival, now: Instant) {
        match arrival {
            Arrival::Push(place, frame, values) => {
                self.ready.push_back(match values.is_empty() {
                    true => Ready::Frame(frame),
                    false => Ready::Pushed(frame, values),
                });
                let next = Position { last: self.position.last + 1, ..self.position };
                if place == next {
                    self.position = next;
                } else if place.birth != next.birth || place.last > next.last {
                    // Those between are lost, or late: the log has them.
                    self.ask(now);
                }
            }
            // Overtaken by an answer of a later log.
            Arrival::Answer { replay, .. } if replay.until.birth < self.position.birth => {}
            Arrival::Answer { asked, replay } => {
                if replay.is_lost && replay.until != self.position {
                    self.ready.push_back(Ready::Lost);
                    self.position = replay.until;
                }
                for (number, frame) in replay.frames {
                    if number > self.position.last || replay.is_lost {
                        self.ready.push_back(Ready::Frame(frame));
                        self.position.last = self.position.last.max(number);
                    }
                }
                self.ready.push_back(Ready::Current { asked });
            }
        }
    }
}

#[async_trait]
impl Listener for InProcessListener {
    async fn next(&mut self) -> Heard {
        loop {
            match self.ready.pop_front() {
                Some(Ready::Frame(frame)) => return Heard::Frame(frame),
                Some(Ready::Pushed(frame, values)) => return Heard::Pushed { frame, values },
                Some(Ready::Current { asked }) => return Heard::Current { age: asked.elapsed() },
                Some(Ready::Lost) => return Heard::Lost,
                None => {}
            }
            // What comes between this look and the wait leaves a permit, which ends the wait.
            match self.step(Instant::now()) {
                Step::Again => {}
                Step::Wait { until: None } => self.inbox.news.notified().await,
                Step::Wait { until: Some(until) } => {
                    // Either ends the wait; the next step sees which.
                    let _ = timeout_at(until, self.inbox.news.notified()).await;
                }
            }
        }
    }
}

impl Drop for InProcessListener {
    fn drop(&mut self) {
        self.wire.leave(&self.inbox);
    }
}

/// Shows no frame.
impl fmt::Debug for InProcessListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessListener")
            .field("manager", &self.inbox.manager)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
