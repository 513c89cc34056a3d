//! A server that dies, and the tier, the epochs and the bus with it, is bridged by level 1 for as
//! long as its manager believes silence: the origin is asked no more than before. What is over
//! then is loaded by a few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise_core::{ErrorKind, mins, secs};
use cache_enterprise_engine::{CacheManager, CacheSpec};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode};
use cache_enterprise_testkit::coherence::Link;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::{Fleet, Process};

const KEYS: u64 = 100;
const LOADS_MAX: u32 = 4;

static MINUTES: CacheSpec<u64, u64> = CacheSpec::new("minutes").ttl(mins(1)).loads_max(LOADS_MAX);

/// A process on one server, with all that stands between a manager and a tier.
struct Served {
    fleet: Fleet,
    process: Process,
    tier: Arc<ChaosBackend>,
    loads: AtomicU64,
}

impl Served {
    /// One that believes silence for so long.
    async fn new(unsure_max: Duration) -> Self {
        let fleet = Fleet::new();
        let (epochs, bus) = (fleet.epochs.another(), fleet.bus.another());
        let (tier, level) = fleet.chaotic_tier(&epochs);
        let manager = CacheManager::builder("fleet")
            .clock(fleet.clock.clone())
            .l2(level)
            .codec(MessagePack)
            .bus(bus.clone())
            .unsure_max(unsure_max)
            .build()
            .await
            .unwrap();
        let cache = manager.open(&MINUTES).unwrap();
        let process = Process { manager, cache, epochs, bus };
        process.heard("it listens", || process.bus.listeners("fleet") > 0).await;
        Self { fleet, process, tier, loads: AtomicU64::new(0) }
    }

    /// The server dies, and nothing of it answers.
    fn die(&self) {
        let down = Mode::Fail(ErrorKind::Unavailable);
        self.tier.set(down);
        self.process.epochs.set(down);
        self.process.bus.set(Link::Cut);
    }

    /// Every key is read once a second; how many loads that took.
    async fn loads_in(&self, time: Duration) -> u64 {
        let before = self.loads.load(Ordering::SeqCst);
        for _ in 0..time.as_secs() {
            for key in 0..KEYS {
                let load = || async { self.loads.fetch_add(1, Ordering::SeqCst) };
                self.process.cache.get_with(&key, load).await;
            }
            self.process.pass(&self.fleet, secs(1)).await;
        }
        self.loads.load(Ordering::SeqCst) - before
    }
}

#[tokio::test(start_paused = true)]
async fn while_silence_is_believed_the_origin_is_asked_as_before() {
    let served = Served::new(mins(10)).await;
    let before = served.loads_in(mins(3)).await;
    assert!(before >= 3 * KEYS, "{before} loads of {KEYS} keys that live a minute");
    served.die();
    let meanwhile = served.loads_in(mins(3)).await;
    assert!(meanwhile <= 2 * before, "{meanwhile} loads in the outage, {before} before it");
    assert!(meanwhile >= 2 * KEYS, "their lives end as before");
}

#[tokio::test(start_paused = true)]
async fn when_it_is_believed_no_more_a_few_load_at_a_time() {
    let served = Served::new(secs(1)).await;
    served.loads_in(secs(2)).await;
    served.die();
    served.process.pass(&served.fleet, secs(2)).await;
    let (gate, inside, most) = (Semaphore::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let reads = (0..KEYS).map(async |key| {
        let load = || async {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            inside.fetch_sub(1, Ordering::SeqCst);
            key
        };
        *served.process.cache.get_with(&key, load).await
    });
    let opened = async {
        let fleet = &served.fleet;
        for _ in 0..KEYS {
            gate.add_permits(1);
            served.process.pass(fleet, Duration::from_millis(10)).await;
        }
    };
    let (values, ()) = tokio::join!(join_all(reads), opened);
    assert_eq!(values, (0..KEYS).collect::<Vec<_>>());
    assert_eq!(most.into_inner(), u64::from(LOADS_MAX));
}
