//! Bytes that were judged before a removal was heard do not land in level 1 after it.

use std::future::IntoFuture;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use cache_enterprise_core::{OpenedBackend, mins};
use cache_enterprise_engine::{CacheSpec, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_strategies::{CacheStrategy, StrategyContext};
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode, Operation};
use cache_enterprise_testkit::{Seed, wait};

use super::{Fleet, builder};

/// Asked for the worth of a value, tells of it and waits.
#[derive(Debug)]
struct Pause {
    asked: SyncSender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl CacheStrategy for Pause {
    fn score(&self, context: &StrategyContext<'_>) -> f64 {
        if context.value_as::<u64>() == Some(&5) {
            self.asked.send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
        }
        1.0
    }
}

static PLAIN: CacheSpec<u64, u64> = CacheSpec::new("worth").ttl(mins(60));
static PAUSED: CacheSpec<u64, u64> = CacheSpec::new("worth").ttl(mins(60)).fill_strategy("pause");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_the_judgement_and_the_landing_of_a_climb_a_removal_is_heard() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    let tier = Arc::new(ChaosBackend::new(Arc::new(fleet.tier.reopened()), Seed(7)));
    let source = OpenedBackend::new(Arc::clone(&tier) as _);
    let source = source.with_epochs(Arc::new(fleet.epochs.another()));
    let built = builder(fleet.clock.clone()).l2(Tier::new(source).bare()).codec(MessagePack);
    let manager = built.bus(fleet.bus.another()).build().await.unwrap();
    let other = manager.open(&PLAIN).unwrap();
    for (key, value) in [(1, 5_u64), (3, 30)] {
        other.set(&key, value).strict().into_future().await.unwrap();
    }

    let (asked, is_asked) = sync_channel(1);
    let (go, go_on) = sync_channel(1);
    let pause = Pause { asked, go_on: Mutex::new(go_on) };
    one.manager.register_strategy("pause", Arc::new(pause)).unwrap();
    let cache = one.manager.open(&PAUSED).unwrap();
    assert_eq!(cache.get(&3).await.unwrap().map(|value| *value), Some(30));

    // The removal has its number, and the tier does not answer; then this process takes a greater
    // one, so that what begins now is no load from before the removal.
    tier.set(Mode::Hang);
    let remover = other.clone();
    let removal = tokio::spawn(async move { remover.remove(&1).await });
    let is_hung = async || tier.calls(Operation::Remove) > 0;
    wait::until_async("the removal is under way", is_hung).await;
    cache.set(&2, 20_u64).strict().into_future().await.unwrap();
    let reader = cache.clone();
    let read = tokio::spawn(async move { reader.get(&1).await.unwrap().map(|value| *value) });
    tokio::task::spawn_blocking(move || is_asked.recv().unwrap()).await.unwrap();
    tier.set(Mode::Healthy);
    removal.await.unwrap();
    // Told after the removal, so that it is heeded after it.
    other.set(&3, 31_u64).strict().into_future().await.unwrap();
    one.heard("both are heard", || cache.peek(&3).is_none()).await;
    go.send(()).unwrap();
    assert_eq!(read.await.unwrap(), Some(5), "the read began before the removal ended");
    assert!(cache.peek(&1).is_none());
    assert!(cache.get(&1).await.unwrap().is_none());
}
