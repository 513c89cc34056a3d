//! The masters of a cluster, each reached as a server of its own.
//!
//! ```text
//! key ──> slot ──(table)──> node ──> reader ──> connection
//!                  ^                    │
//!                  │ swap               │ MOVED, ASK, silence
//!             watchdog <────────────────┘
//! ```
//!
//! The cluster connection of the client is not used. It keeps one lock over all nodes, and takes
//! it while it connects to one of them: while a master hung, a redirect between two others stopped
//! every shard for two seconds (`docs/decisions.md` has the figures). Here a node shares nothing
//! with another one. What is asked about the cluster is asked beside the calls on their way.

pub(in crate::link) mod groups;
pub(in crate::link) mod node;
pub(crate) mod redirect;
mod rounds;
mod routes;
pub(in crate::link) mod slots;
mod table;
mod view;
mod watchdog;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{BackendHealth, Error, ErrorKind, Result, StoredKey, ms};
use redis::{Cmd, Pipeline, Value};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::reader::Answer;
use super::{Call, Listed, Opened, Pushes, bytes_of, pipeline};
use crate::address::Endpoint;
use crate::error;
use crate::key::RedisKey;
use node::{Access, Node};
use redirect::{Detour, detour};
use routes::Shared;
use slots::slot_of_key;
use watchdog::{Limits, Watchdog};

/// Detours of one call. A slot that moves costs one, one that moves on meanwhile two.
const DETOURS_MAX: u32 = 5;
/// Pause before a call whose keys were on their way is made again.
const AGAIN: Duration = ms(5);

/// Nodes of a cluster and what watches over them.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    driver: AbortHandle,
}

impl Cluster {
    /// Begins to ask the `seeds` who serves what.
    pub(super) fn new(access: Access, seeds: Vec<Endpoint>, is_watched: bool) -> Self {
        // Not the same for all processes, or they would ask in the same instant.
        let jitter = RandomState::new().hash_one(0_u8) % 100;
        let limits = Limits {
            strikes: 2,
            ask_every: ms(200 + jitter),
            refresh_every: ms(400 + jitter),
            asked_max: 5,
        };
        let shared = Arc::new(Shared::new(access, Watchdog::new(limits, seeds), is_watched));
        let driver = tokio::spawn(rounds::drive(Arc::clone(&shared))).abort_handle();
        Self { shared, driver }
    }

    fn limits(&self) -> &crate::config::Limits {
        &self.shared.access.limits
    }

    pub(super) async fn connected(&self) -> Result<()> {
        // A round of questions and the building of the connections, each within the timeout.
        self.shared.found(self.limits().connect_timeout * 3).await
    }

    pub(super) async fn get(&self, key: &StoredKey) -> Answer {
        let within = self.limits().read_timeout;
        let node = self.shared.node_of(slot_of_key(key), within).await?;
        let answer = node.single.get(key).await;
        self.shared.heard(&node, &answer);
        self.settle(key, &node, answer).await
    }

    pub(super) async fn get_many(&self, keys: &[StoredKey]) -> Result<Vec<Option<Bytes>>> {
        let mut asked = JoinSet::new();
        for (node, places) in
            self.by_node(keys.iter().map(slot_of_key), self.limits().read_timeout).await?
        {
            let keys: Vec<StoredKey> = places.iter().map(|place| keys[*place].clone()).collect();
            asked.spawn(async move {
                let answers = node.single.get_each(&keys).await;
                (node, places, answers)
            });
        }
        let mut found = vec![None; keys.len()];
        while let Some(answered) = asked.join_next().await {
            let (node, places, answers) = answered.map_err(|_| lost())?;
            for (place, answer) in places.into_iter().zip(answers) {
                self.shared.heard(&node, &answer);
                found[place] = self.settle(&keys[place], &node, answer).await?;
            }
        }
        Ok(found)
    }

    pub(super) async fn call(&self, call: &Call) -> Result<Value> {
        let within = self.limits().write_timeout;
        let node = self.shared.node_of(call.slot, within).await?;
        let answer = node.single.call(&call.command, call.payload).await;
        self.shared.heard(&node, &answer);
        match detour(&answer, &node.endpoint) {
            Some(way) => Box::pin(self.follow(&node, way, &call.command, call.payload)).await,
            None => answer,
        }
    }

    /// One question of [`Link::ask_both`](super::Link::ask_both).
    pub(super) async fn ask(&self, slot: u16, question: &Cmd) -> Result<(Value, u64)> {
        let node = self.shared.node_of(slot, self.limits().read_timeout).await?;
        let answer = node.single.ask(question).await;
        self.shared.heard(&node, &answer);
        match detour(&answer, &node.endpoint) {
            Some(way) => Ok((Box::pin(self.follow(&node, way, question, 0)).await?, 0)),
            None => answer,
        }
    }

    /// As [`Link::newest_time`](super::Link::newest_time).
    pub(super) async fn newest_time(&self) -> u64 {
        let mut asked = JoinSet::new();
        for node in self.shared.nodes() {
            asked.spawn(async move { node.single.ask(&redis::cmd("TIME")).await });
        }
        let mut newest = 0;
        while let Some(answered) = asked.join_next().await {
            if let Ok(Ok((time, _))) = answered
                && let Ok((secs, micros)) = redis::from_redis_value::<(u64, u64)>(time)
            {
                newest = newest.max(secs.saturating_mul(1_000_000).saturating_add(micros));
            }
        }
        newest
    }

    /// As [`Link::open_hearing`](super::Link::open_hearing).
    pub(super) async fn open_hearing(&self, slot: u16, pushes: Pushes) -> Result<Opened> {
        let node = self.shared.node_of(slot, self.limits().read_timeout).await?;
        let opened = node.single.door().open_hearing(pushes).await;
        self.shared.heard(&node, &opened);
        opened
    }

    /// As [`Link::noticed`](super::Link::noticed).
    pub(super) fn noticed(&self, slot: u16, fault: &Error) {
        if let Some(node) = self.shared.known_node_of(slot) {
            self.shared.heard(&node, &Err::<(), _>(fault.clone()));
        }
    }

    /// Calls of one node travel together. A call that is sent on is followed by itself; calls of
    /// one key are followed in their order.
    pub(super) async fn call_all(&self, calls: &[Call]) -> Result<Vec<Result<Value>>> {
        let slots = calls.iter().map(|call| call.slot);
        let mut made = JoinSet::new();
        for (node, places) in self.by_node(slots, self.limits().write_timeout).await? {
            let commands = pipeline(places.iter().map(|place| &calls[*place]));
            let payload = places.iter().map(|place| calls[*place].payload).sum();
            made.spawn(async move {
                let answers = node.single.call_all(&commands, payload).await;
                (node, places, answers)
            });
        }
        let mut answers: Vec<Result<Value>> = calls.iter().map(|_| Err(lost())).collect();
        while let Some(answered) = made.join_next().await {
            let (node, places, replies) = answered.map_err(|_| lost())?;
            let count = places.len();
            let replies = match replies {
                Ok(replies) => replies,
                Err(fault) => (0..count).map(|_| Err(fault.clone())).collect(),
            };
            for (place, reply) in places.into_iter().zip(replies) {
                self.shared.heard(&node, &reply);
                let call = &calls[place];
                answers[place] = match detour(&reply, &node.endpoint) {
                    Some(way) => {
                        Box::pin(self.follow(&node, way, &call.command, call.payload)).await
                    }
                    None => reply,
                };
            }
        }
        Ok(answers)
    }

    /// Calls of one key over one connection: all of them go where the first one is sent.
    pub(super) async fn call_bound(&self, calls: &[Call]) -> Result<Vec<Result<Value>>> {
        let Some(first) = calls.first() else { return Ok(Vec::new()) };
        let within = self.limits().write_timeout;
        let mut node = self.shared.node_of(first.slot, within).await?;
        let mut is_asking = false;
        for _ in 0..=DETOURS_MAX {
            let answers = match is_asking {
                false => node.single.call_bound(&pipeline(calls)).await,
                true => {
                    let commands = asking(calls.iter().map(|call| &call.command));
                    node.single.call_bound(&commands).await.map(asked)
                }
            };
            self.shared.heard(&node, &answers);
            let answers = answers?;
            let Some(answer) = answers.first() else { return Err(error::strange_reply()) };
            self.shared.heard(&node, answer);
            (node, is_asking) = match detour(answer, &node.endpoint) {
                None => return Ok(answers),
                Some(Detour::Moved(to)) => (self.shared.node_at(&to), false),
                Some(Detour::Asked(to)) => (self.shared.node_at(&to), true),
                Some(Detour::Again) => {
                    sleep(AGAIN).await;
                    (node, is_asking)
                }
            };
        }
        Err(astray())
    }

    pub(super) async fn list(
        &self,
        shard: u32,
        cursor: u64,
        pattern: &[u8],
        count: usize,
    ) -> Result<Listed> {
        self.shared.found(self.limits().read_timeout).await?;
        let node = self.shared.nodes().get(shard as usize).cloned();
        let node = node.ok_or_else(|| {
            let text = "the cluster has fewer shards than when the scan began; begin it anew";
            Error::new(ErrorKind::Unavailable, text).with("shard", shard)
        })?;
        let listed = node.single.list(cursor, pattern, count).await;
        self.shared.heard(&node, &listed);
        listed
    }

    /// Loads code at every node that may be asked for the slot: at all of them, since a slot that
    /// is on its way is served by two. What the slot's own master answers counts.
    pub(super) async fn load(&self, slot: u16, command: &Cmd) -> Result<Value> {
        let own = self.shared.node_of(slot, self.limits().write_timeout).await?;
        let mut loads = JoinSet::new();
        for node in self.shared.nodes().into_iter().chain(self.shared.strangers()) {
            // One that does not answer is loaded when it does, and asked for it.
            if node.id == own.id || node.is_doubted.load(Ordering::Relaxed) {
                continue;
            }
            let command = command.clone();
            loads.spawn(async move { node.single.call(&command, 0).await.map(drop) });
        }
        let answer = own.single.call(command, 0).await;
        self.shared.heard(&own, &answer);
        while loads.join_next().await.is_some() {}
        answer
    }

    pub(super) fn node(&self, slot: u16) -> u32 {
        self.shared.shard_of(slot) as u32
    }

    pub(super) fn nodes(&self) -> u32 {
        self.shared.shards().max(1) as u32
    }

    /// Asks every shard whether it is there, and names those that are not.
    pub(super) async fn health(&self, within: Duration) -> BackendHealth {
        if let Err(why) = self.shared.found(within).await {
            return BackendHealth::Down(why.to_string());
        }
        let mut asked = JoinSet::new();
        let nodes = self.shared.nodes();
        for (shard, node) in nodes.iter().cloned().enumerate() {
            asked.spawn(async move {
                let answer = timeout(within, node.single.ping()).await;
                (shard, matches!(answer, Ok(Ok(()))))
            });
        }
        let mut silent = BTreeMap::new();
        while let Some(answered) = asked.join_next().await {
            if let Ok((shard, false)) = answered {
                silent.insert(shard, nodes[shard].endpoint.to_string());
            }
        }
        let shards: Vec<String> =
            silent.iter().map(|(shard, master)| format!("{shard} ({master})")).collect();
        match shards.len() {
            0 => BackendHealth::Up,
            count if count == nodes.len() => BackendHealth::Down("no shard answers".into()),
            _ => BackendHealth::Degraded(format!("shards do not answer: {}", shards.join(", "))),
        }
    }

    pub(super) fn close(&self) {
        self.driver.abort();
        self.shared.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// The nodes of slots, each with the places of its slots in their order.
    async fn by_node(
        &self,
        slots: impl Iterator<Item = u16>,
        within: Duration,
    ) -> Result<Vec<(Arc<Node>, Vec<usize>)>> {
        let mut groups: BTreeMap<watchdog::LinkId, (Arc<Node>, Vec<usize>)> = BTreeMap::new();
        for (place, slot) in slots.enumerate() {
            let node = self.shared.node_of(slot, within).await?;
            groups.entry(node.id).or_insert_with(|| (node, Vec::new())).1.push(place);
        }
        Ok(groups.into_values().collect())
    }

    /// The answer to a read, fetched elsewhere when the node sent us there.
    async fn settle(&self, key: &StoredKey, node: &Arc<Node>, answer: Answer) -> Answer {
        let Some(way) = detour(&answer, &node.endpoint) else { return answer };
        let command = redis::cmd("GET").arg(RedisKey::of(key)).to_owned();
        bytes_of(Box::pin(self.follow(node, way, &command, 0)).await?)
    }

    /// Makes a call where it was sent, and follows it further. Callers box it: it is rare, and
    /// what it needs would make every call larger.
    #[cold]
    async fn follow(
        &self,
        from: &Arc<Node>,
        mut way: Detour,
        command: &Cmd,
        payload: usize,
    ) -> Result<Value> {
        let mut node = Arc::clone(from);
        for _ in 0..DETOURS_MAX {
            let answer = match way {
                Detour::Moved(to) => {
                    node = self.shared.node_at(&to);
                    node.single.call(command, payload).await
                }
                Detour::Asked(to) => {
                    node = self.shared.node_at(&to);
                    let answers = node.single.call_all(&asking([command]), payload).await;
                    answers.and_then(|answers| asked(answers).pop().unwrap_or_else(|| Err(lost())))
                }
                Detour::Again => {
                    sleep(AGAIN).await;
                    node.single.call(command, payload).await
                }
            };
            self.shared.heard(&node, &answer);
            match detour(&answer, &node.endpoint) {
                Some(next) => way = next,
                None => return answer,
            }
        }
        Err(astray())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

/// Each command behind the leave to ask a node for a slot that is on its way to it. In one
/// pipeline, because the leave is for the next command of the connection, whoever sends it.
fn asking<'a>(commands: impl IntoIterator<Item = &'a Cmd>) -> Pipeline {
    let mut pipeline = redis::pipe();
    for command in commands {
        pipeline.cmd("ASKING").add_command(command.clone());
    }
    pipeline
}

/// The answers to the commands, without those to the leave before each.
fn asked<T>(answers: Vec<T>) -> Vec<T> {
    answers.into_iter().skip(1).step_by(2).collect()
}

fn astray() -> Error {
    let text = "the nodes of the cluster send the call from one to the other";
    Error::new(ErrorKind::Unavailable, text).with("detours", DETOURS_MAX)
}

fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "the call was lost on its way")
}
