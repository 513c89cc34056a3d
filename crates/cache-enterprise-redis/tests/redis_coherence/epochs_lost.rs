//! Records that are lost, set back or half there.

use cache_enterprise_core::coherence::{EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::tag;
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;

use super::{assert_transient, open};

fn org() -> [EpochTarget; 1] {
    [EpochTarget::Tag(tag!("org:7"))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_lost_ends_everything_older() {
    let server = RedisServer::start();
    let store = open(&server.url()).await.epochs();
    let mut marks = Vec::new();
    let mut newest = store.raise("shop", "acme", &org(), Sequence::ZERO).await.unwrap();
    for command in [&["FLUSHALL"][..], &["DEL", "{shop:acme}epochs"], &["DEL", "{shop:}epochs"]] {
        let before = store.load("shop", "acme", newest).await.unwrap();
        marks.push(before.mark);
        server.cli(command);
        for _ in 0..3 {
            let mark = store.mark("shop", "acme").await.unwrap();
            assert!(!marks.contains(&mark), "{command:?}");
            marks.push(mark);
        }
        let after = store.since("shop", "acme", before.mark, before.sequence).await.unwrap();
        let everything =
            after.epochs.iter().filter(|(target, _)| *target == EpochTarget::Everything);
        let ended = everything.map(|(_, epoch)| *epoch).fold(after.floor, Sequence::max);
        assert!(ended >= before.sequence, "{command:?}: {ended} below {}", before.sequence);
        assert!(after.sequence > ended, "what is loaded from now on is valid");
        newest = after.sequence;
    }
}

/// Nobody has loaded the record since it was lost: the epoch that was raised meanwhile counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_from_before_the_loss_is_not_given_again() {
    let server = RedisServer::start();
    let store = open(&server.url()).await.epochs();
    let ahead = Sequence(1 << 60);
    let known = store.next("shop", "acme", ahead).await.unwrap();
    server.cli(&["FLUSHALL"]);
    let next = store.next("shop", "acme", known).await.unwrap();
    assert!(next > known);
    let raised = store.raise("shop", "acme", &org(), Sequence::ZERO).await.unwrap();
    assert!(raised > next);
    let loaded = store.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert!(loaded.sequence > raised);
}

/// A server that evicts may take the order of the epochs and leave the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_evicted_is_made_from_the_record() {
    let server = RedisServer::start();
    let store = open(&server.url()).await.epochs();
    let first = store.raise("shop", "acme", &org(), Sequence::ZERO).await.unwrap();
    let before = store.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert_eq!(server.cli(&["DEL", "{shop:acme}order"]), "1");
    let targets = [EpochTarget::Tag(tag!("org:8"))];
    let second = store.raise("shop", "acme", &targets, Sequence::ZERO).await.unwrap();
    assert_eq!(server.cli(&["ZCARD", "{shop:acme}order"]), "2");
    let changes = store.since("shop", "acme", before.mark, Sequence::ZERO).await.unwrap();
    let raised: Vec<_> = changes.epochs.iter().map(|(_, epoch)| *epoch).collect();
    assert!(raised.contains(&second) && !raised.contains(&first), "{changes:?}");
    assert!(changes.floor < first, "nothing was lost");
}

/// A copy from before the newest numbers, as a restart from the disk or a replica gives it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_an_older_copy_makes_the_record_anew() {
    let server = RedisServer::options().arg("save", "3600 1").start();
    let store = open(&server.url()).await.epochs();
    let saved = store.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert_eq!(server.cli(&["SAVE"]), "OK");
    let lost = store.raise("shop", "acme", &org(), Sequence(1 << 60)).await.unwrap();
    let seen = store.mark("shop", "acme").await.unwrap();
    assert_ne!(seen, saved.mark);
    server.kill();
    assert_transient(store.next("shop", "acme", Sequence::ZERO).await);
    server.restart();
    // Over each of its connections; the root's record is looked at alone.
    let answers = async || store.load("shop", "", Sequence::ZERO).await.is_ok();
    until_async("the store answers again", answers).await;
    let mark = store.mark("shop", "acme").await.unwrap();
    assert!(mark != saved.mark && mark != seen, "the copy looks like the state that was saved");
    let record = store.since("shop", "acme", saved.mark, lost).await.unwrap();
    assert!(record.floor >= lost, "what the lost raise ended stays ended");
    assert!(record.sequence > lost);
    // Others find the record made anew, and make it anew no second time.
    let other = open(&server.url()).await.epochs();
    assert_eq!(other.load("shop", "acme", Sequence::ZERO).await.unwrap().floor, record.floor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_loses_nothing() {
    let server = RedisServer::start();
    let store = open(&server.url()).await.epochs();
    let raised = store.raise("shop", "acme", &org(), Sequence::ZERO).await.unwrap();
    let before = store.load("shop", "acme", Sequence::ZERO).await.unwrap();
    server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let mark = async || store.mark("shop", "acme").await;
    until_async("the store answers again", async || mark().await.is_ok()).await;
    assert_eq!(mark().await.unwrap(), before.mark, "it is the same server");
    let after = store.since("shop", "acme", before.mark, Sequence::ZERO).await.unwrap();
    assert!(after.floor == before.floor && after.floor < raised);
}
