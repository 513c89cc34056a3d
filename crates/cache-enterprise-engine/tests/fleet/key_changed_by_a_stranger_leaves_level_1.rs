//! A bus that watches the server says which keys were changed, by whomever: copies that are older
//! than what stands there end, and so does every copy where nothing of ours stands.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, Heard, Listener, Touched};
use cache_enterprise_core::{Backend, KeySpace, OpContext, Result, Sequence, StoredKey};
use cache_enterprise_engine::Tier;
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::coherence::InProcessBus;
use cache_enterprise_testkit::{ModelBackend, wait};
use tokio::sync::broadcast;

use super::{Fleet, Process, SPEC, builder};

/// A bus with a watch that the test holds.
#[derive(Debug)]
struct Watching {
    bus: InProcessBus,
    watch: broadcast::Sender<Touched>,
}

#[async_trait]
impl Bus for Watching {
    fn name(&self) -> &str {
        self.bus.name()
    }

    async fn publish(&self, manager: &str, frame: Bytes) -> Result<()> {
        self.bus.publish(manager, frame).await
    }

    async fn listen(&self, manager: &str) -> Result<Box<dyn Listener>> {
        let touched = self.watch.subscribe();
        Ok(Box::new(Ear { listener: self.bus.listen(manager).await?, touched }))
    }

    async fn close(&self) -> Result<()> {
        self.bus.close().await
    }
}

#[derive(Debug)]
struct Ear {
    listener: Box<dyn Listener>,
    touched: broadcast::Receiver<Touched>,
}

#[async_trait]
impl Listener for Ear {
    async fn next(&mut self) -> Heard {
        tokio::select! {
            Ok(touched) = self.touched.recv() => Heard::Touched(vec![touched]),
            heard = self.listener.next() => heard,
        }
    }
}

/// A process whose bus watches, over the fleet's tier and perhaps one of its own above it.
struct Watched {
    process: Process,
    watch: broadcast::Sender<Touched>,
}

impl Watched {
    async fn on(fleet: &Fleet, own: Option<&ModelBackend>) -> Self {
        let (epochs, bus) = (fleet.epochs.another(), fleet.bus.another());
        let (watch, _) = broadcast::channel(64);
        let watching = Watching { bus: bus.clone(), watch: watch.clone() };
        let shared = fleet.shared_tier(&epochs);
        let builder = builder(fleet.clock.clone());
        let tiers = match own {
            Some(own) => builder.l2(Tier::new(Arc::new(own.reopened())).bare()).l3(shared),
            None => builder.l2(shared),
        };
        let manager = tiers.codec(MessagePack).bus(watching).build().await.unwrap();
        let cache = manager.open(&SPEC).unwrap();
        let process = Process { manager, cache, epochs, bus };
        process.heard("it listens", || watch.receiver_count() > 0).await;
        Self { process, watch }
    }

    /// Says that the value of a key was changed to one of this version, and waits until it was
    /// heeded.
    async fn touch(&self, key: u64, version: Option<Sequence>) {
        let touched = || self.process.manager.bus_stats().unwrap().touched;
        let before = touched();
        self.watch.send(Touched { key: stored(key), version }).unwrap();
        self.process.heard("the change", || touched() > before).await;
    }

    async fn version(&self, key: u64) -> Sequence {
        self.process.cache.get_entry(&key).await.unwrap().unwrap().version
    }
}

fn stored(key: u64) -> StoredKey {
    KeySpace::new("fleet", "", "numbers").unwrap().key(&key).unwrap()
}

async fn is_held(tier: &ModelBackend, key: u64) -> bool {
    tier.get(&stored(key), &OpContext::default()).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn where_nothing_of_ours_stands_every_copy_is_looked_up_again() {
    let fleet = Fleet::new();
    let watched = Watched::on(&fleet, None).await;
    watched.process.set(1, 10).await;
    watched.process.set(2, 20).await;
    watched.touch(1, None).await;
    let held = || (watched.process.peek(1), watched.process.peek(2));
    watched.process.heard("the copy ends", || held() == (None, Some(20))).await;
}

#[tokio::test(start_paused = true)]
async fn what_stands_there_ends_older_copies_and_not_its_own() {
    let fleet = Fleet::new();
    let watched = Watched::on(&fleet, None).await;
    watched.process.set(1, 10).await;
    let version = watched.version(1).await;
    watched.touch(1, Some(version)).await;
    watched.touch(2, None).await;
    assert_eq!(watched.process.peek(1), Some(10), "its own write ends no copy of it");
    watched.touch(1, Some(Sequence(version.0 + 1))).await;
    watched.process.heard("the copy ends", || watched.process.peek(1).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_load_that_the_change_overtook_stores_nothing() {
    let fleet = Fleet::new();
    let watched = Watched::on(&fleet, None).await;
    let load = || async {
        watched.touch(1, None).await;
        // The next one is heeded behind it.
        watched.touch(2, None).await;
        10_u64
    };
    assert_eq!(*watched.process.cache.get_with(&1, load).await, 10);
    assert_eq!((watched.process.peek(1), watched.process.get(1).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_tier_of_this_process_lets_go_of_it_too() {
    let fleet = Fleet::new();
    let own = ModelBackend::new(fleet.clock.clone());
    let watched = Watched::on(&fleet, Some(&own)).await;
    watched.process.set(1, 10).await;
    assert!(is_held(&own, 1).await && is_held(&fleet.tier, 1).await);
    watched.touch(1, None).await;
    wait::until_async("the tier lets go", async || !is_held(&own, 1).await).await;
    assert!(is_held(&fleet.tier, 1).await, "what all share is left as it is");
}
