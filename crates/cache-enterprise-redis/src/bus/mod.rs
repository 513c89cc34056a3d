//! Frames of a manager to all its processes.
//!
//! ```text
//! publish ──> one function: XADD to the log, and (id, id before it, frame, values) to the channel
//!                              │                       │
//!    replay after a gap, a     │                       │ pushed to every listener,
//!    cut or a restart (XRANGE) │                       │ at most once
//!                              v                       v
//! listener:  connection of its own ── cursor ── frames, Current, Lost
//! ```
//!
//! A push may be lost: by a connection that breaks, a server that is paused, a listener that is
//! slow. The log is what counts, and four times a second the listener asks for its newest entry
//! over the connection on which pushes come, so that all that was pushed before stands before the
//! answer.
//!
//! Changes of entries by others than the processes themselves are told by the server where that is
//! [asked for](RedisBus::tracking). Of them no log is kept.

mod calls;
mod ear;
mod session;
mod tracking;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, Heard, Listener, Touched};
use cache_enterprise_core::{Error, ErrorKind, MIB, Result};
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::Topology;
use crate::names::BusNames;
use crate::servers::Servers;
use crate::{Redis, RedisBackend};

use calls::Publish;
use ear::Ear;

const NAME: &str = "redis";
/// Largest frame, with the values beside it.
const FRAME_BYTES_MAX: usize = MIB as usize;
/// Entries that the log keeps at least.
const ENTRIES: usize = 100_000;
/// What a listener may have in hand that nobody took yet.
const HEARD_MAX: usize = 256;

/// A bus on Redis: a stream that keeps what was published, and a channel that pushes it.
///
/// Cost: two connections for publishing, opened with the first frame, or those of a backend that
/// it [shares](Self::sharing); and one connection for each listener. Publishing is one round trip.
///
/// ```no_run
/// use bytes::Bytes;
/// use cache_enterprise_core::coherence::Bus;
/// use cache_enterprise_redis::RedisBus;
///
/// # async fn example() -> cache_enterprise_core::Result<()> {
/// let bus = RedisBus::url("redis://localhost:6379")?;
/// let mut listener = bus.listen("shop").await?;
/// bus.publish("shop", Bytes::from_static(b"a frame")).await?;
/// println!("{:?}", listener.next().await);
/// # Ok(())
/// # }
/// ```
pub struct RedisBus {
    source: Source,
    entries: usize,
    is_tracking: bool,
    opened: OnceCell<Arc<Servers>>,
    closed: watch::Sender<bool>,
}

enum Source {
    Own(Box<Redis>),
    Shared,
}

impl RedisBus {
    /// A bus on one server: `redis://[[user]:password@]host[:port][/database]`, or `rediss` for
    /// TLS.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when it is no such URL.
    pub fn url(url: &str) -> Result<Self> {
        Ok(Self::with(Redis::url(url)?))
    }

    /// A bus on the servers of these settings, over connections of its own: Sentinel, a cluster,
    /// TLS and logins as for a backend.
    pub fn with(redis: Redis) -> Self {
        Self::from(Source::Own(Box::new(redis)), OnceCell::new())
    }

    /// A bus on the servers of an opened backend, which publishes over the connections there are.
    pub fn sharing(backend: &RedisBackend) -> Self {
        Self::from(Source::Shared, OnceCell::new_with(Some(Arc::clone(&backend.servers))))
    }

    fn from(source: Source, opened: OnceCell<Arc<Servers>>) -> Self {
        let closed = watch::Sender::new(false);
        Self { source, entries: ENTRIES, is_tracking: false, opened, closed }
    }

    /// How many frames the log keeps at least, for those that are cut off. It keeps some more.
    /// Default: 100 000.
    #[must_use]
    pub fn entries(mut self, entries: usize) -> Self {
        self.entries = entries.max(1);
        self
    }

    /// Whether listeners hear of each entry of the manager that is changed on the server, by
    /// whomever: somebody with `redis-cli`, a program that knows nothing of the bus, an eviction.
    /// A copy in level 1 that is older than what stands there now ends within moments. The server's
    /// own `CLIENT TRACKING` tells it, over the connection of the listener; a connection that was
    /// lost counts as a loss, after which everything is looked up below again.
    ///
    /// Costs, for each listener: a message of the server for each change of any entry, and a small
    /// read for each key it names. Needs the right to `CLIENT TRACKING`, and the level on the same
    /// server; not with a cluster. Default: off.
    #[must_use]
    pub fn tracking(mut self, is_on: bool) -> Self {
        self.is_tracking = is_on;
        self
    }

    /// Whether it could be opened as far as its settings tell; nothing is read or sent.
    ///
    /// # Errors
    /// As [`Redis::check`]. When keys of a cluster were to be [tracked](Self::tracking).
    pub fn check(&self) -> Result<()> {
        let is_cluster = match &self.source {
            Source::Own(redis) => {
                redis.check()?;
                matches!(redis.topology, Topology::Cluster(_))
            }
            Source::Shared => self.opened.get().is_some_and(|servers| servers.link.is_sharded()),
        };
        if self.is_tracking && is_cluster {
            let text = "changes of keys are tracked on one server, not on a cluster; switch it off";
            return Err(Error::config(text).with("option", "tracking"));
        }
        Ok(())
    }

    async fn servers(&self) -> Result<&Arc<Servers>> {
        if *self.closed.borrow() {
            return Err(closed());
        }
        let open = async || match &self.source {
            Source::Own(redis) => Servers::new(Redis::clone(redis)).await,
            Source::Shared => Err(closed()),
        };
        self.opened.get_or_try_init(open).await
    }

    async fn publish_now(&self, manager: &str, frame: Bytes, values: Bytes) -> Result<()> {
        let bytes = frame.len() + values.len();
        if bytes > FRAME_BYTES_MAX {
            let fault = Error::new(ErrorKind::TooLarge, "the frame is larger than a bus carries");
            return Err(fault.with("bytes", bytes).with("limit", FRAME_BYTES_MAX));
        }
        let servers = self.servers().await?;
        let names = BusNames::of(manager, servers.database);
        Publish::of(servers, &names, (frame, values), self.entries).call(servers).await.map(drop)
    }

    async fn listen_now(&self, manager: &str) -> Result<Box<dyn Listener>> {
        let servers = Arc::clone(self.servers().await?);
        self.check()?;
        let names = BusNames::of(manager, servers.database);
        let (ear, session) = Ear::open(servers, names, self.entries, self.is_tracking).await?;
        let (out, heard) = mpsc::channel(HEARD_MAX);
        let mut closed = self.closed.subscribe();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = ear.listen(session, out) => {}
                // The sender lives in the bus; without the bus the listener goes on.
                Ok(_) = closed.wait_for(|closed| *closed) => {}
            }
        });
        Ok(Box::new(RedisListener { heard, task }))
    }

    fn told(&self, operation: &'static str, fault: Error) -> Error {
        let fault = if *self.closed.borrow() { closed() } else { fault };
        fault.operation(operation).with("bus", NAME)
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn name(&self) -> &str {
        NAME
    }

    async fn publish(&self, manager: &str, frame: Bytes) -> Result<()> {
        self.publish_with(manager, frame, Bytes::new()).await
    }

    async fn publish_with(&self, manager: &str, frame: Bytes, values: Bytes) -> Result<()> {
        let published = self.publish_now(manager, frame, values).await;
        published.map_err(|fault| self.told("publish", fault))
    }

    async fn listen(&self, manager: &str) -> Result<Box<dyn Listener>> {
        self.listen_now(manager).await.map_err(|fault| self.told("listen", fault))
    }

    async fn close(&self) -> Result<()> {
        self.closed.send_replace(true);
        if let (Source::Own(_), Some(servers)) = (&self.source, self.opened.get()) {
            servers.link.close();
        }
        Ok(())
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus")
            .field("link", &self.opened.get().map(|servers| &servers.link))
            .field("entries", &self.entries)
            .field("tracking", &self.is_tracking)
            .finish_non_exhaustive()
    }
}

/// What a listener's task found out.
#[derive(Debug)]
enum Found {
    Frame(Bytes),
    /// With the values beside it.
    Pushed(Bytes, Bytes),
    Touched(Vec<Touched>),
    /// Everything was heard that was published before this moment.
    Current(Instant),
    Lost,
}

/// The end of a task that listens, which ends with it.
struct RedisListener {
    heard: mpsc::Receiver<Found>,
    task: JoinHandle<()>,
}

#[async_trait]
impl Listener for RedisListener {
    async fn next(&mut self) -> Heard {
        match self.heard.recv().await {
            Some(Found::Frame(frame)) => Heard::Frame(frame),
            Some(Found::Pushed(frame, values)) => Heard::Pushed { frame, values },
            Some(Found::Touched(keys)) => Heard::Touched(keys),
            // Counted when it is given: it may have waited here.
            Some(Found::Current(asked)) => Heard::Current { age: asked.elapsed() },
            Some(Found::Lost) => Heard::Lost,
            // The bus was closed.
            None => std::future::pending().await,
        }
    }
}

impl Drop for RedisListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for RedisListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisListener").field("waiting", &self.heard.len()).finish_non_exhaustive()
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the bus is closed")
}
