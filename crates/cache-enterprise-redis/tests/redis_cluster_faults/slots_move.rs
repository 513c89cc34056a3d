//! Slots move from node to node, also to one that nobody knew, while callers read and write what
//! lies in them. No call fails and nothing that was acknowledged is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use cache_enterprise_core::{Backend, KeySpace, OpContext, Put, Sequence, StoredKey};
use cache_enterprise_redis::Redis;
use cache_enterprise_testkit::servers::RedisCluster;
use cache_enterprise_testkit::wait::until_async;
use tokio::task::block_in_place;

use super::traffic::{Fate, Traffic, home, patient};

/// Some hundred a slot, so that a slot is on its way for a while.
const KEYS: u32 = 3_200;
const SLOTS_MOVED: usize = 4;

/// Entries whose newest acknowledged version is known.
struct Ledger {
    backend: Arc<dyn Backend>,
    keys: Vec<StoredKey>,
    acknowledged: Vec<AtomicU64>,
    is_over: AtomicBool,
    rounds: AtomicU64,
}

impl Ledger {
    async fn put(&self, version: u64, places: impl Iterator<Item = usize> + Clone) {
        let how = Put { version: Sequence(version), ..Put::default() };
        let value = Bytes::copy_from_slice(&version.to_be_bytes());
        let items = places.clone().map(|place| (self.keys[place].clone(), value.clone(), how));
        let outcomes = self.backend.put_many(items.collect(), &OpContext::default()).await;
        assert_eq!(outcomes.map(|outcomes| outcomes.len()).unwrap(), places.clone().count());
        for place in places {
            self.acknowledged[place].store(version, Ordering::Release);
        }
    }

    /// Reads all keys in one call, and says what is missing.
    async fn check(&self) {
        let floors: Vec<u64> =
            self.acknowledged.iter().map(|version| version.load(Ordering::Acquire)).collect();
        let found = self.backend.get_many(&self.keys, &OpContext::default()).await.unwrap();
        for ((key, floor), value) in self.keys.iter().zip(floors).zip(found) {
            let value = value.unwrap_or_else(|| panic!("{key} is missing, it had {floor}"));
            let version = u64::from_be_bytes(value[..].try_into().unwrap());
            assert!(version >= floor, "{key}: {version} after {floor} was acknowledged");
        }
    }

    async fn run(self: Arc<Self>) {
        let mut version = 1;
        while !self.is_over.load(Ordering::Relaxed) {
            version += 1;
            let first = version as usize % 16;
            self.put(version, (first..self.keys.len()).step_by(16)).await;
            self.check().await;
            self.rounds.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn filled(backend: &Arc<dyn Backend>) -> Arc<Ledger> {
    // Apart from the keys of the traffic: both number their versions from 1.
    let space = KeySpace::new("faults", "moved", "entries").unwrap();
    let ledger = Ledger {
        backend: Arc::clone(backend),
        keys: (0..KEYS).map(|number| space.key(&number).unwrap()).collect(),
        acknowledged: (0..KEYS).map(|_| AtomicU64::new(0)).collect(),
        is_over: AtomicBool::new(false),
        rounds: AtomicU64::new(0),
    };
    ledger.put(1, 0..KEYS as usize).await;
    Arc::new(ledger)
}

/// How often the nodes answered with this error.
fn errors(servers: &RedisCluster, code: &str) -> u64 {
    let field = format!("errorstat_{code}:count=");
    let count = |printed: String| -> u64 {
        let line = printed.lines().find_map(|line| line.trim().strip_prefix(&field)?.parse().ok());
        line.unwrap_or(0)
    };
    servers.running().map(|node| count(node.cli(&["INFO", "errorstats"]))).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_and_nothing_acknowledged_is_missing() {
    let _alone = super::alone().await;
    let mut servers = RedisCluster::start(3, 0);
    let redis = patient(Redis::cluster(servers.urls()).unwrap());
    let backend: Arc<dyn Backend> = redis.open().await.unwrap();
    let ledger = filled(&backend).await;
    let traffic = Traffic::on(&backend, "moved");
    let run = tokio::spawn(Arc::clone(&ledger).run());

    // The new node has neither slots nor functions, and no client heard of it.
    let fresh = block_in_place(|| servers.add_node().address());
    let mut moved: Vec<(u16, StoredKey)> = Vec::new();
    for key in &ledger.keys {
        let (_, slot) = match moved.len() {
            SLOTS_MOVED => break,
            _ => block_in_place(|| home(&servers, key)),
        };
        if moved.iter().all(|(known, _)| *known != slot) {
            moved.push((slot, key.clone()));
        }
    }
    for (slot, _) in &moved {
        let migration = block_in_place(|| servers.migrate(*slot, &fresh));
        let asked = block_in_place(|| errors(&servers, "ASK"));
        while block_in_place(|| migration.move_keys(5)) > 0 {}
        let sent_on = async || block_in_place(|| errors(&servers, "ASK")) > asked;
        until_async("calls are sent on while the slot is on its way", sent_on).await;
        block_in_place(|| migration.finish());
    }
    until_async("the new shard is known", async || backend.nodes() == 4).await;
    let shard = backend.node(&moved[0].1);
    until_async("all moved keys are of it", async || {
        moved.iter().all(|(_, key)| backend.node(key) == shard)
    })
    .await;

    // Every node forgets its functions, and one slot goes back to a node that is known.
    block_in_place(|| {
        servers.running().for_each(|node| assert_eq!(node.cli(&["FUNCTION", "FLUSH"]), "OK"));
        let old = servers.nodes()[0].address();
        servers.migrate(moved[0].0, &old).finish();
    });
    let rounds = ledger.rounds.load(Ordering::Relaxed);
    until_async("callers go on", async || ledger.rounds.load(Ordering::Relaxed) > rounds + 5).await;
    until_async("the slot is back", async || backend.node(&moved[0].1) != shard).await;

    ledger.is_over.store(true, Ordering::Relaxed);
    run.await.unwrap();
    ledger.check().await;
    let calls = traffic.end().await;
    let (asked, sent) = block_in_place(|| (errors(&servers, "ASK"), errors(&servers, "MOVED")));
    let again = block_in_place(|| errors(&servers, "TRYAGAIN"));
    println!("ASK {asked}, MOVED {sent}, TRYAGAIN {again} times");
    assert!(asked > 0 && sent > 0, "the calls met the moves");
    for fate in (0..3).map(|shard| Fate::of(shard, &calls)) {
        println!("{fate}");
        assert_eq!((&fate.failed[..], &fate.lost[..]), (&[][..], &[][..]), "{fate}");
    }
}
