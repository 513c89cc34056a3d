//! A bus between the managers of one test process.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, Listener};
use cache_enterprise_core::{Error, ErrorKind, Result, ms};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::listener::{Arrival, InProcessListener, Inbox};
use super::log::{Log, Position, Replay};
use super::{Disturbance, Link};
use crate::Seed;
use crate::switch::Switch;

const NAME: &str = "in-process";
/// Frames a log keeps unless told otherwise.
const LOG_FRAMES_MAX: usize = 10_000;
const PULSE: Duration = ms(200);

/// One process's end of a bus within this process. Cloning shares the end;
/// [`another`](Self::another) gives the end of another process on the same bus.
///
/// Frames are pushed to every listener, and kept in a bounded log from which a listener that
/// missed some is given them again: at a gap, at once after a cut, and at every pulse. Values
/// beside a frame are pushed and not kept. Time is tokio's, so under a paused clock it moves as the
/// test says. With the same seed, the same calls in the same order meet the same faults, and what
/// hung goes on in that order.
///
/// Needs a tokio runtime with time enabled.
///
/// ```
/// use cache_enterprise_core::coherence::{Bus, Heard};
/// use cache_enterprise_testkit::coherence::{InProcessBus, Link};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let bus = InProcessBus::new();
/// let other = bus.another();
/// let mut listener = other.listen("shop").await?;
///
/// other.set(Link::Cut);
/// bus.publish("shop", "a frame".into()).await?;
/// assert!(other.publish("shop", "another".into()).await.is_err());
/// other.set(Link::Whole);
/// assert_eq!(listener.next().await, Heard::Frame("a frame".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct InProcessBus {
    end: Arc<End>,
    wire: Arc<Wire>,
}

/// One process's connection.
#[derive(Debug)]
pub(super) struct End {
    state: Switch<EndState>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EndState {
    pub(super) link: Link,
    pub(super) is_closed: bool,
    /// How often it went deaf.
    pub(super) cuts: u64,
}

impl End {
    pub(super) fn state(&self) -> EndState {
        self.state.get()
    }
}

/// What all ends share.
pub(super) struct Wire {
    frames_max: usize,
    pub(super) pulse: Option<Duration>,
    state: Mutex<State>,
}

struct State {
    logs: HashMap<String, Log>,
    births: u64,
    inboxes: Vec<Arc<Inbox>>,
    disturbance: Disturbance,
    rng: StdRng,
}

impl State {
    fn log(&mut self, manager: &str) -> &mut Log {
        let births = self.births;
        self.logs.entry(manager.to_owned()).or_insert_with(|| Log::new(births))
    }

    fn arrival_time(&mut self) -> Instant {
        Instant::now() + self.disturbance.delay(&mut self.rng)
    }
}

impl Wire {
    /// The end of the log.
    pub(super) fn end_of(&self, manager: &str) -> Position {
        self.state.lock().log(manager).end()
    }

    /// What stands in the log after a position, and when the answer arrives.
    pub(super) fn ask(&self, manager: &str, after: Position) -> (Replay, Instant) {
        let mut state = self.state.lock();
        (state.log(manager).after(after), state.arrival_time())
    }

    pub(super) fn leave(&self, inbox: &Arc<Inbox>) {
        self.state.lock().inboxes.retain(|other| !Arc::ptr_eq(other, inbox));
    }
}

impl InProcessBus {
    /// A bus on which everything arrives at once and in order.
    pub fn new() -> Self {
        Self::seeded(Seed(0))
    }

    /// A bus whose faults are drawn from this seed, once [`disturb`](Self::disturb) asks for any.
    pub fn seeded(seed: Seed) -> Self {
        let state = State {
            logs: HashMap::new(),
            births: 1,
            inboxes: Vec::new(),
            disturbance: Disturbance::default(),
            rng: seed.rng(),
        };
        Self::on(Wire { frames_max: LOG_FRAMES_MAX, pulse: Some(PULSE), state: Mutex::new(state) })
    }

    fn on(wire: impl Into<Arc<Wire>>) -> Self {
        let end = Arc::new(End { state: Switch::default() });
        Self { end, wire: wire.into() }
    }

    /// How many frames a manager's log keeps. Default: 10 000.
    ///
    /// # Panics
    /// When the bus is in use already.
    #[must_use]
    pub fn log_frames_max(mut self, frames: usize) -> Self {
        self.fresh().frames_max = frames;
        self
    }

    /// How often a listener asks the log and then says
    /// [`Current`](cache_enterprise_core::coherence::Heard::Current). Default: 200 ms.
    ///
    /// # Panics
    /// When the bus is in use already, or the time is zero.
    #[must_use]
    pub fn pulse_every(mut self, time: Duration) -> Self {
        assert!(!time.is_zero(), "a pulse takes time");
        self.fresh().pulse = Some(time);
        self
    }

    /// No pulse but by [`pulse`](Self::pulse): a listener at rest then waits for no time, and a
    /// paused clock does not run away while it waits.
    ///
    /// # Panics
    /// When the bus is in use already.
    #[must_use]
    pub fn pulse_by_hand(mut self) -> Self {
        self.fresh().pulse = None;
        self
    }

    fn fresh(&mut self) -> &mut Wire {
        Arc::get_mut(&mut self.wire).expect("a bus is configured before it is used")
    }

    /// The end of another process on the same bus.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::on(Arc::clone(&self.wire))
    }

    /// Connects this end in another way, from now on. What was on its way to an end that hears no
    /// more does not arrive.
    pub fn set(&self, link: Link) {
        self.change(|state| {
            state.cuts += u64::from(state.link.hears() && !link.hears());
            state.link = link;
        });
    }

    /// How this end is connected.
    pub fn link(&self) -> Link {
        self.end.state().link
    }

    fn change(&self, change: impl FnOnce(&mut EndState)) {
        self.end.state.change(change);
        let state = self.wire.state.lock();
        for inbox in state.inboxes.iter().filter(|inbox| Arc::ptr_eq(&inbox.end, &self.end)) {
            if !self.end.state().link.hears() {
                inbox.clear();
            }
            inbox.wake();
        }
    }

    /// Spoils what is on its way to every end, from the next frame on.
    pub fn disturb(&self, disturbance: Disturbance) {
        self.wire.state.lock().disturbance = disturbance;
    }

    /// Lets every listener of every end ask the log now.
    pub fn pulse(&self) {
        self.wire.state.lock().inboxes.iter().for_each(|inbox| inbox.pulse());
    }

    /// Drops all but the newest `frames` of a manager's log. Who has not heard what was dropped
    /// hears [`Lost`](cache_enterprise_core::coherence::Heard::Lost).
    pub fn trim(&self, manager: &str, frames: usize) {
        self.wire.state.lock().log(manager).trim(frames);
    }

    /// Loses the log of every manager, as a server that restarts does. Everybody hears
    /// [`Lost`](cache_enterprise_core::coherence::Heard::Lost).
    pub fn lose_log(&self) {
        let mut state = self.wire.state.lock();
        state.births += 1;
        state.logs.clear();
    }

    /// Number of frames that were published for a manager since its log began.
    pub fn published(&self, manager: &str) -> u64 {
        self.wire.end_of(manager).last
    }

    /// Number of listeners of a manager, over all ends.
    pub fn listeners(&self, manager: &str) -> usize {
        let state = self.wire.state.lock();
        state.inboxes.iter().filter(|inbox| inbox.manager == manager).count()
    }

    /// Waits while the end is hung; then says whether a frame may go out.
    async fn may_publish(&self) -> Result<()> {
        let is_over = |state: &EndState| state.is_closed || state.link != Link::Hung;
        match self.end.state.wait_for(is_over).await {
            EndState { is_closed: true, .. } => Err(failure(ErrorKind::Closed, "it was closed")),
            EndState { link: Link::Mute | Link::Cut, .. } => {
                Err(failure(ErrorKind::Unavailable, "the bus cannot be reached"))
            }
            EndState { .. } => Ok(()),
        }
    }
}

fn failure(kind: ErrorKind, text: &str) -> Error {
    Error::new(kind, text).operation("publish").with("bus", NAME)
}

impl Default for InProcessBus {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Bus for InProcessBus {
    fn name(&self) -> &str {
        NAME
    }

    async fn publish(&self, manager: &str, frame: Bytes) -> Result<()> {
        self.publish_with(manager, frame, Bytes::new()).await
    }

    async fn publish_with(&self, manager: &str, frame: Bytes, values: Bytes) -> Result<()> {
        self.may_publish().await?;
        let mut state = self.wire.state.lock();
        let place = state.log(manager).append(frame.clone(), self.wire.frames_max);
        let hears =
            |inbox: &&Arc<Inbox>| inbox.manager == manager && inbox.end.state().link.hears();
        let inboxes: Vec<_> = state.inboxes.iter().filter(hears).cloned().collect();
        let disturbance = state.disturbance;
        for inbox in inboxes {
            for _ in 0..disturbance.copies(&mut state.rng) {
                let push = Arrival::Push(place, frame.clone(), values.clone());
                inbox.deliver(state.arrival_time(), push);
            }
        }
        if disturbance.is_unanswered(&mut state.rng) {
            return Err(failure(ErrorKind::Timeout, "the bus did not answer in time"));
        }
        Ok(())
    }

    async fn listen(&self, manager: &str) -> Result<Box<dyn Listener>> {
        let EndState { link, is_closed, .. } = self.end.state();
        if is_closed || !link.hears() {
            let kind = if is_closed { ErrorKind::Closed } else { ErrorKind::Unavailable };
            return Err(failure(kind, "the bus cannot be reached").operation("listen"));
        }
        let inbox = Arc::new(Inbox::new(manager, Arc::clone(&self.end)));
        let mut state = self.wire.state.lock();
        let position = state.log(manager).end();
        state.inboxes.push(Arc::clone(&inbox));
        drop(state);
        Ok(Box::new(InProcessListener::new(Arc::clone(&self.wire), inbox, position)))
    }

    async fn close(&self) -> Result<()> {
        self.change(|state| state.is_closed = true);
        Ok(())
    }
}

/// Shows no frame.
impl fmt::Debug for InProcessBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessBus").field("end", &self.end).finish_non_exhaustive()
    }
}
