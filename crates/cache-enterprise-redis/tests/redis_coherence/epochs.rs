//! Numbers and epochs on a server that keeps them.

use std::collections::BTreeSet;
use std::sync::Arc;

use cache_enterprise_core::coherence::{EpochMark, EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{Tag, secs, tag};
use cache_enterprise_testkit::conformance::epoch_store::{self, Fixture};
use cache_enterprise_testkit::servers::RedisServer;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::open;

async fn suite(server: RedisServer) {
    let server = Arc::new(server);
    let report = epoch_store::run(|| async {
        server.cli(&["FLUSHALL"]);
        let first = store(&server).await;
        let opened = || {
            let server = Arc::clone(&server);
            move || {
                let server = Arc::clone(&server);
                async move { store(&server).await }
            }
        };
        let told = |command: &'static [&'static str]| {
            let server = Arc::clone(&server);
            move || {
                server.cli(command);
                async {}
            }
        };
        let (again, watched) = (Arc::clone(&server), Arc::clone(&first));
        let restart = move || {
            again.restart();
            let store = Arc::clone(&watched);
            let answers = async move {
                while store.load("suite", "acme", Sequence::ZERO).await.is_err() {
                    tokio::task::yield_now().await;
                }
            };
            async move { timeout(secs(30), answers).await.expect("the store answers again") }
        };
        Fixture::new(first)
            .reopen(opened())
            .another(opened())
            .lose(told(&["DEL", "{suite:acme}epochs"]))
            .set_back(told(&["EVAL", SET_BACK, "1", "{suite:acme}epochs"]))
            .restart(restart)
    })
    .await;
    report.assert_passed();
    // Reservations are asked of stores that are not shared.
    assert!(report.ran() >= 55 && report.not_claimed() < 10, "{report:?}");
    assert_eq!(report.not_tried(), 0, "{report}");
}

const SET_BACK: &str = r"return redis.call('HSET', KEYS[1], '#sequence', '\0\0\0\0\0\0\0\1')";

async fn store(server: &RedisServer) -> Arc<dyn EpochStore> {
    Arc::new(open(&server.url()).await.epochs())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_passes_the_suite() {
    suite(RedisServer::start()).await;
}

/// What Redis 6.2 has: scripts and no functions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_functions_passes_the_suite_with_scripts() {
    let server = RedisServer::options()
        .arg("rename-command", "FUNCTION \"\"")
        .arg("rename-command", "FCALL \"\"")
        .start();
    suite(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_take_the_same_number_and_each_is_above_what_was_given_before() {
    let server = RedisServer::start();
    let stores = [open(&server.url()).await.epochs(), open(&server.url()).await.epochs()];
    let mut takers = JoinSet::new();
    for store in stores {
        let store = Arc::new(store);
        for _ in 0..8 {
            let store = Arc::clone(&store);
            takers.spawn(async move {
                let mut numbers = Vec::new();
                for _ in 0..100 {
                    let number = store.next("shop", "acme", Sequence::ZERO).await.unwrap();
                    assert!(numbers.last().is_none_or(|last| *last < number), "they rise");
                    numbers.push(number);
                }
                numbers
            });
        }
    }
    let numbers: Vec<Sequence> = takers.join_all().await.into_iter().flatten().collect();
    let distinct: BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), 1_600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_not_below_the_time_of_the_server() {
    let server = RedisServer::start();
    let store = open(&server.url()).await.epochs();
    let printed = server.cli(&["TIME"]);
    let mut parts = printed.lines().map(|part| part.parse::<u64>().unwrap());
    let micros = parts.next().unwrap() * 1_000_000 + parts.next().unwrap();
    for tenant in ["", "acme", "umbrella"] {
        assert!(store.next("shop", tenant, Sequence::ZERO).await.unwrap() > Sequence(micros));
        let raised = store.raise("shop", tenant, &[EpochTarget::Tenant], Sequence::ZERO).await;
        assert!(raised.unwrap() > Sequence(micros));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_stands_still_until_a_group_is_invalidated() {
    let server = RedisServer::start();
    let (mine, other) = (open(&server.url()).await.epochs(), open(&server.url()).await.epochs());
    let mut mark = mine.load("shop", "acme", Sequence::ZERO).await.unwrap().mark;
    let targets = [
        EpochTarget::Tag(tag!("org:7")),
        EpochTarget::Tag(tag!("org:7")).soft(),
        EpochTarget::Tenant,
        EpochTarget::Everything,
        EpochTarget::Everything.soft(),
    ];
    for (round, target) in targets.into_iter().enumerate() {
        for _ in 0..3 {
            other.next("shop", "acme", Sequence::ZERO).await.unwrap();
            other.raise("shop", "umbrella", &[EpochTarget::Tenant], Sequence::ZERO).await.unwrap();
            assert_eq!(mine.mark("shop", "acme").await.unwrap(), mark, "round {round}");
        }
        let tenant = if round < 3 { "acme" } else { "umbrella" };
        let targets = std::slice::from_ref(&target);
        let at = other.raise("shop", tenant, targets, Sequence::ZERO).await.unwrap();
        let seen = mine.mark("shop", "acme").await.unwrap();
        assert_ne!(seen, mark, "{target:?}");
        let record = mine.since("shop", "acme", mark, Sequence::ZERO).await.unwrap();
        assert!(epoch_of(&record, &target) >= Some(at), "{target:?} of {record:?}");
        assert!(record.sequence > at || tenant != "acme");
        mark = record.mark;
    }
}

fn epoch_of(record: &EpochRecord, target: &EpochTarget) -> Option<Sequence> {
    let epochs = record.epochs.iter().filter(|(known, _)| known == target);
    epochs.map(|(_, epoch)| *epoch).max()
}

/// A record of thousands of targets is not sent again for each one that is raised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_changed_since_a_mark_is_sent() {
    let server = RedisServer::start();
    let store = open(&server.url()).await.epochs();
    store.load("shop", "acme", Sequence::ZERO).await.unwrap();
    let targets: Vec<_> = (0..2_000)
        .map(|number| EpochTarget::Cache(Tag::from(format!("c{number}").as_str())))
        .collect();
    store.raise("shop", "acme", &targets, Sequence::ZERO).await.unwrap();
    let whole = store.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert!(whole.epochs.len() >= 2_000);
    let nothing = store.since("shop", "acme", whole.mark, Sequence::ZERO).await.unwrap();
    assert_eq!((nothing.mark, nothing.epochs.len()), (whole.mark, 0));
    let at = store.raise("shop", "acme", &targets[5..7], Sequence::ZERO).await.unwrap();
    let some = store.since("shop", "acme", whole.mark, Sequence::ZERO).await.unwrap();
    assert_eq!(some.epochs.len(), 2, "{some:?}");
    assert!(targets[5..7].iter().all(|target| epoch_of(&some, target) == Some(at)));
    // A raise that a mark knows is not told again, and a mark that nobody gave knows none.
    let none = store.since("shop", "acme", some.mark, Sequence::ZERO).await.unwrap();
    assert_eq!(none.epochs.len(), 0);
    let other = open(&server.url()).await.epochs();
    let none = other.since("shop", "acme", some.mark, Sequence::ZERO).await.unwrap();
    assert_eq!((none.mark, none.epochs.len()), (some.mark, 0), "for another process as well");
    let all = other.since("shop", "acme", EpochMark([7; 3]), Sequence::ZERO).await.unwrap();
    assert!(all.epochs.len() >= 2_000);
}

/// Over the limit the oldest epochs fold into the floor, which ends as much and more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_of_too_many_targets_fold_into_the_floor() {
    let server = RedisServer::start();
    let store = open(&server.url()).await.epochs();
    let target = |number: usize| EpochTarget::Tag(tag!("t{number}"));
    let mut first = Sequence::ZERO;
    for chunk in 0..205 {
        let targets: Vec<_> = (chunk * 500..(chunk + 1) * 500).map(target).collect();
        let at = store.raise("shop", "acme", &targets, Sequence::ZERO).await.unwrap();
        first = if chunk == 0 { at } else { first };
    }
    let record = store.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert!(record.epochs.len() <= 100_002, "{} epochs", record.epochs.len());
    assert!(record.floor >= first && epoch_of(&record, &target(0)).is_none());
    assert!(epoch_of(&record, &target(102_499)).is_some(), "the newest stand");
    assert!(record.floor < record.sequence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_any_entry_folds_too() {
    let server = RedisServer::start();
    let store = open(&server.url()).await.epochs();
    let loaded = store.load("shop", "acme", Sequence::ZERO).await.unwrap();
    // Two months ago, as a server that ran since then would hold it.
    let old = (loaded.sequence.0 - 60 * 86_400 * 1_000_000).to_be_bytes();
    let text: String = old.iter().map(|byte| format!("\\{byte:03}")).collect();
    let script = format!(
        "redis.call('HSET', KEYS[1], 'told', \"{text}\"); redis.call('ZADD', KEYS[2], 0, \"{text}told\")"
    );
    let eval = ["EVAL", &script, "2", "{shop:acme}epochs", "{shop:acme}order"];
    server.cli(&eval);
    assert_eq!(server.cli(&["HEXISTS", "{shop:acme}epochs", "told"]), "1");
    store.raise("shop", "acme", &[EpochTarget::Tag(tag!("new"))], Sequence::ZERO).await.unwrap();
    assert_eq!(server.cli(&["HEXISTS", "{shop:acme}epochs", "told"]), "0");
    assert_eq!(server.cli(&["ZCARD", "{shop:acme}order"]), "1");
}
