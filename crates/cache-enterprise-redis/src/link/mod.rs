//! The way to the servers. Backend and functions know this seam and no topology behind it.
//!
//! A topology reads keys, calls functions at the server of a slot over shared connections or over
//! one of their own, lists keys, asks what is beside reads, and says which node a key belongs to.
//! What it gets is stored keys, slots and commands; which node and which connection that means is
//! its own affair.

mod batches;
mod bell;
mod bound;
mod cluster;
mod door;
mod lane;
mod policy;
mod pulse;
mod reader;
mod sentinel;
mod single;
mod sizes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{BackendHealth, Error, Result, StoredKey};
use redis::{Cmd, Pipeline, Value};
use tokio::time::timeout;

use crate::config::{Redis, Topology};
use crate::error;
use crate::tls::Certificates;

use bound::Bound;
use cluster::Cluster;
use cluster::node::Access;
pub(crate) use cluster::redirect::Redirect;
pub(crate) use cluster::slots::{slot_of_key, slot_of_tag};
use door::{Door, Place};
pub(crate) use door::{Opened, Pushes};
pub(crate) use policy::LARGE_BYTES;
use reader::Answer;
use single::Single;

/// The servers of one topology.
#[derive(Debug)]
pub(crate) enum Link {
    /// One server, fixed or followed through sentinels.
    Single(Box<Single>),
    /// The masters of a cluster.
    Cluster(Cluster),
}

/// A command for the server of a slot, and the bytes of the value in it: a large one takes the
/// second connection.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) slot: u16,
    pub(crate) command: Cmd,
    pub(crate) payload: usize,
}

impl Link {
    /// Reads files and secrets, starts to connect, and does not wait for it.
    pub(crate) async fn new(redis: &Redis) -> Result<Self> {
        let tls = redis.tls.clone();
        let read = tokio::task::spawn_blocking(move || match tls.is_on {
            true => Certificates::read(&tls).map(Some),
            false => Ok(None),
        });
        let certificates =
            read.await.map_err(|_| error::late("the certificates could not be read"))??;
        let certificates = certificates.map(Arc::new);
        let place = match &redis.topology {
            Topology::Standalone(endpoint) => Place::Fixed(endpoint.clone()),
            Topology::Sentinel { primary, sentinels } => Place::Primary {
                name: primary.clone(),
                sentinels: sentinels.clone(),
                login: redis.sentinel_login.clone(),
            },
            Topology::Cluster(seeds) => {
                let access = Access::new(redis.login.clone(), certificates, redis.limits.clone())?;
                return Ok(Self::Cluster(Cluster::new(access, seeds.clone(), redis.is_watched)));
            }
        };
        let door = Arc::new(Door {
            place,
            login: redis.login.clone(),
            database: redis.database,
            tls: certificates.as_deref().map(Certificates::client_config).transpose()?,
            connect_timeout: redis.limits.connect_timeout,
        });
        let bound = Bound::new(Arc::clone(&door), certificates, redis.limits.clone());
        Ok(Self::Single(Box::new(Single::new(door, bound, redis.limits.clone()))))
    }

    /// Waits until calls can be answered.
    pub(crate) async fn connected(&self) -> Result<()> {
        match self {
            Self::Single(single) => single.connected().await,
            Self::Cluster(cluster) => cluster.connected().await,
        }
    }

    /// What lies under a key. Reads that arrive together travel together.
    pub(crate) async fn get(&self, key: &StoredKey) -> Answer {
        match self {
            Self::Single(single) => single.get(key).await,
            Self::Cluster(cluster) => Box::pin(cluster.get(key)).await,
        }
    }

    /// What lies under each of the keys, in their order.
    pub(crate) async fn get_many(&self, keys: &[StoredKey]) -> Result<Vec<Option<Bytes>>> {
        match self {
            Self::Single(single) => single.get_many(keys).await,
            Self::Cluster(cluster) => Box::pin(cluster.get_many(keys)).await,
        }
    }

    /// Calls the server of the slot over a shared connection.
    pub(crate) async fn call(&self, call: &Call) -> Result<Value> {
        match self {
            Self::Single(single) => single.call(&call.command, call.payload).await,
            Self::Cluster(cluster) => cluster.call(call).await,
        }
    }

    /// Makes several calls together, at most a pipeline's worth; an answer each, in their order.
    /// Calls of one slot are made in their order.
    pub(crate) async fn call_all(&self, calls: &[Call]) -> Result<Vec<Result<Value>>> {
        let payload = calls.iter().map(|call| call.payload).sum();
        match self {
            Self::Single(single) => single.call_all(&pipeline(calls), payload).await,
            Self::Cluster(cluster) => Box::pin(cluster.call_all(calls)).await,
        }
    }

    /// As `call_all` for calls of one slot, over a connection that nobody else uses meanwhile.
    pub(crate) async fn call_bound(&self, calls: &[Call]) -> Result<Vec<Result<Value>>> {
        match self {
            Self::Single(single) => single.call_bound(&pipeline(calls)).await,
            Self::Cluster(cluster) => Box::pin(cluster.call_bound(calls)).await,
        }
    }

    /// One step of a scan on one node, over a connection that nobody else uses meanwhile.
    pub(crate) async fn list(
        &self,
        node: u32,
        cursor: u64,
        pattern: &[u8],
        count: usize,
    ) -> Result<Listed> {
        match self {
            Self::Single(single) => single.list(cursor, pattern, count).await,
            Self::Cluster(cluster) => Box::pin(cluster.list(node, cursor, pattern, count)).await,
        }
    }

    /// Loads code where calls of the slot may be made.
    pub(crate) async fn load(&self, slot: u16, command: &Cmd) -> Result<Value> {
        match self {
            Self::Single(single) => single.call(command, 0).await,
            Self::Cluster(cluster) => Box::pin(cluster.load(slot, command)).await,
        }
    }

    /// The node that serves a slot, below [`nodes`](Self::nodes).
    pub(crate) fn node(&self, slot: u16) -> u32 {
        match self {
            Self::Single(_) => 0,
            Self::Cluster(cluster) => cluster.node(slot),
        }
    }

    /// The node that serves a key. One server needs no slot.
    pub(crate) fn node_of_key(&self, key: &StoredKey) -> u32 {
        match self {
            Self::Single(_) => 0,
            Self::Cluster(cluster) => cluster.node(slot_of_key(key)),
        }
    }

    /// Asks the servers of two slots at once, over connections that no read holds up, each within
    /// the time a read may take. Besides each answer it tells which process of a server gave it;
    /// zero where a redirect was followed.
    pub(crate) async fn ask_both(
        &self,
        [first, second]: [(u16, &Cmd); 2],
    ) -> Result<[(Value, u64); 2]> {
        match self {
            Self::Single(single) => single.ask_both([first.1, second.1]).await,
            Self::Cluster(cluster) => {
                let asked = async {
                    tokio::try_join!(cluster.ask(first.0, first.1), cluster.ask(second.0, second.1))
                };
                Box::pin(asked).await.map(|(first, second)| [first, second])
            }
        }
    }

    /// The latest of the times of all servers, in microseconds; zero where one server has the time
    /// for all. Those that do not answer have none.
    pub(crate) async fn newest_time(&self) -> u64 {
        match self {
            Self::Single(_) => 0,
            Self::Cluster(cluster) => Box::pin(cluster.newest_time()).await,
        }
    }

    /// Opens a connection of its own to the server of a slot; what it pushes goes to `pushes`.
    pub(crate) async fn open_hearing(&self, slot: u16, pushes: Pushes) -> Result<Opened> {
        match self {
            Self::Single(single) => single.door().open_hearing(pushes).await,
            Self::Cluster(cluster) => cluster.open_hearing(slot, pushes).await,
        }
    }

    /// Notes what happened to such a connection: its server may not be the slot's any more.
    pub(crate) fn noticed(&self, slot: u16, fault: &Error) {
        if let Self::Cluster(cluster) = self {
            cluster.noticed(slot, fault);
        }
    }

    /// Whether channels belong to slots.
    pub(crate) fn is_sharded(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// How many nodes serve keys.
    pub(crate) fn nodes(&self) -> u32 {
        match self {
            Self::Single(_) => 1,
            Self::Cluster(cluster) => cluster.nodes(),
        }
    }

    /// Asks every node whether it is there, for no longer than `within`.
    pub(crate) async fn health(&self, within: Duration) -> BackendHealth {
        match self {
            Self::Single(single) => match timeout(within, single.ping()).await {
                Ok(Ok(())) => BackendHealth::Up,
                Ok(Err(why)) => BackendHealth::Down(why.to_string()),
                Err(_) => BackendHealth::Down("the server did not answer in time".into()),
            },
            Self::Cluster(cluster) => cluster.health(within).await,
        }
    }

    /// Ends every connection. Calls after it, and those it meets, answer `Closed`.
    pub(crate) fn close(&self) {
        match self {
            Self::Single(single) => single.close(),
            Self::Cluster(cluster) => cluster.close(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Single(single) => single.is_closed(),
            Self::Cluster(cluster) => cluster.is_closed(),
        }
    }
}

/// One step of a scan.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Where to go on; zero ends the node.
    pub(crate) cursor: u64,
    pub(crate) keys: Vec<Vec<u8>>,
}

impl Listed {
    pub(crate) fn read(answer: Value) -> Result<Self> {
        let (cursor, keys): (u64, Vec<Vec<u8>>) =
            redis::from_redis_value(answer).map_err(|_| error::strange_reply())?;
        Ok(Self { cursor, keys })
    }
}

/// The bytes of a reply to `GET`; they are not copied.
pub(crate) fn bytes_of(value: Value) -> Answer {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::ServerError(fault) => Err(error::from_server(&fault)),
        _ => Err(error::strange_reply()),
    }
}

fn pipeline<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Pipeline {
    let mut pipeline = redis::pipe();
    for call in calls {
        pipeline.add_command(call.command.clone());
    }
    pipeline
}
