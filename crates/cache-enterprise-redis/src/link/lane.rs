//! One connection that many calls share, kept open.
//!
//! A task keeps the connection: opens it, watches it, opens the next one when it ends, with
//! jittered pauses so that a thousand clients do not come back in one instant. Calls take the
//! connection there is. While the first attempt after a loss is made they wait for it; after one
//! that failed they fail at once, and the next one to succeed lets them through again.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use cache_enterprise_core::{Error, Result, StoredKey, ms, secs};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use twox_hash::XxHash3_64;

use super::batches::Batches;
use super::bell::Rounds;
use super::door::{Delays, Door, Driver, Opened};
use super::policy::Policy;
use super::pulse::{Ended, Finding, Pulse, Watch};
use super::reader::{Answer, Asking, Carrier, Reader};
use crate::address::Endpoint;
use crate::error;

/// Pauses between attempts to connect, before up to as much is added by chance: a server that is
/// back is found within half a second.
const PAUSE_MIN: Duration = ms(10);
const PAUSE_MAX: Duration = ms(200);
/// A connection that lived this long was no failed attempt.
const LIVED: Duration = secs(1);

/// A connection that is opened again whenever it ends. Dropping it closes the connection.
pub(crate) struct Lane {
    phase: watch::Sender<Phase>,
    keeper: AbortHandle,
}

/// How the calls of a lane travel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    pub(crate) delays: Delays,
    /// Where it is given reads need no timer: the connection is watched instead.
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) policy: Policy,
}

/// What a call may do at the moment.
#[derive(Clone)]
enum Phase {
    /// Wait: the first attempt is being made.
    Opening,
    Open(Wire),
    /// Fail: the last attempt failed, the next one follows.
    Shut(Error),
    Closed,
}

/// The connection of a lane at one moment. Cloning costs one count.
#[derive(Clone)]
pub(crate) struct Wire {
    held: Arc<Held>,
}

struct Held {
    /// What tells the process at the other end from every other one, once it was asked.
    run: OnceLock<u64>,
    connection: MultiplexedConnection,
    pulse: Pulse,
    endpoint: Endpoint,
    /// Where reads gather that travel together.
    reader: Arc<Reader>,
}

impl Lane {
    /// Starts to open a connection.
    pub(crate) fn new(door: Arc<Door>, ways: Ways) -> Self {
        let (phase, _) = watch::channel(Phase::Opening);
        let keeper = tokio::spawn(keep(door, ways, phase.clone())).abort_handle();
        Self { phase, keeper }
    }

    /// The connection, waited for no longer than `within`.
    pub(crate) async fn wire(&self, within: Duration) -> Result<Wire> {
        let now = self.phase.borrow().wire();
        match now {
            Some(wire) => wire,
            // Seldom, and large: boxed, so that every other call is not as large.
            None => Box::pin(self.awaited_wire(within)).await,
        }
    }

    async fn awaited_wire(&self, within: Duration) -> Result<Wire> {
        let mut phases = self.phase.subscribe();
        let opened = timeout(within, phases.wait_for(|phase| phase.wire().is_some())).await;
        match opened.ok().and_then(|phase| phase.ok()?.wire()) {
            Some(wire) => wire,
            None => Err(error::late("no connection to the server in time")),
        }
    }

    /// Gives up a connection to this server, which is no primary any more.
    pub(crate) fn leave(&self, server: &Endpoint) {
        if let Phase::Open(wire) = &*self.phase.borrow()
            && wire.endpoint() == server
        {
            wire.held.pulse.give_up(Ended::Demoted);
        }
    }

    /// Ends the connection and every call on it.
    pub(crate) fn close(&self) {
        self.phase.send_replace(Phase::Closed);
        self.keeper.abort();
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Closed)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match &*self.phase.borrow() {
            Phase::Opening => "opening",
            Phase::Open(_) => "open",
            Phase::Shut(_) => "shut",
            Phase::Closed => "closed",
        };
        f.debug_tuple("Lane").field(&phase).finish()
    }
}

impl Phase {
    /// The connection or why there is none; `None` while it is worth waiting.
    fn wire(&self) -> Option<Result<Wire>> {
        match self {
            Self::Opening => None,
            Self::Open(wire) => Some(Ok(wire.clone())),
            Self::Shut(why) => Some(Err(why.clone())),
            Self::Closed => Some(Err(error::closed())),
        }
    }
}

impl Wire {
    fn new(connection: MultiplexedConnection, endpoint: Endpoint) -> Self {
        let (run, pulse) = (OnceLock::new(), Pulse::default());
        let reader = Arc::default();
        Self { held: Arc::new(Held { run, connection, pulse, endpoint, reader }) }
    }

    /// A number of the process at the other end, which no other process of a server has, before
    /// or after. Asked once for each connection.
    pub(crate) async fn run(&self) -> Result<u64> {
        if let Some(run) = self.held.run.get() {
            return Ok(*run);
        }
        let text = match self.read(redis::cmd("INFO").arg("server")).await? {
            Value::BulkString(text) => text,
            Value::VerbatimString { text, .. } => text.into_bytes(),
            _ => return Err(error::strange_reply()),
        };
        let mut lines = text.split(|byte| *byte == b'\n');
        let id = lines.find_map(|line| line.strip_prefix(b"run_id:"));
        let run = XxHash3_64::oneshot(id.ok_or_else(error::strange_reply)?.trim_ascii());
        Ok(*self.held.run.get_or_init(|| run))
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.held.endpoint
    }

    /// Counts a caller that reads over this connection, until what it is given is dropped.
    pub(crate) fn ask(&self) -> Asking<'_> {
        self.held.reader.ask()
    }

    /// Reads a key together with others; its reply is expected to be of `reply_bytes`.
    pub(crate) async fn get(&self, key: &StoredKey, reply_bytes: usize) -> Answer {
        self.held.reader.get(key, reply_bytes).await
    }

    /// Sends a read whose deadline is that of the connection: no timer is started.
    pub(crate) async fn read(&self, command: &Cmd) -> Result<Value> {
        let asked = self.held.pulse.ask();
        let answer = self.held.connection.clone().send_packed_command(command).await;
        self.held.pulse.answer(asked);
        self.settled(answer)
    }

    /// As `read` for commands that travel together; an answer each, in their order.
    pub(crate) async fn read_all(&self, commands: &Pipeline) -> Result<Vec<Result<Value>>> {
        let count = commands.len();
        let asked = self.held.pulse.ask();
        let answers = self.held.connection.clone().send_packed_commands(commands, 0, count).await;
        self.held.pulse.answer(asked);
        self.all_settled(answers.map_err(|fault| self.broken(&fault))?, count)
    }

    /// As `read` for two; the first failure fails both.
    pub(crate) async fn read_both(&self, commands: [&Cmd; 2]) -> Result<[Value; 2]> {
        let mut pipeline = redis::pipe();
        for command in commands {
            pipeline.add_command(command.clone());
        }
        match <[Result<Value>; 2]>::try_from(self.read_all(&pipeline).await?) {
            Ok([first, second]) => Ok([first?, second?]),
            Err(_) => Err(error::strange_reply()),
        }
    }

    /// Sends a command and waits no longer than `within`, after which the connection is given up:
    /// the reply of the late command stands before all others.
    pub(crate) async fn send(&self, command: &Cmd, within: Duration) -> Result<Value> {
        let mut connection = self.held.connection.clone();
        let answer = self.in_time(within, connection.send_packed_command(command)).await?;
        self.settled(answer)
    }

    /// Sends commands together; an answer each, in their order.
    pub(crate) async fn send_all(
        &self,
        commands: &Pipeline,
        within: Duration,
    ) -> Result<Vec<Result<Value>>> {
        let count = commands.len();
        let mut connection = self.held.connection.clone();
        let sent = connection.send_packed_commands(commands, 0, count);
        let answers = self.in_time(within, sent).await?;
        self.all_settled(answers.map_err(|fault| self.broken(&fault))?, count)
    }

    /// What was sent and gives its answer within that time. For a caller that leaves before, the
    /// keeper of the connection waits on: a deadline that nobody stays for would never come.
    async fn in_time<T>(&self, within: Duration, sent: impl Future<Output = T>) -> Result<T> {
        let stay = Stay { pulse: &self.held.pulse, within };
        let answer = timeout(within, sent).await;
        std::mem::forget(stay);
        answer.map_err(|_| self.overdue())
    }

    fn all_settled(&self, answers: Vec<Value>, count: usize) -> Result<Vec<Result<Value>>> {
        if answers.len() != count {
            return Err(error::strange_reply());
        }
        Ok(answers.into_iter().map(|answer| self.settled(Ok(answer))).collect())
    }

    /// Why this connection gives no answers any more.
    pub(crate) fn fault(&self) -> Error {
        let fault = self.held.pulse.fault();
        let fault = fault.unwrap_or_else(|| error::from_io(&io::ErrorKind::UnexpectedEof.into()));
        fault.with("server", self.endpoint())
    }

    fn overdue(&self) -> Error {
        self.held.pulse.give_up(Ended::Overdue);
        error::late("the server did not answer in time").with("server", self.endpoint())
    }

    fn settled(&self, answer: Result<Value, RedisError>) -> Result<Value> {
        match answer {
            Ok(Value::ServerError(fault)) => {
                Err(error::from_server(&fault).with("server", self.endpoint()))
            }
            Ok(value) => Ok(value),
            Err(fault) => Err(self.broken(&fault)),
        }
    }

    #[cold]
    fn broken(&self, fault: &RedisError) -> Error {
        let fault = self.held.pulse.fault().unwrap_or_else(|| error::from_redis(fault));
        fault.with("server", self.endpoint())
    }
}

/// Dropped, its caller has left before there was an answer.
struct Stay<'a> {
    pulse: &'a Pulse,
    within: Duration,
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        self.pulse.leave(self.within);
    }
}

/// Keeps one connection open until its lane ends this task.
async fn keep(door: Arc<Door>, ways: Ways, phase: watch::Sender<Phase>) {
    let pauses = || {
        let growing = ExponentialBuilder::default().with_min_delay(PAUSE_MIN);
        growing.with_max_delay(PAUSE_MAX).with_jitter().without_max_times().build()
    };
    let mut pause = pauses();
    loop {
        match door.open(ways.delays).await {
            Err(why) => enter(&phase, Phase::Shut(why)),
            Ok(Opened { connection, driver, endpoint }) => {
                let (wire, since) = (Wire::new(connection, endpoint), Instant::now());
                enter(&phase, Phase::Open(wire.clone()));
                attend(wire, driver, ways, &phase).await;
                if since.elapsed() >= LIVED {
                    pause = pauses();
                    // At once: calls wait for this attempt.
                    continue;
                }
            }
        }
        tokio::time::sleep(pause.next().unwrap_or(PAUSE_MAX)).await;
    }
}

/// Waits until the connection ends or is given up. It is driven by a task of its own, so that it is
/// not polled for the watch beside it.
async fn attend(wire: Wire, driver: Driver, ways: Ways, phase: &watch::Sender<Phase>) {
    let batches = Batches { wire: wire.clone(), by_slot: ways.policy.by_slot };
    let carrier = Carrier::new(Arc::clone(&wire.held.reader), batches, ways.policy);
    // Dropped with this task, it ends the driver too.
    let mut driving = JoinSet::new();
    driving.spawn(drive(driver, carrier));
    let ended = tokio::select! {
        ended = driving.join_next() => ended,
        () = overdue(&wire, ways.read_timeout) => { wire.held.pulse.give_up(Ended::Overdue); None }
        () = stand_in(&wire) => None,
        () = wire.held.pulse.given_up() => None,
    };
    // Before the reads that wait for it fail, so that whoever tries again finds the next connection.
    enter(phase, Phase::Opening);
    if let Some(Ok(mut carrier)) = ended {
        // What came with the end of the connection.
        carrier.bring(&mut Context::from_waker(Waker::noop()));
    }
    driving.shutdown().await;
}

/// Drives a connection and carries its reads, in one task: what they tell each other wakes nobody.
/// Answers the carrier, for whoever it ends with; what came before the end is in its hands yet.
async fn drive(mut driver: Driver, mut carrier: Carrier<Batches>) -> Carrier<Batches> {
    let rounds = Rounds::new();
    let driven = poll_fn(|context| {
        rounds.poll(context, |context| {
            let driven = driver.as_mut().poll(context);
            if driven.is_pending() {
                carrier.poll(context);
            }
            driven
        })
    });
    driven.await;
    carrier
}

/// Completes when a read was not answered in time.
async fn overdue(wire: &Wire, read_timeout: Option<Duration>) {
    let Some(limit) = read_timeout else { return std::future::pending().await };
    let mut watch = Watch::new(limit, Instant::now());
    let mut looks = interval(Watch::every(limit));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = looks.tick().await;
        match watch.look(&wire.held.pulse, now) {
            Finding::Fine => {}
            // It ends with the connection at the latest.
            Finding::Quiet => drop(tokio::spawn(ping(wire.clone()))),
            Finding::Overdue => return,
        }
    }
}

/// Stands in for callers who left: waits as long as they would have for the answer to a `PING`
/// behind what they sent, and gives up a connection that gives none.
async fn stand_in(wire: &Wire) {
    loop {
        let within = wire.held.pulse.left().await;
        let _ = wire.send(&redis::cmd("PING"), within).await;
    }
}

async fn ping(wire: Wire) {
    // Whatever it answers: it answers.
    let _ = wire.read(&redis::cmd("PING")).await;
}

fn enter(phase: &watch::Sender<Phase>, next: Phase) {
    phase.send_if_modified(|phase| {
        let is_open = !matches!(phase, Phase::Closed);
        if is_open {
            *phase = next;
        }
        is_open
    });
}
