//! Calls to every shard of a cluster, written down while something happens to it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache_enterprise_core::{
    Backend, KeySpace, OpContext, Put, PutOutcome, Sequence, StoredKey, ms, secs,
};
use cache_enterprise_redis::Redis;
use cache_enterprise_testkit::servers::{RedisCluster, RedisServer};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Tasks a shard that write a key and read it back, each with a key of its own.
const WRITERS: usize = 4;
/// Time between the beginnings of two rounds of a writer.
const PACE: Duration = ms(3);

/// The backend of a cluster. It waits less than an election takes, and more than a busy machine
/// makes healthy nodes wait.
pub(crate) fn backend_of(cluster: &RedisCluster) -> Redis {
    Redis::cluster(cluster.urls()).unwrap().read_timeout(secs(3)).write_timeout(secs(3))
}

/// A backend that a busy machine makes wait and not fail: for stories in which nothing hangs.
pub(crate) fn patient(redis: Redis) -> Redis {
    redis.connect_timeout(secs(20)).read_timeout(secs(20)).write_timeout(secs(20))
}

/// `count` keys of the shard with this number, of this tenant.
pub(crate) fn keys_of(
    backend: &dyn Backend,
    tenant: &str,
    shard: u32,
    count: usize,
) -> Vec<StoredKey> {
    let space = KeySpace::new("faults", tenant, "users").unwrap();
    let keys = (0_u32..).map(|number| space.key(&number).unwrap());
    keys.filter(|key| backend.node(key) == shard).take(count).collect()
}

/// Where a key lies: the master that has it, and its slot. The key has to be there.
pub(crate) fn home<'a>(cluster: &'a RedisCluster, key: &StoredKey) -> (&'a RedisServer, u16) {
    let found = cluster.running().find_map(|node| {
        let is_master = node.cli(&["ROLE"]).starts_with("master");
        let listed = node.cli(&["KEYS", "*"]);
        let stored = listed.lines().find(|line| line.ends_with(key.as_str()))?.to_owned();
        is_master.then_some((node, stored))
    });
    let (node, stored) = found.expect("a master has the key");
    (node, cluster.slot_of(&stored))
}

/// What became of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Failed(String),
    /// A read gave less than a write before it had acknowledged.
    Lost(String),
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) shard: u32,
    /// Since the traffic began.
    pub(crate) ended: Duration,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

/// Writers and readers on every shard.
pub(crate) struct Traffic {
    began: Instant,
    is_over: Arc<AtomicBool>,
    calls: Arc<parking_lot::Mutex<Vec<Call>>>,
    writers: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Starts on the shards there are now.
    pub(crate) fn on(backend: &Arc<dyn Backend>, tenant: &str) -> Self {
        let mut traffic = Self {
            began: Instant::now(),
            is_over: Arc::default(),
            calls: Arc::default(),
            writers: Vec::new(),
        };
        for shard in 0..backend.nodes() {
            for key in keys_of(&**backend, tenant, shard, WRITERS) {
                let writer = Writer {
                    backend: Arc::clone(backend),
                    key,
                    shard,
                    began: traffic.began,
                    calls: Arc::clone(&traffic.calls),
                    acknowledged: 0,
                };
                traffic.writers.push(tokio::spawn(writer.run(Arc::clone(&traffic.is_over))));
            }
        }
        traffic
    }

    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The calls of a shard that ended after a moment.
    pub(crate) fn of(&self, shard: u32, after: Duration) -> Vec<Call> {
        let calls = self.calls.lock();
        calls.iter().filter(|c| c.shard == shard && c.ended > after).cloned().collect()
    }

    /// Answers of a shard after a moment.
    pub(crate) fn answered(&self, shard: u32, after: Duration) -> usize {
        self.of(shard, after).iter().filter(|call| call.outcome == Outcome::Answered).count()
    }

    /// Ends it and gives every call.
    pub(crate) async fn end(self) -> Vec<Call> {
        self.is_over.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.expect("a writer does not panic");
        }
        std::mem::take(&mut self.calls.lock())
    }
}

/// How a shard fared.
pub(crate) struct Fate {
    pub(crate) shard: u32,
    pub(crate) calls: usize,
    pub(crate) failed: Vec<String>,
    pub(crate) lost: Vec<String>,
    pub(crate) longest: Duration,
    /// The first answer after the last failure.
    pub(crate) back: Option<Duration>,
}

impl Fate {
    pub(crate) fn of(shard: u32, calls: &[Call]) -> Self {
        let calls: Vec<&Call> = calls.iter().filter(|call| call.shard == shard).collect();
        let last = calls.iter().rposition(|call| matches!(call.outcome, Outcome::Failed(_)));
        let back = last.and_then(|last| {
            let mut after = calls[last + 1..].iter();
            after.find(|call| call.outcome == Outcome::Answered).map(|call| call.ended)
        });
        let text = |pick: fn(&Outcome) -> Option<&String>| {
            calls.iter().filter_map(|call| pick(&call.outcome).cloned()).collect()
        };
        Self {
            shard,
            calls: calls.len(),
            failed: text(|outcome| match outcome {
                Outcome::Failed(why) => Some(why),
                _ => None,
            }),
            lost: text(|outcome| match outcome {
                Outcome::Lost(what) => Some(what),
                _ => None,
            }),
            longest: calls.iter().map(|call| call.took).max().unwrap_or_default(),
            back,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "shard {}: {} calls, {} failed, {} lost, longest {:?}",
            self.shard,
            self.calls,
            self.failed.len(),
            self.lost.len(),
            self.longest
        )?;
        if let Some(back) = self.back {
            write!(f, ", back at {back:?}")?;
        }
        match self.failed.first() {
            Some(why) => write!(f, "; first: {why}"),
            None => Ok(()),
        }
    }
}

struct Writer {
    backend: Arc<dyn Backend>,
    key: StoredKey,
    shard: u32,
    began: Instant,
    calls: Arc<parking_lot::Mutex<Vec<Call>>>,
    /// What a read must not fall below. Zero after a failure: a failover may lose the newest.
    acknowledged: u64,
}

impl Writer {
    async fn run(mut self, is_over: Arc<AtomicBool>) {
        let mut version = 0_u64;
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !is_over.load(Ordering::Relaxed) {
            version += 1;
            self.write(version).await;
            self.read().await;
            pace.tick().await;
        }
    }

    async fn write(&mut self, version: u64) {
        let how = Put { version: Sequence(version), ..Put::default() };
        let value = Bytes::copy_from_slice(&version.to_be_bytes());
        let started = Instant::now();
        let put = self.backend.put(&self.key, value, how, &OpContext::default()).await;
        let outcome = match put {
            Ok(PutOutcome::Stored) => {
                self.acknowledged = version;
                Outcome::Answered
            }
            Ok(other) => Outcome::Lost(format!("{} {version}: {other:?}", self.key)),
            Err(why) => self.failed(&why),
        };
        self.note(started, outcome);
    }

    async fn read(&mut self) {
        let started = Instant::now();
        let outcome = match self.backend.get(&self.key, &OpContext::default()).await {
            Ok(found) => {
                let version =
                    found.map_or(0, |bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()));
                match version >= self.acknowledged {
                    true => Outcome::Answered,
                    false => Outcome::Lost(format!(
                        "{}: {version} after {} was acknowledged",
                        self.key, self.acknowledged
                    )),
                }
            }
            Err(why) => self.failed(&why),
        };
        self.note(started, outcome);
    }

    fn failed(&mut self, why: &cache_enterprise_core::Error) -> Outcome {
        self.acknowledged = 0;
        Outcome::Failed(format!("{why:?}"))
    }

    fn note(&self, started: Instant, outcome: Outcome) {
        let call = Call {
            shard: self.shard,
            ended: self.began.elapsed(),
            took: started.elapsed(),
            outcome,
        };
        self.calls.lock().push(call);
    }
}
