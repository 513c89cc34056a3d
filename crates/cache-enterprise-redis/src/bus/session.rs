//! One connection of a listener.

use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::coherence::LogId;
use cache_enterprise_core::{Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, PushInfo, Value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::calls::{place, read_entries, text_of};
use crate::error;
use crate::names::BusNames;
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
}

impl Session {
    /// Connects to the server that has the log now, and subscribes.
    pub(super) async fn open(servers: &Servers, names: &BusNames) -> Result<Self> {
        let (sender, pushes) = mpsc::channel(PUSHES_MAX);
        let opened = servers.link.open_hearing(names.slot, sender).await?;
        let mut driving = JoinSet::new();
        driving.spawn(opened.driver);
        let answer_timeout = servers.limits.read_timeout;
        let connection = opened.connection;
        let mut session = Self { connection, pushes, driving, answer_timeout };
        let mut question = redis::pipe();
        let sharded = servers.link.is_sharded();
        question.cmd(if sharded { "SSUBSCRIBE" } else { "SUBSCRIBE" }).arg(&names.channel);
        let subscribed = session.only(&question).await;
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

    async fn only(&mut self, question: &Pipeline) -> Result<Value> {
        self.ask(question).await?.pop().ok_or_else(error::strange_reply)
    }

    /// An answer to each command, within the time a read may take.
    async fn ask(&mut self, question: &Pipeline) -> Result<Vec<Value>> {
        let sent = self.connection.send_packed_commands(question, 0, question.len());
        let answers = match timeout(self.answer_timeout, sent).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(fault)) => return Err(error::from_redis(&fault)),
            Err(_) => return Err(late()),
        };
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
