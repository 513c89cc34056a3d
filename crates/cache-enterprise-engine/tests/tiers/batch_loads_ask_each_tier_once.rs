//! `get_many_with` above tiers: one call a tier to read, one loader call, one call a tier to write.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, Capabilities, Clock, Error, ErrorKind, OpContext, Put, PutOutcome, Result, Sequence,
    StoredKey, mins, secs,
};
use cache_enterprise_engine::{
    Cache, CacheManager, CacheSpec, Failover, LoadError, ManagerBuilder, Missing, Tier,
};
use cache_enterprise_serializers::MessagePack;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::builder;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).hard_timeout(secs(2));

/// A backend with two nodes that counts its calls, a batch as one, and fails when told to.
#[derive(Debug, Default)]
struct Counting {
    values: Mutex<HashMap<StoredKey, Bytes>>,
    reads: AtomicU64,
    writes: AtomicU64,
    fails: AtomicBool,
}

impl Counting {
    fn note(&self, counter: &AtomicU64) -> Result<()> {
        counter.fetch_add(1, Ordering::SeqCst);
        match self.fails.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "the script says so")),
            false => Ok(()),
        }
    }

    /// Calls to read and to write since the last look.
    fn calls(&self) -> [u64; 2] {
        [&self.reads, &self.writes].map(|counter| counter.swap(0, Ordering::SeqCst))
    }

    fn len(&self) -> usize {
        self.values.lock().len()
    }
}

#[async_trait]
impl Backend for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn node(&self, key: &StoredKey) -> u32 {
        u32::from(key.as_str().as_bytes().last().is_some_and(|last| last % 2 == 1))
    }

    fn nodes(&self) -> u32 {
        2
    }

    async fn get(&self, key: &StoredKey, _: &OpContext) -> Result<Option<Bytes>> {
        self.note(&self.reads)?;
        Ok(self.values.lock().get(key).cloned())
    }

    async fn get_many(&self, keys: &[StoredKey], _: &OpContext) -> Result<Vec<Option<Bytes>>> {
        self.note(&self.reads)?;
        let values = self.values.lock();
        Ok(keys.iter().map(|key| values.get(key).cloned()).collect())
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        _: Put,
        _: &OpContext,
    ) -> Result<PutOutcome> {
        self.note(&self.writes)?;
        self.values.lock().insert(key.clone(), value);
        Ok(PutOutcome::Stored)
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        _: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        self.note(&self.writes)?;
        let stored = items.iter().map(|_| PutOutcome::Stored).collect();
        self.values.lock().extend(items.into_iter().map(|(key, value, _)| (key, value)));
        Ok(stored)
    }

    async fn remove(&self, key: &StoredKey, _: Sequence, _: &OpContext) -> Result<bool> {
        Ok(self.values.lock().remove(key).is_some())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A cache above two tiers.
struct World {
    cache: Cache<u64, u64>,
    upper: Arc<Counting>,
    lower: Arc<Counting>,
    _manager: CacheManager<MessagePack>,
}

async fn world(clock: &Clock, told: impl FnOnce(ManagerBuilder) -> ManagerBuilder) -> World {
    let (upper, lower) = (Arc::<Counting>::default(), Arc::<Counting>::default());
    let (l2, l3) = (Tier::new(Arc::clone(&upper)).bare(), Tier::new(Arc::clone(&lower)).bare());
    let builder = told(builder(clock)).l2(l2).l3(l3).codec(MessagePack);
    let manager = builder.build().await.unwrap();
    let cache = manager.open(&SPEC).unwrap();
    World { cache, upper, lower, _manager: manager }
}

/// The tenfold of every key.
fn tenfold(keys: &[u64]) -> Vec<(u64, u64)> {
    keys.iter().map(|key| (*key, key * 10)).collect()
}

#[tokio::test]
async fn a_cold_batch_reads_and_writes_each_node_of_each_tier_once() {
    let World { cache, upper, lower, _manager } = world(&Clock::manual(), |same| same).await;
    let load = |missing: Missing<u64>| async move { tenfold(&missing) };
    let loaded = cache.get_many_with(0_u64..100, load).await;
    assert_eq!(loaded.values().count(), 100);
    assert_eq!(cache.stats().loads, 1);
    for tier in [&upper, &lower] {
        assert_eq!((tier.calls(), tier.len()), ([2, 2], 100), "two nodes, a call each");
    }
}

#[tokio::test]
async fn what_the_deepest_tier_holds_is_not_loaded_and_climbs_together() {
    let World { cache, upper, lower, _manager } = world(&Clock::manual(), |same| same).await;
    cache.set_many((0..50_u64).map(|key| (key, key))).await;
    cache.drop_level1();
    upper.values.lock().clear();
    upper.calls();
    lower.calls();
    let load = |missing: Missing<u64>| async move {
        assert_eq!(missing.keys(), (50..100).collect::<Vec<_>>());
        tenfold(&missing)
    };
    let loaded = cache.get_many_with(0_u64..100, load).await.into_values().unwrap();
    let sum: u64 = loaded.into_iter().map(|value| *value.unwrap()).sum();
    assert_eq!(sum, (0..50).sum::<u64>() + (50..100).map(|key| key * 10).sum::<u64>());
    assert_eq!(lower.calls(), [2, 2]);
    assert_eq!(upper.calls(), [2, 4], "what climbs, and then what was loaded");
    assert_eq!(upper.len(), 100);
}

#[tokio::test]
async fn a_failing_tier_costs_its_copies_and_no_key() {
    let World { cache, upper, lower, _manager } = world(&Clock::manual(), |same| same).await;
    upper.fails.store(true, Ordering::SeqCst);
    let load = |missing: Missing<u64>| async move { tenfold(&missing) };
    let loaded = cache.get_many_with([1_u64, 2], load).await;
    assert_eq!(loaded.values().count(), 2);
    assert_eq!([upper.len(), lower.len()], [0, 2]);
}

#[tokio::test]
async fn a_failing_tier_is_the_error_of_its_keys_where_that_ends_the_call() {
    let fast = |builder: ManagerBuilder| builder.failover(Failover::FailFast);
    let World { cache, upper, _manager, .. } = world(&Clock::manual(), fast).await;
    cache.set(&1, 1_u64).into_future().await;
    upper.fails.store(true, Ordering::SeqCst);
    let load = |missing: Missing<u64>| async move { tenfold(&missing) };
    let loaded = cache.get_many_with([1_u64, 2, 3], load).await;
    assert_eq!(loaded.values().count(), 1, "level 1 holds one");
    assert!(loaded.errors().all(|(_, error)| matches!(error, LoadError::Cache(_))));
    assert_eq!(loaded.errors().count(), 2);
}

#[tokio::test]
async fn what_is_removed_during_the_load_reaches_no_tier() {
    let World { cache, upper, lower, _manager } = world(&Clock::manual(), |same| same).await;
    let (answer, origin) = oneshot::channel::<()>();
    let (begin, begun) = oneshot::channel::<()>();
    let batch = tokio::spawn({
        let cache = cache.clone();
        let mut ends = Some((begin, origin));
        async move {
            let load = |missing: Missing<u64>| {
                let (begin, origin) = ends.take().unwrap();
                async move {
                    begin.send(()).unwrap();
                    origin.await.unwrap();
                    tenfold(&missing)
                }
            };
            cache.get_many_with([1_u64, 2], load).await.values().count()
        }
    });
    begun.await.unwrap();
    cache.remove(&1).await;
    answer.send(()).unwrap();
    assert_eq!(batch.await.unwrap(), 2, "the caller gets both");
    assert_eq!(cache.keys(), [2]);
    assert_eq!([upper.len(), lower.len()], [1, 1]);
}
