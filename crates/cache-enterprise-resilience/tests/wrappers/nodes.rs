//! A breaker before a backend of several nodes.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Clock, ErrorKind, KeyPrefix, KeySpace, OpContext, Put, PutOutcome,
    Sequence, StoredKey, secs,
};
use cache_enterprise_resilience::{
    BreakerChange, BreakerState, CircuitBreaker, CircuitBreakerConfig, by_node,
};
use cache_enterprise_testkit::chaos::{ChaosNodes, Mode, Operation};
use cache_enterprise_testkit::{ModelBackend, Seed};
use parking_lot::Mutex;

const CTX: OpContext = OpContext { timeout: None };
const DOWN: Mode = Mode::Fail(ErrorKind::Unavailable);

struct World {
    cluster: Arc<ChaosNodes>,
    breaker: CircuitBreaker,
    clock: Clock,
    changes: Arc<Mutex<Vec<BreakerChange>>>,
    /// Some keys of each of the three nodes, mixed.
    keys: Vec<StoredKey>,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual();
        let model = || Arc::new(ModelBackend::new(clock.clone()));
        let cluster = Arc::new(ChaosNodes::new(3, Seed(7), model));
        let changes = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&changes);
        let inner = Arc::clone(&cluster) as Arc<dyn Backend>;
        let breaker = CircuitBreaker::new(inner, CircuitBreakerConfig::default(), clock.clone())
            .on_change(move |change| ear.lock().push(change.clone()));
        let space = KeySpace::new("shop", "", "users").unwrap();
        let keys: Vec<_> = (0..30_u8).map(|number| space.key(&number).unwrap()).collect();
        let world = Self { cluster, breaker, clock, changes, keys };
        world.breaker.put_many(world.items("old", 1), &CTX).await.unwrap();
        assert!((0..3).all(|node| !world.of(node).is_empty()), "each node has keys");
        world
    }

    fn items(&self, value: &'static str, version: u64) -> Vec<(StoredKey, Bytes, Put)> {
        let how = Put { version: Sequence(version), ..Put::default() };
        self.keys.iter().map(|key| (key.clone(), value.into(), how)).collect()
    }

    /// The keys of one node.
    fn of(&self, node: u32) -> Vec<StoredKey> {
        let mut keys = self.keys.clone();
        keys.retain(|key| self.cluster.node(key) == node);
        keys
    }

    async fn open(&self, node: u32) {
        self.cluster.nodes()[node as usize].set(DOWN);
        let key = &self.of(node)[0];
        for _ in 0..5 {
            self.breaker.get(key, &CTX).await.unwrap_err();
        }
        assert_eq!(self.breaker.state_of(node), BreakerState::Open);
    }

    async fn value(&self, key: &StoredKey) -> Option<Bytes> {
        self.cluster.get(key, &CTX).await.unwrap()
    }
}

#[tokio::test]
async fn each_node_has_a_circuit_and_events_name_it() {
    let world = World::new().await;
    world.open(1).await;
    for (node, state) in
        [BreakerState::Closed, BreakerState::Open, BreakerState::Closed].into_iter().enumerate()
    {
        assert_eq!(world.breaker.state_of(node as u32), state);
    }
    assert_eq!(world.breaker.state(), BreakerState::Open, "the worst of them");
    let change = BreakerChange {
        backend: "model".to_owned(),
        node: 1,
        from: BreakerState::Closed,
        to: BreakerState::Open,
    };
    assert_eq!(*world.changes.lock(), [change]);

    let error = world.breaker.get(&world.of(1)[0], &CTX).await.unwrap_err();
    let text = "get: the backend is left alone after failures \
                (backend: model, node: 1, retry_in_ms: 200)";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::BreakerOpen, text));
    for key in world.of(0).iter().chain(&world.of(2)) {
        assert_eq!(world.breaker.get(key, &CTX).await.unwrap(), Some("old".into()));
    }
}

#[tokio::test]
async fn a_node_comes_back_by_its_own_probes() {
    let world = World::new().await;
    world.open(0).await;
    world.open(2).await;
    world.cluster.set_all(Mode::Healthy);
    world.clock.advance(secs(2));
    for _ in 0..3 {
        world.breaker.get(&world.of(2)[0], &CTX).await.unwrap();
    }
    assert_eq!(world.breaker.state_of(2), BreakerState::Closed);
    assert_eq!(world.breaker.state_of(0), BreakerState::Open);
}

#[tokio::test]
async fn a_batch_of_reads_keeps_the_answers_of_the_nodes_that_gave_them() {
    let world = World::new().await;
    world.cluster.nodes()[1].set(DOWN);
    for asked in 0..8 {
        let found = world.breaker.get_many(&world.keys, &CTX).await.unwrap();
        for (key, value) in world.keys.iter().zip(found) {
            assert_eq!(value.is_some(), world.cluster.node(key) != 1);
        }
        assert_eq!(world.breaker.unanswered(), (asked + 1) * world.of(1).len() as u64);
    }
    assert_eq!(world.breaker.state_of(1), BreakerState::Open);
    let asked = world.cluster.nodes()[1].calls(Operation::GetMany);
    assert_eq!(asked, 5, "once open it was left alone");
}

#[tokio::test]
async fn a_batch_of_reads_fails_when_no_node_answered_or_the_call_itself_is_wrong() {
    let world = World::new().await;
    world.cluster.set_all(DOWN);
    let error = world.breaker.get_many(&world.keys, &CTX).await.unwrap_err();
    assert_eq!((error.kind(), world.breaker.unanswered()), (ErrorKind::Unavailable, 0));
    world.cluster.set_all(Mode::Healthy);
    world.cluster.nodes()[2].set(Mode::Fail(ErrorKind::Corrupt));
    let error = world.breaker.get_many(&world.keys, &CTX).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let alone = world.breaker.get_many(&world.of(2), &CTX).await.unwrap_err();
    assert_eq!(alone.kind(), ErrorKind::Corrupt);
    assert_eq!(world.breaker.get_many(&[], &CTX).await.unwrap(), []);
}

#[tokio::test]
async fn a_batch_of_writes_says_that_a_part_failed_and_the_rest_is_done() {
    let world = World::new().await;
    world.cluster.nodes()[1].set(DOWN);
    for (value, version, kind) in
        [("new", 2, ErrorKind::Unavailable), ("newer", 3, ErrorKind::BreakerOpen)]
    {
        let failed = world.breaker.put_many(world.items(value, version), &CTX).await;
        assert_eq!(failed.unwrap_err().kind(), kind);
        world.cluster.set_all(Mode::Healthy);
        for key in &world.keys {
            let held = if world.cluster.node(key) == 1 { "old" } else { value };
            assert_eq!(world.value(key).await, Some(held.into()));
        }
        world.open(1).await;
    }
    world.cluster.set_all(Mode::Healthy);
    world.breaker.reset();
    let outcomes = world.breaker.put_many(world.items("last", 4), &CTX).await.unwrap();
    assert_eq!(outcomes, vec![PutOutcome::Stored; world.keys.len()]);
    let late = world.breaker.put_many(world.items("late", 1), &CTX).await.unwrap();
    assert_eq!(late, vec![PutOutcome::Fenced; world.keys.len()], "each outcome in its place");
}

#[tokio::test]
async fn a_batch_of_removals_says_that_a_part_failed_and_the_rest_is_done() {
    let world = World::new().await;
    world.open(1).await;
    let failed = world.breaker.remove_many(&world.keys, Sequence(2), &CTX).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::BreakerOpen);
    world.cluster.set_all(Mode::Healthy);
    for key in &world.keys {
        assert_eq!(world.value(key).await.is_some(), world.cluster.node(key) == 1);
    }
    world.breaker.reset();
    let removed = world.breaker.remove_many(&world.keys, Sequence(2), &CTX).await.unwrap();
    assert_eq!(removed, world.of(1).len() as u64, "those that were left");
}

#[tokio::test]
async fn hands_open_and_close_one_node_or_all() {
    let world = World::new().await;
    world.breaker.trip_node(2);
    assert_eq!(
        world.breaker.get(&world.of(2)[0], &CTX).await.unwrap_err().kind(),
        ErrorKind::BreakerOpen
    );
    world.breaker.get(&world.of(0)[0], &CTX).await.unwrap();
    world.breaker.trip();
    for node in 0..3 {
        world.breaker.get(&world.of(node)[0], &CTX).await.unwrap_err();
    }
    world.breaker.reset_node(0);
    world.breaker.get(&world.of(0)[0], &CTX).await.unwrap();
    world.breaker.reset();
    assert_eq!(world.breaker.state(), BreakerState::Closed);
    let told: Vec<_> = world.changes.lock().iter().map(|change| (change.node, change.to)).collect();
    let (open, closed) = (BreakerState::Open, BreakerState::Closed);
    let expected = [(2, open), (0, open), (1, open), (0, closed), (1, closed), (2, closed)];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_walks_all_nodes_is_refused_when_all_are_left_alone() {
    let world = World::new().await;
    let prefix = KeyPrefix::manager("shop");
    world.open(0).await;
    world.open(1).await;
    world.cluster.set_all(Mode::Healthy);
    world.breaker.scan(&prefix, None, 10).await.unwrap();
    world.open(2).await;
    for refused in [
        world.breaker.scan(&prefix, None, 10).await.unwrap_err(),
        world.breaker.clear_prefix(&prefix).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::BreakerOpen);
    }
    world.cluster.set_all(Mode::Healthy);
    world.clock.advance(secs(2));
    world.breaker.clear_prefix(&prefix).await.unwrap();
}

#[tokio::test]
async fn health_counts_the_nodes_that_are_left_alone() {
    let world = World::new().await;
    assert_eq!(world.breaker.health().await, BackendHealth::Up);
    world.open(1).await;
    world.cluster.set_all(Mode::Healthy);
    let text = "circuit breaker is open for 1 of 3 nodes".to_owned();
    assert_eq!(world.breaker.health().await, BackendHealth::Degraded(text));
    world.clock.advance(secs(2));
    world.breaker.get(&world.of(1)[0], &CTX).await.unwrap();
    let text = "circuit breaker is half open for 1 of 3 nodes".to_owned();
    assert_eq!(world.breaker.health().await, BackendHealth::Degraded(text));
    world.breaker.trip();
    let text = "circuit breaker is open".to_owned();
    assert_eq!(world.breaker.health().await, BackendHealth::Down(text));
}

#[tokio::test]
async fn a_batch_is_cut_along_its_nodes_in_order() {
    let world = World::new().await;
    let parts = by_node(&world.breaker, &world.keys);
    assert_eq!(parts.len(), 3);
    for part in &parts {
        assert_eq!(part.pick(&world.keys), world.of(part.node));
    }
    assert_eq!(by_node(&world.breaker, &[]), []);
    let one = ModelBackend::new(Clock::manual());
    assert_eq!(by_node(&one, &world.keys)[0].places, (0..30).collect::<Vec<_>>());
}
