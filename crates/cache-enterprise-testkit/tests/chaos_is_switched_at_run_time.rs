//! Each mode of the chaotic backend does what it says, and healing ends it.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Clock, ErrorKind, KeySpace, OpContext, Put, StoredKey,
};
use cache_enterprise_testkit::chaos::{ChaosBackend, ChaosNodes, Fault, Mode, Operation};
use cache_enterprise_testkit::conformance::backend::{self, Fixture};
use cache_enterprise_testkit::{ModelBackend, Seed, wait};

const CTX: OpContext = OpContext { timeout: None };

fn key() -> StoredKey {
    KeySpace::new("suite", "acme", "users").unwrap().key(&1_u8).unwrap()
}

async fn chaos() -> Arc<ChaosBackend> {
    let model = Arc::new(ModelBackend::new(Clock::manual()));
    let chaos = Arc::new(ChaosBackend::new(model, Seed(7)));
    chaos.put(&key(), Bytes::from_static(b"Ada"), Put::default(), &CTX).await.unwrap();
    chaos
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_healthy_wrapper_keeps_the_contract() {
    let report = backend::run(|| async {
        let clock = Clock::manual();
        let model = Arc::new(ModelBackend::new(clock.clone()));
        let chaos = ChaosBackend::new(Arc::clone(&model) as _, Seed(7));
        Fixture::new(Arc::new(chaos)).clock(clock).reopen(move || {
            let again = ChaosBackend::new(Arc::new(model.reopened()), Seed(8));
            async move { Arc::new(again) as _ }
        })
    })
    .await;
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn healthy_nodes_keep_the_contract_together() {
    let report = backend::run(|| async {
        let clock = Clock::manual();
        let models = [(); 3].map(|()| Arc::new(ModelBackend::new(clock.clone())));
        let mut each = models.iter();
        let nodes = ChaosNodes::new(3, Seed(7), || Arc::clone(each.next().unwrap()));
        Fixture::new(Arc::new(nodes)).clock(clock).reopen(move || {
            let mut each = models.iter();
            let next = || Arc::new(each.next().unwrap().reopened());
            let nodes = ChaosNodes::new(3, Seed(8), next);
            async move { Arc::new(nodes) as _ }
        })
    })
    .await;
    report.assert_passed();
}

#[tokio::test]
async fn a_node_fails_for_its_own_keys_only() {
    let nodes = ChaosNodes::new(3, Seed(7), || Arc::new(ModelBackend::new(Clock::manual())));
    let space = KeySpace::new("suite", "acme", "users").unwrap();
    let keys: Vec<_> = (0..60_u8).map(|number| space.key(&number).unwrap()).collect();
    nodes.nodes()[1].set(Mode::Fail(ErrorKind::Unavailable));
    let mut failed = 0;
    for key in &keys {
        let is_down = nodes.get(key, &CTX).await.is_err();
        assert_eq!(is_down, nodes.node(key) == 1);
        failed += usize::from(is_down);
    }
    assert!((1..60).contains(&failed), "{failed} of 60 keys are on the node");
    nodes.get_many(&keys, &CTX).await.unwrap_err();
    nodes.set_all(Mode::Healthy);
    nodes.get_many(&keys, &CTX).await.unwrap();
}

#[tokio::test]
async fn failing_gives_the_kind_that_was_asked_for() {
    let chaos = chaos().await;
    for kind in [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Io] {
        chaos.set(Mode::Fail(kind));
        assert_eq!(chaos.get(&key(), &CTX).await.unwrap_err().kind(), kind);
        assert!(matches!(chaos.health().await, BackendHealth::Down(_)));
    }
    chaos.set(Mode::Healthy);
    assert_eq!(chaos.get(&key(), &CTX).await.unwrap(), Some("Ada".into()));
    assert_eq!(chaos.health().await, BackendHealth::Up);
    assert_eq!((chaos.faults(Fault::Failed), chaos.calls(Operation::Get)), (3, 4));
}

#[tokio::test]
async fn a_hung_call_wakes_when_the_backend_heals() {
    let chaos = chaos().await;
    chaos.set(Mode::Hang);
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let chaos = Arc::clone(&chaos);
            tokio::spawn(async move { chaos.get(&key(), &CTX).await })
        })
        .collect();
    wait::until_async("every caller hangs", async || chaos.faults(Fault::Hung) == 100).await;
    assert!(callers.iter().all(|caller| !caller.is_finished()));
    chaos.set(Mode::Healthy);
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), Some("Ada".into()));
    }
}

#[tokio::test]
async fn a_hung_call_goes_on_in_the_mode_that_follows() {
    let chaos = chaos().await;
    chaos.set(Mode::Hang);
    let hung = Arc::clone(&chaos);
    let caller = tokio::spawn(async move { hung.get(&key(), &CTX).await });
    wait::until_async("the caller hangs", async || chaos.faults(Fault::Hung) == 1).await;
    chaos.set(Mode::Fail(ErrorKind::Unavailable));
    assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_on_a_hung_call_does_no_harm() {
    let chaos = chaos().await;
    chaos.set(Mode::Hang);
    let second = Duration::from_secs(1);
    assert!(tokio::time::timeout(second, chaos.get(&key(), &CTX)).await.is_err());
    assert!(tokio::time::timeout(second, chaos.close()).await.is_err());
    chaos.set(Mode::Healthy);
    assert_eq!(chaos.get(&key(), &CTX).await.unwrap(), Some("Ada".into()));
}

#[tokio::test(start_paused = true)]
async fn slow_calls_take_their_time_and_answer_right() {
    let chaos = chaos().await;
    chaos.set(Mode::Slow(Duration::from_millis(250)));
    let before = tokio::time::Instant::now();
    assert_eq!(chaos.get(&key(), &CTX).await.unwrap(), Some("Ada".into()));
    assert_eq!(before.elapsed(), Duration::from_millis(250));
    assert_eq!(chaos.faults(Fault::Slowed), 1);
}

#[tokio::test]
async fn corruption_flips_one_bit_of_what_is_read_and_none_of_what_is_stored() {
    let chaos = chaos().await;
    chaos.set(Mode::Corrupt);
    let one = chaos.get(&key(), &CTX).await.unwrap().unwrap();
    let many = chaos.get_many(&[key()], &CTX).await.unwrap().remove(0).unwrap();
    for spoiled in [one, many] {
        let bits: u32 = spoiled.iter().zip(b"Ada").map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!((spoiled.len(), bits), (3, 1));
    }
    chaos.set(Mode::Healthy);
    assert_eq!(chaos.get(&key(), &CTX).await.unwrap(), Some("Ada".into()));
    assert_eq!(chaos.faults(Fault::Corrupted), 2);
}

#[tokio::test]
async fn a_share_of_calls_fails_and_the_same_seed_fails_the_same_ones() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let chaos = chaos().await;
        chaos.set(Mode::FailShare(0.3));
        let mut failed = Vec::new();
        for call in 0..1_000 {
            if chaos.get(&key(), &CTX).await.is_err() {
                failed.push(call);
            }
        }
        assert!((200..400).contains(&failed.len()), "{} calls of 1000 failed", failed.len());
        runs.push(failed);
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn calls_and_bytes_are_counted() {
    let chaos = chaos().await;
    chaos.get(&key(), &CTX).await.unwrap();
    let items = vec![(key(), Bytes::from_static(b"Grace"), Put::default())];
    chaos.put_many(items, &CTX).await.unwrap();
    assert_eq!((chaos.bytes_read(), chaos.bytes_written()), (3, 8));
    assert_eq!((chaos.all_calls(), chaos.all_faults()), (3, 0));
    assert_eq!(chaos.calls(Operation::PutMany), 1);
}
