//! A server that restarts, records that are deleted, and records that are evicted.

use cache_enterprise_core::Sequence;
use cache_enterprise_core::coherence::{EpochStore, EpochTarget};
use cache_enterprise_testkit::servers::MemcachedServer;

use super::{client, counter_of, delete, raise, record_of, tag_named};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_starts_every_process_cold_and_above_every_number() {
    let server = MemcachedServer::start();
    let (one, two) = (client(&server), client(&server));
    raise(&*one, tag_named("org:7")).await;
    let before = two.load("shop", "acme", Sequence::ZERO).await.unwrap();
    let newest = one.next("shop", "acme", Sequence::ZERO).await.unwrap();
    server.restart();
    // It has seen none of the numbers: the server's time is above them.
    let stranger = client(&server);
    assert!(stranger.next("shop", "acme", Sequence::ZERO).await.unwrap() > newest);
    let after = two.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert!(after.floor > newest, "{} after {newest}", after.floor);
    assert_ne!(after.mark, before.mark);
    assert_eq!(one.mark("shop", "acme").await.unwrap(), after.mark);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_deleted_by_hand_moves_the_floor_of_its_tenant() {
    let server = MemcachedServer::start();
    let (one, two) = (client(&server), client(&server));
    let other = one.load("shop", "other", Sequence::ZERO).await.unwrap();
    let number = raise(&*one, tag_named("org:7")).await;
    let before = two.load("shop", "acme", Sequence::ZERO).await.unwrap();
    delete(&server, &record_of("shop", "acme"));
    assert_ne!(two.mark("shop", "acme").await.unwrap(), before.mark);
    assert!(one.load("shop", "acme", Sequence::ZERO).await.unwrap().floor > number);
    assert_eq!(one.mark("shop", "other").await.unwrap(), other.mark, "others are left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_that_was_deleted_or_spoiled_goes_on_above_its_numbers() {
    let server = MemcachedServer::start();
    let mut newest = client(&server).next("shop", "acme", Sequence::ZERO).await.unwrap();
    let counter = counter_of("shop");
    for spoil in ["delete", "set no number", "set nothing"] {
        match spoil {
            "delete" => delete(&server, &counter),
            "set no number" => {
                assert_eq!(server.ask(&format!("set {counter} 0 0 5\r\nhello")), "STORED");
            }
            _ => assert_eq!(server.ask(&format!("set {counter} 0 0 0\r\n")), "STORED"),
        }
        let number = client(&server).next("shop", "acme", Sequence::ZERO).await.unwrap();
        assert!(number > newest, "{number} after {newest}: {spoil}");
        newest = number;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_program_wrote_over_a_record_is_taken_for_a_loss() {
    let server = MemcachedServer::start();
    let one = client(&server);
    let number = raise(&*one, tag_named("org:7")).await;
    let before = one.load("shop", "acme", Sequence::ZERO).await.unwrap();
    let set = format!("set {} 0 0 5\r\nhello", record_of("shop", "acme"));
    assert_eq!(server.ask(&set), "STORED");
    assert_ne!(one.mark("shop", "acme").await.unwrap(), before.mark);
    let after = one.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert!(after.floor > number);
    raise(&*one, EpochTarget::Tenant).await;
    assert_eq!(one.load("shop", "acme", Sequence::ZERO).await.unwrap().floor, after.floor);
}

/// Items of the size of a record push it out, as the values of a busy cache may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_evicted_moves_the_floor() {
    let server = MemcachedServer::options().memory_mb(2).start();
    let one = client(&server);
    let number = raise(&*one, tag_named("org:7")).await;
    let before = one.load("shop", "acme", Sequence::ZERO).await.unwrap();
    // A name, flags and a value as long as the record's: it comes from the same pages.
    let (record, value) = (record_of("shop", "acme"), "v".repeat(64));
    let mut written = 0;
    // Asked in a way that does not make it the item used last.
    while server.ask(&format!("me {record}")).starts_with("ME") {
        let sets: String = (written..written + 5_000)
            .map(|item| format!("set {item:066} 1 0 64 noreply\r\n{value}\r\n"))
            .collect();
        server.ask(&(sets + "version"));
        written += 5_000;
        assert!(written < 5_000_000, "nothing pushes the record out");
    }
    assert!(server.stat("evictions") > 0);
    let after = one.load("shop", "acme", Sequence::ZERO).await.unwrap();
    assert!(after.floor > number && after.mark != before.mark);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_fails_every_call_and_serves_again() {
    let server = MemcachedServer::start();
    let one = client(&server);
    raise(&*one, tag_named("org:7")).await;
    server.kill();
    assert!(one.mark("shop", "acme").await.unwrap_err().is_transient());
    assert!(one.next("shop", "acme", Sequence::ZERO).await.unwrap_err().is_transient());
    server.restart();
    one.mark("shop", "acme").await.unwrap();
}
