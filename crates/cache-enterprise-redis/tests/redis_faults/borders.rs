//! Batches around their limits.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use cache_enterprise_core::{Backend, OpContext, Put, PutOutcome, Sequence, mins};
use cache_enterprise_testkit::servers::RedisServer;
use proptest::test_runner::{Config, TestRunner};

use super::{key, patient, value_of};

/// Calls with many keys are cut into pipelines; whatever the cut, each key has its own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_in_place_across_the_borders_of_pipelines() {
    let server = RedisServer::start();
    let handle = tokio::runtime::Handle::current();
    let url = server.url();
    let story = move || {
        let mut runner = TestRunner::new(Config { cases: 24, ..Config::default() });
        // Each batch has its own keys: what an earlier one removed stays removed.
        let batch = AtomicUsize::new(0);
        let run = runner.run(&(1_usize..9, 0_usize..40), |(pipeline_size, count)| {
            let batch = batch.fetch_add(1, Relaxed);
            handle.block_on(one_batch(&url, pipeline_size, count, batch));
            Ok(())
        });
        run.unwrap();
    };
    tokio::task::spawn_blocking(story).await.unwrap();
}

async fn one_batch(url: &str, pipeline_size: usize, count: usize, batch: usize) {
    let backend = patient(url).pipeline_size(pipeline_size).open().await.unwrap();
    let call = OpContext::default();
    let keys: Vec<_> = (0..count).map(|number| key(&format!("{batch}-{number}"))).collect();
    // Every third key was removed at a later version, so its put is refused.
    for key in keys.iter().step_by(3) {
        backend.remove(key, Sequence(9), &call).await.unwrap();
    }
    let how = Put { version: Sequence(5), ttl: Some(mins(1)) };
    let items = keys.iter().map(|key| (key.clone(), value_of(key, 40), how)).collect();
    let outcomes = backend.put_many(items, &call).await.unwrap();
    assert_eq!(outcomes.len(), count);
    let found = backend.get_many(&keys, &call).await.unwrap();
    assert_eq!(found.len(), count);
    for (number, (outcome, found)) in outcomes.into_iter().zip(found).enumerate() {
        let expected = match number % 3 {
            0 => (PutOutcome::Fenced, None),
            _ => (PutOutcome::Stored, Some(value_of(&keys[number], 40))),
        };
        assert_eq!((outcome, found), expected, "key {number} of {count} by {pipeline_size}");
    }
    let removed = backend.remove_many(&keys, Sequence(20), &call).await.unwrap();
    assert_eq!(removed as usize, count - count.div_ceil(3));
    backend.clear_prefix(&cache_enterprise_core::KeyPrefix::manager("shop")).await.unwrap();
    backend.close().await.unwrap();
}
