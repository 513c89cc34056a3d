//! A tier of several nodes, one of which fails: batches keep what the others gave, took and
//! removed, and only the keys of the failing one are asked for elsewhere or owed.

use std::future::IntoFuture;
use std::sync::Arc;

use cache_enterprise_core::{
    Backend, Clock, ErrorKind, Event, Observer, SetOutcome, StoredKey, mins,
};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Tier};
use cache_enterprise_resilience::{BreakerState, CircuitBreakerConfig, RetryBudget, RetryConfig};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::chaos::{ChaosNodes, Mode, Operation};
use cache_enterprise_testkit::{ModelBackend, Seed, wait};
use parking_lot::Mutex;

use crate::{builder, get, set};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

const DOWN: Mode = Mode::Fail(ErrorKind::Unavailable);
const KEYS: u64 = 30;

#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<Event>>>);

impl Observer for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().push(event.clone());
    }
}

struct World {
    cluster: Arc<ChaosNodes>,
    manager: CacheManager<MessagePack>,
    cache: Cache<u64, u64>,
    heard: Heard,
}

impl World {
    async fn new(tier: impl FnOnce(Tier) -> Tier) -> Self {
        let clock = Clock::manual();
        let model = || Arc::new(ModelBackend::new(clock.clone()));
        let cluster = Arc::new(ChaosNodes::new(3, Seed(7), model));
        let level = tier(Tier::new(Arc::clone(&cluster) as Arc<dyn Backend>));
        let heard = Heard::default();
        let builder = builder(&clock).observer(heard.clone()).l2(level).codec(MessagePack);
        let manager = builder.build().await.unwrap();
        let cache = manager.open(&SPEC).unwrap();
        let stored = cache.set_many((0..KEYS).map(|key| (key, key))).await;
        assert!(stored.iter().all(|outcome| *outcome == SetOutcome::Stored));
        let world = Self { cluster, manager, cache, heard };
        assert!((0..3).all(|node| world.of(node).len() > 3), "each node has keys");
        world
    }

    fn stored(key: u64) -> StoredKey {
        let space = cache_enterprise_core::KeySpace::new("stories", "", "numbers").unwrap();
        space.key(&key).unwrap()
    }

    fn node(&self, key: u64) -> u32 {
        self.cluster.node(&Self::stored(key))
    }

    /// The keys of one node.
    fn of(&self, node: u32) -> Vec<u64> {
        (0..KEYS).filter(|key| self.node(*key) == node).collect()
    }

    fn break_node(&self, node: u32) {
        self.cluster.nodes()[node as usize].set(DOWN);
    }

    fn debts(&self) -> usize {
        self.manager.tier_stats()[0].debts as usize
    }

    /// What the tier answers for every key.
    async fn read_all(&self) -> Vec<Option<u64>> {
        self.cache.drop_level1();
        let keys: Vec<_> = (0..KEYS).collect();
        let found = self.cache.get_many(&keys).await.unwrap();
        found.into_iter().map(|hit| hit.map(|value| *value)).collect()
    }
}

#[tokio::test]
async fn reads_of_the_other_nodes_are_answered() {
    let world = World::new(Tier::bare).await;
    world.break_node(1);
    for (key, found) in (0..KEYS).zip(world.read_all().await) {
        assert_eq!(found, (world.node(key) != 1).then_some(key));
    }
    assert_eq!(world.manager.tier_stats()[0].failures, 1, "the part that failed");
    world.cluster.set_all(Mode::Healthy);
    assert!(world.read_all().await.iter().all(Option::is_some));
    let told = std::mem::take(&mut *world.heard.0.lock());
    let tier = "model".to_owned();
    let failed = Event::TierFailed {
        tier: tier.clone(),
        operation: "get_many",
        kind: ErrorKind::Unavailable,
    };
    assert_eq!(told, [failed, Event::TierRecovered { tier }], "once, and not by the other nodes");
}

#[tokio::test(start_paused = true)]
async fn writes_to_the_other_nodes_are_kept_and_only_the_lost_ones_are_owed() {
    let world = World::new(Tier::bare).await;
    world.break_node(1);
    let outcomes = world.cache.set_many((0..KEYS).map(|key| (key, key + 100))).await;
    for (key, outcome) in (0..KEYS).zip(outcomes) {
        let is_lost = world.node(key) == 1;
        let expected = if is_lost { SetOutcome::StoredAbove } else { SetOutcome::Stored };
        assert_eq!(outcome, expected);
    }
    assert_eq!(world.debts(), world.of(1).len());
    world.cluster.set_all(Mode::Healthy);
    let expected = |key| (world.node(key) != 1).then_some(key + 100);
    for (key, found) in (0..KEYS).zip(world.read_all().await) {
        assert_eq!(found, expected(key), "the old value of the failing node is a miss");
    }
    wait::until_async("the debts are settled", async || world.debts() == 0).await;
    for (key, found) in (0..KEYS).zip(world.read_all().await) {
        assert_eq!(found, expected(key), "settling took nothing else");
    }
}

#[tokio::test(start_paused = true)]
async fn removals_at_the_other_nodes_are_done_and_only_the_lost_ones_are_owed() {
    let world = World::new(Tier::bare).await;
    world.break_node(2);
    let keys: Vec<_> = (0..KEYS).collect();
    world.cache.remove_many(&keys).await;
    assert_eq!(world.debts(), world.of(2).len());
    set(&world.cache, world.of(0)[0], 7).await;
    world.cluster.set_all(Mode::Healthy);
    let is_new = |key| (key == world.of(0)[0]).then_some(7);
    for (key, found) in (0..KEYS).zip(world.read_all().await) {
        assert_eq!(found, is_new(key), "nothing removed comes back");
    }
    wait::until_async("the debts are settled", async || world.debts() == 0).await;
    for (key, found) in (0..KEYS).zip(world.read_all().await) {
        assert_eq!(found, is_new(key));
    }
}

#[tokio::test(start_paused = true)]
async fn debts_to_a_node_that_stays_away_do_not_hold_up_the_others() {
    let world = World::new(Tier::bare).await;
    world.break_node(0);
    world.break_node(1);
    // More than are looked up at once, most of them owed to the node that stays away.
    let away: Vec<u64> = (KEYS..).filter(|key| world.node(*key) == 0).take(1_000).collect();
    world.cache.remove_many(&away).await;
    world.cache.remove_many(&world.of(1)).await;
    assert_eq!(world.debts(), 1_000 + world.of(1).len());
    world.cluster.nodes()[1].set(Mode::Healthy);
    wait::until_async("the debts to the node are settled", async || world.debts() == 1_000).await;
    for key in world.of(1) {
        assert_eq!(get(&world.cache, key).await, None);
    }
    world.cluster.set_all(Mode::Healthy);
    wait::until_async("all are", async || world.debts() == 0).await;
}

#[tokio::test]
async fn the_circuit_of_the_failing_node_opens_alone_and_is_told() {
    let strict = CircuitBreakerConfig { failure_threshold: 2, ..CircuitBreakerConfig::default() };
    let no_retry = RetryConfig { attempts: 0, ..RetryConfig::default() };
    let world = World::new(|tier| tier.breaker(strict).retry(no_retry)).await;
    world.break_node(1);
    for _ in 0..10 {
        world.read_all().await;
    }
    let breaker = world.manager.breaker(2).unwrap();
    let states = [0, 1, 2].map(|node| breaker.state_of(node));
    assert_eq!(states, [BreakerState::Closed, BreakerState::Open, BreakerState::Closed]);
    assert_eq!(breaker.unanswered(), 0, "the engine cuts its batches itself");
    assert_eq!(world.cluster.nodes()[1].calls(Operation::GetMany), 2);
    let opened = Event::BreakerOpened { tier: "model".to_owned(), node: 1 };
    assert_eq!(world.heard.0.lock().iter().filter(|event| **event == opened).count(), 1);
    world.cluster.set_all(Mode::Healthy);
    breaker.reset_node(1);
    let closed = Event::BreakerClosed { tier: "model".to_owned(), node: 1 };
    assert!(world.heard.0.lock().contains(&closed));
    assert!(world.read_all().await.iter().all(Option::is_some));
    assert!(world.manager.breaker(3).is_none(), "there is no such level");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_all_tiers_spends_one_budget_of_retries() {
    let own = Arc::new(RetryBudget::new(4, 0));
    for (config, expected) in [
        (RetryConfig::default(), 6),
        (RetryConfig { budget: Some(Arc::clone(&own)), ..RetryConfig::default() }, 6 + 4),
    ] {
        let clock = Clock::manual();
        let tier = || {
            let model = || Arc::new(ModelBackend::new(clock.clone()));
            Arc::new(ChaosNodes::new(1, Seed(7), model))
        };
        let (upper, lower) = (tier(), tier());
        let [high, low] = [&upper, &lower]
            .map(|tier| Tier::new(Arc::clone(tier) as Arc<dyn Backend>).without_breaker());
        let budget = RetryBudget::new(6, 0);
        let builder = builder(&clock).l2(high).l3(low.retry(config)).retry_budget(budget);
        let manager = builder.codec(MessagePack).build().await.unwrap();
        let cache: Cache<u64, u64> = manager.open(&SPEC).unwrap();
        get(&cache, 0).await;
        let calls = || {
            let of = |tier: &ChaosNodes| tier.nodes()[0].calls(Operation::Get);
            of(&upper) + of(&lower)
        };
        let before = calls();
        upper.set_all(DOWN);
        lower.set_all(DOWN);
        for key in 0..20 {
            cache.get(&key).into_future().await.unwrap();
        }
        assert_eq!(calls() - before, 40 + expected);
    }
}
