//! What keeps a listener hearing: one connection after the other, and the place in the log.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use bytes::Bytes;
use cache_enterprise_core::coherence::{Cursor, LogId, Pushed};
use cache_enterprise_core::{Error, ErrorKind, Result, ms, mutant};
use redis::{PushInfo, PushKind};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::Found;
use super::calls::{Publish, Push, read_push};
use super::session::Session;
use super::tracking::Named;
use crate::error;
use crate::names::BusNames;
use crate::servers::Servers;

/// How often the newest entry of the log is asked for.
const ASK_EVERY: Duration = ms(250);
/// Pauses between attempts to connect, before up to as much is added by chance.
const PAUSE_MIN: Duration = ms(10);
const PAUSE_MAX: Duration = ms(200);
/// Entries of one page of the log. A page that does not come in time is asked for again by half.
const PAGE: usize = 64;
/// One that was heard, and one more.
const PAGE_MIN: usize = 2;
/// Looks for an entry in a log that is emptied again and again.
const LOOKS_MAX: usize = 3;

/// A listener without its connection.
pub(super) struct Ear {
    servers: Arc<Servers>,
    names: BusNames,
    entries: usize,
    /// `None` after a loss, until there is a new place to go on from.
    cursor: Option<Cursor>,
    page: usize,
    is_tracking: bool,
    /// Keys that were named and not told of yet.
    named: Named,
}

type Out = mpsc::Sender<Found>;

impl Ear {
    /// Connects; everything published from then on is heard.
    pub(super) async fn open(
        servers: Arc<Servers>,
        names: BusNames,
        entries: usize,
        is_tracking: bool,
    ) -> Result<(Self, Session)> {
        let mut session = Session::open(&servers, &names, is_tracking).await?;
        let (cursor, named) = (None, Named::default());
        let mut ear = Self { servers, names, entries, cursor, page: PAGE, is_tracking, named };
        ear.cursor = Some(ear.newest(&mut session).await?);
        Ok((ear, session))
    }

    /// Listens until nobody takes what is heard, or everything is closed.
    pub(super) async fn listen(mut self, session: Session, out: Out) {
        let mut next = Ok(session);
        let mut pauses = Pauses::new();
        loop {
            let fault = match next {
                Ok(session) => self.attend(session, &out, &mut pauses).await,
                Err(fault) => fault,
            };
            if out.is_closed() || fault.kind() == ErrorKind::Closed {
                return;
            }
            self.servers.link.noticed(self.names.slot, &fault);
            if fault.kind() == ErrorKind::Timeout {
                self.page = (self.page / 2).max(PAGE_MIN);
            }
            if let Some(cursor) = &mut self.cursor {
                cursor.cut();
            }
            sleep(pauses.next()).await;
            next = Session::open(&self.servers, &self.names, self.is_tracking).await;
            let is_gap = !mutant::breaks("a lost watch of keys is a loss");
            if self.is_tracking && next.is_ok() && is_gap {
                // No log keeps what was changed while nobody was told.
                self.named = Named { all: true, ..Named::default() };
            }
        }
    }

    /// Hears over one connection until it ends; why it did.
    async fn attend(&mut self, mut session: Session, out: &Out, pauses: &mut Pauses) -> Error {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(fault) = self.tell_named(&mut session, out).await {
                return fault;
            }
            if self.cursor.as_ref().is_none_or(Cursor::is_behind) {
                if let Err(fault) = self.catch_up(&mut session, out).await {
                    return fault;
                }
                pauses.renew();
            }
            let heard = tokio::select! {
                Some(push) = session.pushes.recv() => self.hear(push, out).await,
                _ = ticks.tick() => self.inquire(&mut session, out).await,
                _ = session.driving.join_next() => Err(ended()),
                () = out.closed() => Err(nobody()),
            };
            if let Err(fault) = heard {
                return fault;
            }
        }
    }

    /// Asks for the newest entry. What was pushed before it was answered stands in the queue, and
    /// perhaps what was pushed after.
    async fn inquire(&mut self, session: &mut Session, out: &Out) -> Result<()> {
        let asked = Instant::now();
        let newest = session.tail(&self.names).await?;
        let mut was_there = self.place() == newest;
        while let Ok(push) = session.pushes.try_recv() {
            self.hear(push, out).await?;
            was_there |= self.place() == newest;
        }
        self.tell_named(session, out).await?;
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        let now = if was_there { Some(cursor.place()) } else { newest };
        if cursor.is_current(now) {
            current(out, asked);
        }
        Ok(())
    }

    fn place(&self) -> Option<LogId> {
        self.cursor.as_ref().map(Cursor::place)
    }

    async fn hear(&mut self, push: PushInfo, out: &Out) -> Result<()> {
        let PushInfo { kind, data } = push;
        match kind {
            PushKind::Message | PushKind::SMessage => {}
            PushKind::Invalidate => {
                self.named.add(data);
                return Ok(());
            }
            // The slot has left this server.
            PushKind::SUnsubscribe => return Err(error::strange_reply()),
            _ => return Ok(()),
        }
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        let Some(push) = data.into_iter().nth(1).and_then(read_push) else {
            // Somebody else's; the log tells what is missing.
            cursor.cut();
            return Ok(());
        };
        let Push { at, before, frame, values } = push;
        match cursor.pushed(at, before, &frame) {
            Pushed::Next if values.is_empty() => give(out, frame).await,
            Pushed::Next => send(out, Found::Pushed(frame, values)).await,
            Pushed::Known | Pushed::Gap => Ok(()),
        }
    }

    /// Asks what stands under the keys that were named, and tells it.
    async fn tell_named(&mut self, session: &mut Session, out: &Out) -> Result<()> {
        self.named.all |= session.has_missed_keys();
        if self.named.is_empty() {
            return Ok(());
        }
        let named = std::mem::take(&mut self.named);
        if named.all {
            return send(out, Found::Lost).await;
        }
        let touched = session.touched(named.into_keys()).await?;
        send(out, Found::Touched(touched)).await
    }

    /// Reads the log from the cursor to its end, or takes a new place and says so.
    async fn catch_up(&mut self, session: &mut Session, out: &Out) -> Result<()> {
        loop {
            let Some(cursor) = &mut self.cursor else {
                let newest = self.newest(session).await?;
                self.cursor = Some(newest);
                send(out, Found::Lost).await?;
                continue;
            };
            let asked = Instant::now();
            let page = session.range(&self.names, cursor.place(), self.page).await?;
            let is_rest = page.len() < self.page;
            let is_foreign = page.iter().any(|(_, frame)| frame.is_none());
            self.page = (2 * self.page).min(PAGE);
            let page = page.into_iter().map(|(place, frame)| (place, frame.unwrap_or_default()));
            let Some(frames) = cursor.replay(page, is_rest) else {
                self.cursor = None;
                continue;
            };
            for frame in frames {
                give(out, frame).await?;
            }
            if is_foreign {
                // What it says cannot be read here.
                send(out, Found::Lost).await?;
            }
            if is_rest {
                // Keys that were named before the answer may still stand in the queue.
                if !self.is_tracking {
                    current(out, asked);
                }
                return Ok(());
            }
        }
    }

    /// A cursor at the newest entry. A log without entries gets one that says nothing: a place to
    /// go on from.
    async fn newest(&self, session: &mut Session) -> Result<Cursor> {
        for _ in 0..LOOKS_MAX {
            if let Some((place, frame)) = session.newest(&self.names).await? {
                return Ok(Cursor::at(place, frame.unwrap_or_default()));
            }
            let nothing = Publish::of(&self.servers, &self.names, Default::default(), self.entries);
            nothing.call(&self.servers).await?;
        }
        let text = "the log of the bus is emptied as often as it is written";
        Err(Error::new(ErrorKind::Unavailable, text))
    }
}

async fn give(out: &Out, frame: Bytes) -> Result<()> {
    if frame.is_empty() {
        return Ok(());
    }
    send(out, Found::Frame(frame)).await
}

async fn send(out: &Out, found: Found) -> Result<()> {
    out.send(found).await.map_err(|_| nobody())
}

/// Says it where there is room: a newer one follows.
fn current(out: &Out, asked: Instant) {
    let _ = out.try_send(Found::Current(asked));
}

fn nobody() -> Error {
    Error::new(ErrorKind::Closed, "nobody listens any more")
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the connection of a listener was lost")
}

/// Pauses between attempts, which begin anew after a success.
struct Pauses(ExponentialBackoff);

impl Pauses {
    fn new() -> Self {
        let growing = ExponentialBuilder::default().with_min_delay(PAUSE_MIN);
        Self(growing.with_max_delay(PAUSE_MAX).with_jitter().without_max_times().build())
    }

    fn next(&mut self) -> Duration {
        self.0.next().unwrap_or(PAUSE_MAX)
    }

    fn renew(&mut self) {
        *self = Self::new();
    }
}
