//! Servers that forget what was loaded into them.

use cache_enterprise_core::Backend;
use cache_enterprise_core::{OpContext, Put, PutOutcome, Sequence};
use cache_enterprise_testkit::servers::RedisServer;
use tokio::task::JoinSet;

use super::{get, key, open, put, remove};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_were_flushed_are_loaded_again() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    for round in 0..3 {
        assert_eq!(server.cli(&["FUNCTION", "FLUSH"]), "OK");
        let mut calls = JoinSet::new();
        for number in 0..64 {
            let backend = backend.clone();
            calls.spawn(async move {
                put(&*backend, &key(&format!("{round}-{number}")), "Ada").await.unwrap()
            });
        }
        let outcomes = calls.join_all().await;
        assert!(outcomes.iter().all(|outcome| *outcome == PutOutcome::Stored));
        server.cli(&["FUNCTION", "FLUSH"]);
        let keys: Vec<_> = (0..64).map(|number| key(&format!("{round}-{number}"))).collect();
        let removed = backend.remove_many(&keys, Sequence::ZERO, &OpContext::default()).await;
        assert_eq!(removed.unwrap(), 64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_were_flushed_are_loaded_again() {
    let server = RedisServer::options()
        .arg("rename-command", "FUNCTION \"\"")
        .arg("rename-command", "FCALL \"\"")
        .start();
    let backend = open(&server.url()).await;
    for version in 1..4 {
        assert_eq!(server.cli(&["SCRIPT", "FLUSH"]), "OK");
        let how = Put { version: Sequence(10 * version), ..Put::default() };
        let call = OpContext::default();
        backend.put(&key("user"), "Ada".into(), how, &call).await.unwrap();
        server.cli(&["SCRIPT", "FLUSH"]);
        assert!(remove(&*backend, &key("user"), 10 * version + 5).await.unwrap());
        let late = backend.put(&key("user"), "late".into(), how, &call).await.unwrap();
        assert_eq!(late, PutOutcome::Fenced);
    }
    assert_eq!(get(&*backend, &key("user")).await.unwrap(), None);
}
