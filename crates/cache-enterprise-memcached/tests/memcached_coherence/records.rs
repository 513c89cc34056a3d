//! Records that grow, servers that take less than they should, and processes that race.

use std::sync::Arc;

use cache_enterprise_core::coherence::{EpochStore, Sequence};
use cache_enterprise_core::{ErrorKind, secs};
use cache_enterprise_memcached::Memcached;
use cache_enterprise_testkit::servers::MemcachedServer;
use tokio::task::JoinSet;

use super::{client, raise, record_of, tag_named};

/// Twenty thousand tags do not fit: the oldest are no longer named, and nothing older than them is
/// trusted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_too_many_tags_folds_the_oldest() {
    let server = MemcachedServer::start();
    let one = client(&server);
    one.load("shop", "acme", Sequence::ZERO).await.unwrap();
    let first = raise(&*one, tag_named("first")).await;
    let mut last = first;
    for batch in 0..200 {
        let tags: Vec<_> = (0..100).map(|tag| tag_named(&format!("tag:{batch}:{tag}"))).collect();
        last = one.raise("shop", "acme", &tags, Sequence::ZERO).await.unwrap();
    }
    let record = one.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert!(record.floor >= first && record.floor < last);
    assert!(record.epochs.len() > 3_000, "{} tags are named", record.epochs.len());
    assert!(record.epochs.contains(&(tag_named("tag:199:99"), last)));
    let size = server.ask(&format!("mg {} s", record_of("shop", "acme")));
    let size: usize = size.trim_start_matches("HD s").parse().unwrap();
    assert!((100_000..=128 * 1024).contains(&size), "{size} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_smaller_items_name_fewer_tags() {
    let server = MemcachedServer::start();
    let servers = Memcached::servers([server.address()]).unwrap().item_bytes_max(32 * 1024);
    let one = servers.read_timeout(secs(20)).write_timeout(secs(20)).open().unwrap();
    one.load("shop", "acme", Sequence::ZERO).await.unwrap();
    let mut last = Sequence::ZERO;
    for batch in 0..50 {
        let tags: Vec<_> = (0..100).map(|tag| tag_named(&format!("tag:{batch}:{tag}"))).collect();
        last = one.raise("shop", "acme", &tags, Sequence::ZERO).await.unwrap();
    }
    let record = one.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert!(record.epochs.contains(&(tag_named("tag:49:99"), last)));
    assert!(record.epochs.len() < 2_000 && record.floor < last, "{}", record.epochs.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_too_long_for_a_record_ends_the_tenant() {
    let server = MemcachedServer::start();
    let one = client(&server);
    one.load("shop", "acme", Sequence::ZERO).await.unwrap();
    let number = raise(&*one, tag_named(&"long".repeat(250_000))).await;
    assert_eq!(one.load("shop", "acme", Sequence::ZERO).await.unwrap().floor, number);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raises_of_four_processes_lose_nothing() {
    let server = MemcachedServer::start();
    let mut tasks = JoinSet::new();
    for process in 0..4 {
        let store = client(&server);
        tasks.spawn(async move {
            let mut raised = Vec::new();
            for tag in 0..50 {
                let target = tag_named(&format!("{process}:{tag}"));
                let targets = std::slice::from_ref(&target);
                let number = store.raise("shop", "acme", targets, Sequence::ZERO).await.unwrap();
                raised.push((target, number));
            }
            raised
        });
    }
    let raised: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let record = client(&server).load("shop", "acme", Sequence::ZERO).await.unwrap();
    for epoch in raised {
        assert!(record.epochs.contains(&epoch) || record.floor >= epoch.1, "{epoch:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tokens_keeps_no_epochs() {
    let server = MemcachedServer::options().arg("-C", "-v").start();
    let one = client(&server);
    let raised = one.raise("shop", "acme", &[tag_named("org")], Sequence::ZERO).await;
    assert_eq!(raised.err().map(|error| error.kind()), None, "the first raise makes the record");
    let again = one.raise("shop", "acme", &[tag_named("org")], Sequence::ZERO).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Config);
    assert_eq!(one.mark("shop", "acme").await.unwrap_err().kind(), ErrorKind::Config);
}

/// Which server holds them is placement, the same for every process whatever the order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_find_one_home_among_several_servers() {
    let servers: Vec<_> = (0..3).map(|_| MemcachedServer::start()).collect();
    let mut addresses: Vec<_> = servers.iter().map(MemcachedServer::address).collect();
    let open = |addresses: &[String]| {
        let servers = Memcached::servers(addresses).unwrap();
        Arc::new(servers.read_timeout(secs(20)).write_timeout(secs(20)).open().unwrap())
    };
    let one = open(&addresses);
    addresses.reverse();
    let two = open(&addresses);
    for manager in ["shop", "mill", "port"] {
        let raised = one.raise(manager, "", &[tag_named("org")], Sequence::ZERO).await.unwrap();
        let record = two.load(manager, "", Sequence::ZERO).await.unwrap();
        assert!(record.epochs.contains(&(tag_named("org"), raised)), "{manager}");
        assert!(two.next(manager, "", Sequence::ZERO).await.unwrap() > raised);
    }
}
