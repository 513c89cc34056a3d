//! One server, found by its address or through sentinels.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{Error, ErrorKind, Result, StoredKey};
use redis::{Cmd, Pipeline, Value};

use super::bound::Bound;
use super::cluster::groups::Groups;
use super::door::{Delays, Door, Place};
use super::lane::{Lane, Ways, Wire};
use super::policy::{LARGE_BYTES, Policy};
use super::reader::Answer;
use super::sizes::Sizes;
use super::{Listed, batches, bytes_of};
use crate::config::Limits;
use crate::error;
use crate::key::RedisKey;

/// Connections to one server: one for reads and small writes, one for what is large, one for what
/// is asked beside reads, a pool for calls that need one to themselves.
pub(crate) struct Single {
    lanes: Lanes,
    door: Arc<Door>,
    /// For questions that are asked beside reads, opened with the first one.
    beside: OnceLock<Lane>,
    bound: Bound,
    sizes: Sizes,
    limits: Limits,
    /// A server that turns out to be a replica means that the primary is another by now.
    follows: bool,
}

/// The two connections that all calls share.
struct Lanes {
    hot: Lane,
    bulk: Lane,
    read_timeout: Duration,
    policy: Policy,
}

impl Single {
    pub(crate) fn new(door: Arc<Door>, bound: Bound, limits: Limits) -> Self {
        Self::with(door, bound, limits, false)
    }

    /// A node of a cluster.
    pub(crate) fn of_cluster(door: Arc<Door>, bound: Bound, limits: Limits) -> Self {
        Self::with(door, bound, limits, true)
    }

    fn with(door: Arc<Door>, bound: Bound, limits: Limits, by_slot: bool) -> Self {
        let policy = Policy::new(limits.pipeline_size, by_slot);
        let (delays, read_timeout) = (Delays::May, Some(limits.read_timeout));
        let hot = Ways { delays, read_timeout, policy };
        let bulk = Ways { delays: Delays::MayNot, read_timeout: None, policy };
        let lanes = Lanes {
            hot: Lane::new(Arc::clone(&door), hot),
            bulk: Lane::new(Arc::clone(&door), bulk),
            read_timeout: limits.read_timeout,
            policy,
        };
        let (beside, sizes) = (OnceLock::new(), Sizes::default());
        let follows = matches!(door.place, Place::Primary { .. });
        Self { lanes, door, beside, bound, sizes, limits, follows }
    }

    pub(crate) async fn connected(&self) -> Result<()> {
        // A connection opens within its timeout or fails; the second one is for the pause between.
        let within = self.limits.connect_timeout * 2;
        self.lanes.hot.wire(within).await?;
        self.lanes.bulk.wire(within).await.map(drop)
    }

    pub(crate) async fn get(&self, key: &StoredKey) -> Answer {
        let expected = self.sizes.expected(key);
        let answer = if expected >= LARGE_BYTES {
            // Large values can pay for a box, which keeps the futures of small ones small.
            Box::pin(self.lanes.fetch_aside(key)).await
        } else {
            self.lanes.fetch(key, expected).await
        };
        if let Ok(Some(record)) = &answer {
            self.sizes.learn(key, record.len());
        }
        answer
    }

    pub(crate) async fn get_many(&self, keys: &[StoredKey]) -> Result<Vec<Option<Bytes>>> {
        let mut found = Vec::with_capacity(keys.len());
        for (chunk, expected) in self.chunks(keys) {
            let records = self.lanes.fetch_chunk(chunk, expected).await?;
            self.learn(chunk, records.iter().map(Option::as_ref));
            found.extend(records);
        }
        Ok(found)
    }

    /// As `get_many` where each key has an answer of its own.
    pub(crate) async fn get_each(&self, keys: &[StoredKey]) -> Vec<Answer> {
        let mut found = Vec::with_capacity(keys.len());
        for (chunk, expected) in self.chunks(keys) {
            let answers = self.lanes.fetch_each(chunk, expected).await;
            let records = answers.iter().map(|answer| answer.as_ref().ok()?.as_ref());
            self.learn(chunk, records);
            found.extend(answers);
        }
        found
    }

    /// Keys that travel together, and the bytes that each of their replies is expected to have.
    fn chunks<'a>(
        &'a self,
        keys: &'a [StoredKey],
    ) -> impl Iterator<Item = (&'a [StoredKey], usize)> + 'a {
        let mut rest = keys;
        std::iter::from_fn(move || {
            let expected = self.sizes.expected(rest.first()?);
            let count = self.lanes.policy.keys(expected).min(rest.len());
            let (chunk, others) = rest.split_at(count);
            rest = others;
            Some((chunk, expected))
        })
    }

    fn learn<'a>(&self, keys: &[StoredKey], records: impl Iterator<Item = Option<&'a Bytes>>) {
        for (key, record) in keys.iter().zip(records) {
            if let Some(record) = record {
                self.sizes.learn(key, record.len());
            }
        }
    }

    pub(crate) async fn call(&self, command: &Cmd, payload: usize) -> Result<Value> {
        let wire = self.lanes.for_write(payload, self.limits.write_timeout).await?;
        let answer = wire.send(command, self.limits.write_timeout).await;
        self.noticed(&wire, &answer);
        answer
    }

    pub(crate) async fn call_all(
        &self,
        commands: &Pipeline,
        payload: usize,
    ) -> Result<Vec<Result<Value>>> {
        let wire = self.lanes.for_write(payload, self.limits.write_timeout).await?;
        let answers = wire.send_all(commands, self.limits.write_timeout).await?;
        for answer in &answers {
            self.noticed(&wire, answer);
        }
        Ok(answers)
    }

    pub(crate) async fn call_bound(&self, commands: &Pipeline) -> Result<Vec<Result<Value>>> {
        let wire = self.lanes.hot.wire(self.limits.write_timeout).await?;
        let answers = self.bound.call_all(wire.endpoint(), commands).await?;
        for answer in &answers {
            self.noticed(&wire, answer);
        }
        Ok(answers)
    }

    pub(crate) async fn list(&self, cursor: u64, pattern: &[u8], count: usize) -> Result<Listed> {
        let mut scan = redis::pipe();
        scan.cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(count);
        let answer = self.call_bound(&scan).await?.pop().ok_or_else(error::strange_reply)?;
        Listed::read(answer?)
    }

    /// Opens further connections to the same server.
    pub(crate) fn door(&self) -> Arc<Door> {
        Arc::clone(&self.door)
    }

    /// A connection on which nothing is held back. On that of the reads the kernel keeps a second
    /// small command until the first is acknowledged, which takes as long as its answer: what is
    /// asked beside a read would come a round trip after it.
    async fn beside(&self) -> Result<Wire> {
        if self.is_closed() {
            return Err(error::closed());
        }
        let within = self.limits.read_timeout;
        let (delays, read_timeout, policy) = (Delays::MayNot, Some(within), self.lanes.policy);
        let open = || Lane::new(Arc::clone(&self.door), Ways { delays, read_timeout, policy });
        let lane = self.beside.get_or_init(open);
        if self.is_closed() {
            // Closed meanwhile, by somebody who did not see it.
            lane.close();
        }
        lane.wire(within).await
    }

    /// One question, and which process of the server answered it.
    pub(crate) async fn ask(&self, question: &Cmd) -> Result<(Value, u64)> {
        let wire = self.beside().await?;
        // The first time a round trip, from then on nothing.
        let run = wire.run().await?;
        Ok((wire.read(question).await?, run))
    }

    /// As [`Link::ask_both`](super::Link::ask_both).
    pub(crate) async fn ask_both(&self, questions: [&Cmd; 2]) -> Result<[(Value, u64); 2]> {
        let wire = self.beside().await?;
        let run = wire.run().await?;
        Ok(wire.read_both(questions).await?.map(|answer| (answer, run)))
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        let wire = self.lanes.hot.wire(self.limits.read_timeout).await?;
        wire.read(&redis::cmd("PING")).await.map(drop)
    }

    /// Leaves a server that refuses a write as a replica does, where there is another to find: with
    /// every connection, since those that only read are told nothing.
    fn noticed<T>(&self, wire: &Wire, answer: &Result<T>) {
        let refused = |fault: &Error| {
            fault.kind() == ErrorKind::Unavailable
                && fault.context().any(|pair| pair == ("code", "READONLY"))
        };
        if self.follows && answer.as_ref().err().is_some_and(refused) {
            let lanes = [&self.lanes.hot, &self.lanes.bulk];
            lanes.into_iter().chain(self.beside.get()).for_each(|lane| lane.leave(wire.endpoint()));
        }
    }

    pub(crate) fn close(&self) {
        self.lanes.hot.close();
        self.lanes.bulk.close();
        if let Some(lane) = self.beside.get() {
            lane.close();
        }
        self.bound.close();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lanes.hot.is_closed()
    }
}

impl Lanes {
    async fn for_write(&self, payload: usize, within: Duration) -> Result<Wire> {
        let lane = if payload >= LARGE_BYTES { &self.bulk } else { &self.hot };
        lane.wire(within).await
    }

    async fn hot_wire(&self) -> Result<Wire> {
        self.hot.wire(self.read_timeout).await
    }

    async fn fetch(&self, key: &StoredKey, expected: usize) -> Answer {
        let wire = self.hot_wire().await?;
        let asking = wire.ask();
        if self.policy.gathers(expected, asking.callers) {
            wire.get(key, expected).await
        } else {
            batches::get(&wire, key).await
        }
    }

    async fn fetch_aside(&self, key: &StoredKey) -> Answer {
        let wire = self.bulk.wire(self.read_timeout).await?;
        let command = redis::cmd("GET").arg(RedisKey::of(key)).to_owned();
        bytes_of(wire.send(&command, self.read_timeout).await?)
    }

    async fn fetch_chunk(&self, keys: &[StoredKey], expected: usize) -> Result<Vec<Option<Bytes>>> {
        let command = batches::mget(keys);
        let reply = match expected >= LARGE_BYTES {
            false => self.hot_wire().await?.read(&command).await?,
            true => {
                let wire = self.bulk.wire(self.read_timeout).await?;
                wire.send(&command, self.read_timeout).await?
            }
        };
        batches::found(reply, keys.len())
    }

    /// An answer each. What fails for one slot of a cluster fails for no other.
    async fn fetch_each(&self, keys: &[StoredKey], expected: usize) -> Vec<Answer> {
        let answers = match self.policy.by_slot {
            true => self.fetch_groups(keys, expected).await,
            false => {
                let records = self.fetch_chunk(keys, expected).await;
                records.map(|records| records.into_iter().map(Ok).collect())
            }
        };
        batches::each(keys, answers)
    }

    async fn fetch_groups(&self, keys: &[StoredKey], expected: usize) -> Result<Vec<Answer>> {
        if expected < LARGE_BYTES {
            return batches::by_groups(&self.hot_wire().await?, keys).await;
        }
        let groups = Groups::of(keys);
        let wire = self.bulk.wire(self.read_timeout).await?;
        Ok(groups.scatter(wire.send_all(&groups.pipeline(), self.read_timeout).await?))
    }
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lanes { hot, bulk, .. } = &self.lanes;
        f.debug_struct("Single").field("hot", hot).field("bulk", bulk).finish_non_exhaustive()
    }
}
