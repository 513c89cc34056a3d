//! The suites of the test kit.

use std::sync::Arc;

use cache_enterprise_core::coherence::{EpochStore, Lease, Sequence};
use cache_enterprise_core::{Backend, Clock, ErrorKind, KeySpace, OpContext, Put, secs};
use cache_enterprise_memcached::{Memcached, Protocol};
use cache_enterprise_testkit::conformance::{epoch_store, lease};
use cache_enterprise_testkit::servers::MemcachedServer;

use super::{client, counter_of, delete, record_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_epochs_pass_the_suite_of_epoch_stores() {
    let server = Arc::new(MemcachedServer::start());
    let report = epoch_store::run(|| async {
        assert_eq!(server.ask("flush_all"), "OK");
        let with = || Arc::clone(&server);
        let (other, again) = (with(), with());
        let (lost, started, reset) = (with(), with(), with());
        epoch_store::Fixture::new(client(&server))
            .another(move || std::future::ready(client(&other) as _))
            .reopen(move || std::future::ready(client(&again) as _))
            .lose(move || {
                delete(&lost, &record_of("suite", "acme"));
                std::future::ready(())
            })
            .restart(move || {
                started.restart();
                std::future::ready(())
            })
            .set_back(move || {
                let set = format!("set {} 0 0 1\r\n1", counter_of("suite"));
                assert_eq!(reset.ask(&set), "STORED");
                std::future::ready(())
            })
    })
    .await;
    report.assert_passed();
    // Reservations, which nobody asks of a shared store.
    assert_eq!((report.not_claimed(), report.not_tried()), (5, 0), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leases_pass_the_suite_of_leases() {
    for protocol in [Protocol::Meta, Protocol::Binary] {
        let server = MemcachedServer::start();
        let report = lease::run(|| async {
            assert_eq!(server.ask("flush_all"), "OK");
            let clock = Clock::manual();
            let open = || {
                let servers = Memcached::servers([server.address()]).unwrap().protocol(protocol);
                let patient = servers.read_timeout(secs(20)).write_timeout(secs(20));
                Arc::new(patient.clock(clock.clone()).open().unwrap())
            };
            let (one, two) = (open(), open());
            lease::Fixture::new(one.clone(), one, two).clock(clock)
        })
        .await;
        report.assert_passed();
        assert_eq!(report.not_tried(), 0, "{report}");
    }
}

#[tokio::test]
async fn only_the_meta_protocol_keeps_epochs() {
    let server = MemcachedServer::start();
    for protocol in [Protocol::Binary, Protocol::Ascii] {
        let backend = super::client_by(&server, protocol);
        assert!(!backend.is_shared());
        epoch_store_is_refused(&*backend).await;
    }
    assert!(client(&server).is_shared());
}

#[tokio::test]
async fn the_text_protocol_swaps_nothing() {
    let server = MemcachedServer::start();
    let backend = super::client_by(&server, Protocol::Ascii);
    assert!(!backend.capabilities().swap);
    let key = KeySpace::new("shop", "acme", "users").unwrap().key(&7_u8).unwrap();
    let (how, call) = (Put::default(), OpContext::default());
    let refused = backend.swap(&key, "Ada".into(), how, Sequence::ZERO, &call).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(client(&server).capabilities().swap);
}

#[tokio::test]
async fn the_text_protocol_gives_no_leases() {
    let server = MemcachedServer::start();
    let backend = super::client_by(&server, Protocol::Ascii);
    let key = KeySpace::new("shop", "acme", "users").unwrap().key(&7_u8).unwrap();
    let refused = backend.acquire(&key, secs(1)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

async fn epoch_store_is_refused(store: &dyn EpochStore) {
    let refusals = [
        store.load("shop", "", Sequence::ZERO).await.err(),
        store.raise("shop", "", &[], Sequence::ZERO).await.err(),
        store.next("shop", "", Sequence::ZERO).await.err(),
        store.mark("shop", "").await.err(),
    ];
    for refused in refusals {
        assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::Unsupported));
    }
}
