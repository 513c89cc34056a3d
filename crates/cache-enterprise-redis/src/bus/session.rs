//! One connection of a listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::coherence::{LogId, Touched};
use cache_enterprise_core::{Error, Result, StoredKey};
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, PushInfo, Value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::calls::{place, read_entries, text_of};
use super::tracking::HEADS_AT_ONCE;
use crate::error;
use crate::key::RedisKey;
use crate::link::Pushes;
use crate::names::BusNames;
use crate::record::{HEAD_BYTES, version_of};
use crate::servers::Servers;

/// Pushes that may wait for the listener. What finds no room is lost, and is read from the log.
const PUSHES_MAX: usize = 128;

/// A connection that is subscribed to a manager's channel.
pub(super) struct Session {
    connection: MultiplexedConnection,
    /// What the server sent unasked, in its order, and in order with the answers.
    pub(super) pushes: mpsc::Receiver<PushInfo>,
    /// Carries bytes; completes when the connection ends, and ends it when it is dropped.
    pub(super) driving: JoinSet<()>,
    answer_timeout: Duration,
    has_missed_keys: Arc<AtomicBool>,
}

impl Session {
    /// Connects to the server that has the log now, and subscribes; to the changes of keys too,
    /// where they are tracked.
    pub(super) async fn open(
        servers: &Servers,
        names: &BusNames,
        is_tracking: bool,
    ) -> Result<Self> {
        let (room, pushes) = mpsc::channel(PUSHES_MAX);
        let has_missed_keys = Arc::new(AtomicBool::new(false));
        let sender = Pushes::new(room, Arc::clone(&has_missed_keys));
        let opened = servers.link.open_hearing(names.slot, sender).await?;
        let mut driving = JoinSet::new();
        driving.spawn(opened.driver);
        let answer_timeout = servers.limits.read_timeout;
        let connection = opened.connection;
        let mut session = Self { connection, pushes, driving, answer_timeout, has_missed_keys };
        let mut question = redis::pipe();
        let sharded = servers.link.is_sharded();
        question.cmd(if sharded { "SSUBSCRIBE" } else { "SUBSCRIBE" }).arg(&names.channel);
        if is_tracking {
            let tracking = question.cmd("CLIENT").arg("TRACKING").arg("ON").arg("BCAST");
            tracking.arg("PREFIX").arg(&names.begin);
        }
        let subscribed = session.ask(&question).await;
        subscribed.map_err(|fault| fault.with("server", &opened.endpoint))?;
        Ok(session)
    }

    /// The newest entry of the log, as far as it tells; `None` as well when the log is not there.
    pub(super) async fn tail(&mut self, names: &BusNames) -> Result<Option<LogId>> {
        let mut question = redis::pipe();
        // The length is asked for so that a server that evicts sees the log in use too.
        question.cmd("GET").arg(&names.tail).cmd("XLEN").arg(&names.log);
        match &self.ask(&question).await?[..] {
            [Value::BulkString(tail), Value::Int(length)] if *length > 0 => Ok(place(tail)),
            [Value::Nil | Value::BulkString(_), Value::Int(_)] => Ok(None),
            _ => Err(error::strange_reply()),
        }
    }

    /// Entries of the log from `from` on, that one included.
    pub(super) async fn range(
        &mut self,
        names: &BusNames,
        from: LogId,
        count: usize,
    ) -> Result<Vec<(LogId, Option<Bytes>)>> {
        let mut question = redis::pipe();
        question.cmd("XRANGE").arg(&names.log).arg(text_of(from)).arg("+").arg("COUNT").arg(count);
        read_entries(self.only(&question).await?)
    }

    /// The newest entry of the log.
    pub(super) async fn newest(
        &mut self,
        names: &BusNames,
    ) -> Result<Option<(LogId, Option<Bytes>)>> {
        let mut question = redis::pipe();
        question.cmd("XREVRANGE").arg(&names.log).arg("+").arg("-").arg("COUNT").arg(1);
        Ok(read_entries(self.only(&question).await?)?.pop())
    }

    /// Whether the server named keys that found no room among the pushes, since this was asked last.
    pub(super) fn has_missed_keys(&self) -> bool {
        self.has_missed_keys.swap(false, Ordering::AcqRel)
    }

    /// What stands under each of the keys.
    pub(super) async fn touched(&mut self, keys: Vec<StoredKey>) -> Result<Vec<Touched>> {
        let mut touched = Vec::with_capacity(keys.len());
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let some: Vec<_> = keys.by_ref().take(HEADS_AT_ONCE).collect();
            let mut question = redis::pipe();
            for key in &some {
                question.cmd("GETRANGE").arg(RedisKey::of(key)).arg(0).arg(HEAD_BYTES - 1);
            }
            let heads = self.answers(&question).await?;
            touched.extend(some.into_iter().zip(heads).map(|(key, head)| {
                // A list of another program, for one, gives an error in the place of a head.
                let version = match head {
                    Value::BulkString(head) => version_of(&head),
                    _ => None,
                };
                Touched { key, version }
            }));
        }
        Ok(touched)
    }

    async fn only(&mut self, question: &Pipeline) -> Result<Value> {
        self.ask(question).await?.pop().ok_or_else(error::strange_reply)
    }

    /// An answer to each command, within the time a read may take; among them what the server
    /// refuses.
    async fn answers(&mut self, question: &Pipeline) -> Result<Vec<Value>> {
        let sent = self.connection.send_packed_commands(question, 0, question.len());
        match timeout(self.answer_timeout, sent).await {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(fault)) => Err(error::from_redis(&fault)),
            Err(_) => Err(late()),
        }
    }

    /// An answer to each command, none of which the server may refuse.
    async fn ask(&mut self, question: &Pipeline) -> Result<Vec<Value>> {
        let answers = self.answers(question).await?;
        let settled = |answer| match answer {
            Value::ServerError(fault) => Err(error::from_server(&fault)),
            answer => Ok(answer),
        };
        answers.into_iter().map(settled).collect()
    }
}

fn late() -> Error {
    error::late("the server did not answer a listener in time")
}
