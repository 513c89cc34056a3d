//! A listener that hears of keys which anybody changes on the server.

use std::sync::Arc;

use cache_enterprise_core::coherence::Touched;
use cache_enterprise_core::{
    Backend, ErrorKind, KeySpace, OpContext, Put, PutOutcome, Sequence, StoredKey,
};
use cache_enterprise_redis::{Redis, RedisBackend, RedisBus};
use cache_enterprise_testkit::servers::RedisServer;

use super::{Ear, key, open, publish, remove};

/// A server, a level on it, and somebody who hears what becomes of its keys.
struct Stage {
    server: RedisServer,
    backend: Arc<RedisBackend>,
    ear: Ear,
}

impl Stage {
    async fn set() -> Self {
        let server = RedisServer::start();
        let backend = open(&server.url()).await;
        let ear = Ear::on(&RedisBus::sharing(&backend).tracking(true)).await;
        Self { server, backend, ear }
    }

    async fn put(&self, key: &StoredKey, version: u64) {
        let how = Put { version: Sequence(version), ..Put::default() };
        let put = self.backend.put(key, "Ada".into(), how, &OpContext::default()).await;
        assert_eq!(put.unwrap(), PutOutcome::Stored);
    }

    /// What was touched by now, each key with what stood there last.
    async fn touched(&mut self) -> Vec<Touched> {
        self.ear.until_current().await;
        let mut latest: Vec<Touched> = Vec::new();
        for touched in self.ear.touched.drain(..) {
            latest.retain(|known| known.key != touched.key);
            latest.push(touched);
        }
        latest
    }
}

/// The name that `redis-cli` calls an entry by.
fn name(key: &StoredKey) -> String {
    let bucket = (0..16).map(|bucket| format!("{{shop:acme:{bucket}}}{key}"));
    let hash = twox_hash::XxHash3_64::oneshot(&key.as_str().as_bytes()["shop:acme:".len()..]);
    bucket.into_iter().nth((hash % 16) as usize).unwrap()
}

fn touched(key: &StoredKey, version: Option<u64>) -> Touched {
    Touched { key: key.clone(), version: version.map(Sequence) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_write_and_delete_is_told_without_a_version() {
    let mut stage = Stage::set().await;
    let (ada, bob) = (key("ada"), key("bob"));
    stage.put(&ada, 5).await;
    stage.put(&bob, 6).await;
    stage.touched().await;
    assert_eq!(stage.server.cli(&["DEL", &name(&ada)]).trim(), "1");
    assert_eq!(stage.touched().await, [touched(&ada, None)]);
    stage.server.cli(&["SET", &name(&bob), "a stranger's"]);
    assert_eq!(stage.touched().await, [touched(&bob, None)]);
    stage.server.cli(&["DEL", &name(&bob)]);
    stage.server.cli(&["RPUSH", &name(&bob), "a list"]);
    assert_eq!(stage.touched().await, [touched(&bob, None)]);
    assert_eq!(stage.ear.losses, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_level_wrote_is_told_with_the_version_that_stands_there() {
    let mut stage = Stage::set().await;
    let ada = key("ada");
    stage.put(&ada, 5).await;
    assert_eq!(stage.touched().await, [touched(&ada, Some(5))]);
    stage.put(&ada, 7).await;
    assert_eq!(stage.touched().await, [touched(&ada, Some(7))]);
    remove(&*stage.backend, &ada, 9).await.unwrap();
    assert_eq!(stage.touched().await, [touched(&ada, Some(9))], "a removal stands there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_and_other_managers_are_not_told_and_nothing_is_by_default() {
    let mut stage = Stage::set().await;
    let mut plain = Ear::on(&RedisBus::sharing(&stage.backend)).await;
    let other = KeySpace::new("shop2", "acme", "users").unwrap().key(&1_u64).unwrap();
    stage.put(&other, 5).await;
    publish(&RedisBus::sharing(&stage.backend), "a frame").await;
    stage.server.cli(&["SET", "somebody", "else"]);
    assert_eq!(stage.touched().await, []);
    stage.ear.assert_heard_all(&["a frame".to_owned()]);
    stage.put(&key("ada"), 5).await;
    plain.until_current().await;
    assert!(plain.touched.is_empty() && !stage.touched().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_is_a_loss() {
    let mut stage = Stage::set().await;
    stage.put(&key("ada"), 5).await;
    stage.touched().await;
    stage.server.cli(&["FLUSHALL"]);
    stage.ear.until_current().await;
    assert!(stage.ear.losses > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_killed_comes_back_and_what_it_missed_is_a_loss() {
    let mut stage = Stage::set().await;
    let (ada, bob) = (key("ada"), key("bob"));
    stage.put(&ada, 5).await;
    stage.put(&bob, 6).await;
    stage.touched().await;
    for round in 1..=3 {
        assert_eq!(stage.server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).trim(), "1");
        // Perhaps while nobody is told.
        stage.server.cli(&["DEL", &name(&ada)]);
        stage.ear.until_current().await;
        assert_eq!(stage.ear.losses, round, "said once, before anything is current");
        stage.ear.touched.clear();
        stage.server.cli(&["SET", &name(&bob), "a stranger's"]);
        assert_eq!(stage.touched().await, [touched(&bob, None)], "it is heard again");
    }
}

/// More messages than stand in the queue at once, while nobody takes what is heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_of_a_storm_is_lost_without_a_word() {
    let mut stage = Stage::set().await;
    let keys: Vec<_> = (0..3_000).map(|number| key(&format!("user {number}"))).collect();
    for (number, key) in keys.iter().enumerate() {
        stage.put(key, number as u64 + 1).await;
    }
    for key in &keys[..20] {
        stage.server.cli(&["DEL", &name(key)]);
    }
    let told = stage.touched().await;
    let is_told = |key: &StoredKey| told.iter().any(|touched| touched.key == *key);
    assert!(stage.ear.losses > 0 || keys.iter().all(is_told), "{} of 3000", told.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_refused_before_anything_is_asked() {
    let redis = Redis::cluster(["127.0.0.1:1"]).unwrap();
    let error = RedisBus::with(redis).tracking(true).check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("tracking"), "{error}");
}
