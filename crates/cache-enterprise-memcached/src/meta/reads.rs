//! Reads of one server travel together.
//!
//! A read that finds a free place goes out at once, in its caller's task. There are two places;
//! reads that come while both are taken wait in line, and who ends an exchange takes all that stand
//! in line into the next one. So a lone read waits for nobody, and under load one exchange carries
//! many. The longer exchanges take, the more they carry.
//!
//! Large values do not travel together: they wait for each other longer than a round trip takes, and
//! many of them in memory at once cost more than they save. A read of which one is expected has a
//! connection to itself.
//!
//! An exchange that carries others' reads runs in a task of its own, and one whose caller goes away
//! is left to a task: nobody takes another's read along, and a connection is not given up because
//! somebody lost patience. A connection belongs to one exchange at a time and is given up when the
//! exchange did not end well, so a reply that comes late finds nobody.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use cache_enterprise_core::Result;
use memcache::exp::{MetaCommand, MetaResponse, ReturnCode};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::pool::Pool;
use super::wire::{Link, Wire, is_worn};
use crate::error;

/// Exchanges on their way at once.
const PLACES: usize = 2;
/// Most commands in one exchange. Their text is below 40 KiB, so that it fits the buffers of the
/// sockets while the server writes its replies.
const BATCH_COMMANDS: usize = 128;
/// Most bytes that the replies of one exchange are expected to have together.
const BATCH_BYTES: usize = 256 * 1024;
/// A reply expected to be as large travels alone.
const LARGE_BYTES: usize = 16 * 1024;
/// Connections for replies that travel alone.
const LARGE_CONNECTIONS: usize = 16;
/// Most commands in line; beyond it a read is refused.
const LINE_COMMANDS: usize = 16_384;

type Values = Vec<Option<Bytes>>;
/// Who gets how many of a batch's values.
type Answer = (usize, oneshot::Sender<Result<Values>>);

pub(super) struct Reads {
    wire: Arc<Wire>,
    runtime: Handle,
    line: Mutex<Line>,
    large: Pool,
}

#[derive(Default)]
struct Line {
    is_closed: bool,
    /// Places that are taken.
    taken: usize,
    waiting: VecDeque<Ask>,
    /// Commands of all that wait.
    commands: usize,
    idle: Vec<Link>,
}

/// The read of one caller.
struct Ask {
    commands: Vec<MetaCommand>,
    /// Bytes its replies are expected to have.
    bytes: usize,
    /// When nobody waits for the answer any more.
    until: Instant,
    answer: oneshot::Sender<Result<Values>>,
}

/// A taken place. When it is given up and somebody waits, a task takes it over.
struct Place {
    reads: Arc<Reads>,
    /// Whether it was handed to a task that has not run yet.
    is_handed_over: bool,
}

enum Turn {
    Now(Place, Vec<MetaCommand>),
    Later(oneshot::Receiver<Result<Values>>),
}

impl Reads {
    pub(super) fn new(wire: Arc<Wire>) -> Arc<Self> {
        let large = Pool::new(Arc::clone(&wire), LARGE_CONNECTIONS);
        Arc::new(Self { wire, runtime: Handle::current(), line: Mutex::default(), large })
    }

    /// The value under one name, as a list of one; `bytes` are expected. Waits at most for its turn
    /// in line and for one exchange, each bounded by the timeouts.
    pub(super) async fn read(
        self: &Arc<Self>,
        command: MetaCommand,
        bytes: usize,
    ) -> Result<Values> {
        if bytes >= LARGE_BYTES {
            let reads = Arc::clone(self);
            let alone = async move { reads.ask_alone(command).await };
            return Running::new(self, alone).await;
        }
        let turn = self.enter(vec![command], bytes)?;
        match turn {
            Turn::Now(place, commands) => {
                let exchange = async move {
                    let values = place.reads.ask(commands).await;
                    drop(place);
                    values
                };
                Running::new(self, exchange).await
            }
            Turn::Later(answer) => answered(answer).await,
        }
    }

    /// The values under several names, each with the bytes expected of it, in exchanges of usual
    /// size.
    pub(super) async fn read_many(
        self: &Arc<Self>,
        commands: impl Iterator<Item = (MetaCommand, usize)>,
    ) -> Result<Values> {
        let (mut answers, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (command, more) in commands {
            if batch.len() == BATCH_COMMANDS || (!batch.is_empty() && bytes + more > BATCH_BYTES) {
                let full = std::mem::take(&mut batch);
                answers.push(self.line_up(&mut self.line.lock(), full, bytes)?);
                bytes = 0;
            }
            batch.push(command);
            bytes += more;
        }
        if !batch.is_empty() {
            answers.push(self.line_up(&mut self.line.lock(), batch, bytes)?);
        }
        self.serve_from_here();
        let mut found = Vec::new();
        for answer in answers {
            found.extend(answered(answer).await?);
        }
        Ok(found)
    }

    fn enter(self: &Arc<Self>, commands: Vec<MetaCommand>, bytes: usize) -> Result<Turn> {
        let mut line = self.line.lock();
        if line.taken == PLACES || line.is_closed {
            return self.line_up(&mut line, commands, bytes).map(Turn::Later);
        }
        line.taken += 1;
        Ok(Turn::Now(Place { reads: Arc::clone(self), is_handed_over: false }, commands))
    }

    fn line_up(
        &self,
        line: &mut Line,
        commands: Vec<MetaCommand>,
        bytes: usize,
    ) -> Result<oneshot::Receiver<Result<Values>>> {
        if line.is_closed {
            return Err(error::closed("get"));
        }
        if line.commands + commands.len() > LINE_COMMANDS {
            return Err(error::overloaded(&self.wire.server));
        }
        let (answer, receiver) = oneshot::channel();
        line.commands += commands.len();
        let until = Instant::now() + self.wire.exchange_timeout;
        line.waiting.push_back(Ask { commands, bytes, until, answer });
        Ok(receiver)
    }

    /// Takes every free place for the line.
    fn serve_from_here(self: &Arc<Self>) {
        let mut line = self.line.lock();
        let free = PLACES - std::mem::replace(&mut line.taken, PLACES);
        drop(line);
        for _ in 0..free {
            drop(Place { reads: Arc::clone(self), is_handed_over: false });
        }
    }

    /// Serves the line until nobody waits.
    async fn serve(self: Arc<Self>, mut place: Place) {
        place.is_handed_over = false;
        while let Some((asks, commands)) = self.next() {
            let answer = self.ask(commands).await;
            tell(asks, answer);
            // Whoever was answered comes back now, and travels with the next exchange.
            tokio::task::yield_now().await;
        }
        drop(place);
    }

    /// The next batch: what waits, in order, up to the size of an exchange.
    fn next(&self) -> Option<(Vec<Answer>, Vec<MetaCommand>)> {
        let mut line = self.line.lock();
        let (mut asks, mut commands, mut bytes) = (Vec::new(), Vec::new(), 0);
        let now = Instant::now();
        while let Some(ask) = line.waiting.front() {
            let is_full = commands.len() + ask.commands.len() > BATCH_COMMANDS
                || bytes + ask.bytes > BATCH_BYTES;
            if is_full && !commands.is_empty() {
                break;
            }
            let Some(ask) = line.waiting.pop_front() else { break };
            line.commands -= ask.commands.len();
            if ask.answer.is_closed() {
                continue;
            }
            if ask.until < now {
                let _ = ask.answer.send(Err(error::timeout(&self.wire.server)));
                continue;
            }
            bytes += ask.bytes;
            asks.push((ask.commands.len(), ask.answer));
            commands.extend(ask.commands);
        }
        (!asks.is_empty()).then_some((asks, commands))
    }

    /// One exchange; a second one on a new connection where the old one turned out to be dead.
    async fn ask(&self, commands: Vec<MetaCommand>) -> Result<Values> {
        let batch = self.wire.batch(commands);
        let idle = self.line.lock().idle.pop();
        let mut link = match idle {
            Some(link) => link,
            None => self.wire.dial().await?,
        };
        let mut replies = self.wire.exchange(&mut link, &batch).await;
        if let Err(failure) = &replies {
            // The others are as old and would fail too.
            self.line.lock().idle.clear();
            if is_worn(&link, failure) {
                link = self.wire.dial().await?;
                replies = self.wire.exchange(&mut link, &batch).await;
            }
        }
        let replies = replies?;
        self.keep(link);
        replies.into_iter().map(|reply| self.value(reply)).collect()
    }

    /// As `ask`, for one command on a connection of its own.
    async fn ask_alone(&self, command: MetaCommand) -> Result<Values> {
        let batch = self.wire.batch(vec![command]);
        let mut lent = self.large.lend().await?;
        let mut replies = self.wire.exchange(&mut lent.link, &batch).await;
        if let Err(failure) = &replies {
            self.large.forget_idle();
            if is_worn(&lent.link, failure) {
                lent.link = self.wire.dial().await?;
                replies = self.wire.exchange(&mut lent.link, &batch).await;
            }
        }
        let replies = replies?;
        lent.give_back();
        replies.into_iter().map(|reply| self.value(reply)).collect()
    }

    fn keep(&self, link: Link) {
        let mut line = self.line.lock();
        if !line.is_closed {
            line.idle.push(link);
        }
    }

    fn value(&self, reply: MetaResponse) -> Result<Option<Bytes>> {
        match reply.rc() {
            ReturnCode::Va => Ok(reply.into_value().map(Bytes::from)),
            ReturnCode::En => Ok(None),
            _ => Err(error::out_of_step(&self.wire.server)),
        }
    }

    /// Lets go of the connections that are idle; those on their way are let go of when they end.
    pub(super) fn close(&self) {
        self.large.close();
        let mut line = self.line.lock();
        line.is_closed = true;
        line.idle.clear();
        line.commands = 0;
        for ask in std::mem::take(&mut line.waiting) {
            let _ = ask.answer.send(Err(error::closed("get")));
        }
    }
}

async fn answered(answer: oneshot::Receiver<Result<Values>>) -> Result<Values> {
    // Unanswered, the runtime that drove the line is gone.
    answer.await.unwrap_or_else(|_| Err(error::closed("get")))
}

/// Gives everybody in a batch what is theirs.
fn tell(asks: Vec<Answer>, answer: Result<Values>) {
    match answer {
        Ok(values) => {
            let mut values = values.into_iter();
            for (count, answer) in asks {
                let _ = answer.send(Ok(values.by_ref().take(count).collect()));
            }
        }
        Err(failure) => {
            for (_, answer) in asks {
                let _ = answer.send(Err(failure.clone()));
            }
        }
    }
}

/// An exchange in its caller's task, until the caller goes away.
struct Running {
    runtime: Handle,
    exchange: Option<Pin<Box<dyn Future<Output = Result<Values>> + Send>>>,
}

impl Running {
    fn new(reads: &Reads, exchange: impl Future<Output = Result<Values>> + Send + 'static) -> Self {
        Self { runtime: reads.runtime.clone(), exchange: Some(Box::pin(exchange)) }
    }
}

impl Future for Running {
    type Output = Result<Values>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let exchange = self.exchange.as_mut().expect("a future is not polled after its end");
        let values = ready!(exchange.as_mut().poll(context));
        self.exchange = None;
        Poll::Ready(values)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.runtime.spawn(exchange);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = self.reads.line.lock();
        if self.is_handed_over {
            // The task was dropped before it ran, so the runtime has ended: nobody will serve the
            // line, and whoever waits hears of it by the end of the channel.
            line.waiting.clear();
            line.commands = 0;
        }
        if line.waiting.is_empty() {
            line.taken -= 1;
            return;
        }
        drop(line);
        // Keeps the place taken and passes it on.
        let reads = Arc::clone(&self.reads);
        let place = Place { reads: Arc::clone(&reads), is_handed_over: true };
        self.reads.runtime.spawn(reads.serve(place));
    }
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").field("wire", &self.wire).finish_non_exhaustive()
    }
}
