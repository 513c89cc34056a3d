//! A bus on a server that is well.

use std::collections::BTreeSet;

use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, Heard};
use cache_enterprise_core::{ErrorKind, secs};
use cache_enterprise_redis::{Redis, RedisBus};
use cache_enterprise_testkit::servers::RedisServer;
use tokio::time::timeout;

use super::{Ear, MANAGER, open, publish};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_hears_what_any_of_them_publishes() {
    let server = RedisServer::start();
    let buses = [RedisBus::url(&server.url()).unwrap(), RedisBus::url(&server.url()).unwrap()];
    let mut ears = [Ear::on(&buses[0]).await, Ear::on(&buses[1]).await];
    let texts: Vec<String> = (0..500).map(|number| format!("frame {number}")).collect();
    for (number, text) in texts.iter().enumerate() {
        publish(&buses[number % 2], text).await;
    }
    for ear in &mut ears {
        ear.until_current().await;
        ear.assert_heard_all(&texts);
        assert_eq!(ear.frames.len(), texts.len(), "and nothing else");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_hears_what_comes_after_it_and_no_other_manager() {
    let server = RedisServer::start();
    let bus = RedisBus::url(&server.url()).unwrap();
    publish(&bus, "before").await;
    let mut ear = Ear::on(&bus).await;
    bus.publish("shop2", Bytes::from_static(b"other manager")).await.unwrap();
    let other = RedisBus::with(Redis::url(&server.url()).unwrap().database(3));
    publish(&other, "other database").await;
    publish(&bus, "after").await;
    ear.until_current().await;
    assert_eq!(ear.frames, BTreeSet::from(["after".to_owned()]));
    assert_eq!(ear.losses, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_publishes_over_the_connections_of_a_backend() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    let clients = || server.cli(&["CLIENT", "LIST"]).matches(" resp=3").count();
    let before = clients();
    let bus = RedisBus::sharing(&backend);
    publish(&bus, "one").await;
    assert_eq!(clients(), before, "no connection was opened");
    let mut ear = Ear::on(&bus).await;
    assert_eq!(clients(), before + 1, "a listener has one");
    publish(&bus, "two").await;
    ear.until_current().await;
    ear.assert_heard_all(&["two".to_owned()]);
    bus.close().await.unwrap();
    assert_eq!(bus.publish(MANAGER, Bytes::new()).await.unwrap_err().kind(), ErrorKind::Closed);
    super::put(&*backend, &super::key("user"), "Ada").await.unwrap();
}

/// Callers give up waiting all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_gives_up_waiting_loses_nothing() {
    let server = RedisServer::start();
    let bus = RedisBus::url(&server.url()).unwrap();
    let mut listener = bus.listen(MANAGER).await.unwrap();
    let texts: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let mut heard = Vec::new();
    for text in &texts {
        publish(&bus, text).await;
        // A poll, and the future is gone.
        if let Ok(Heard::Frame(frame)) = timeout(secs(0), listener.next()).await {
            heard.push(String::from_utf8(frame.to_vec()).unwrap());
        }
    }
    while heard.len() < texts.len() {
        match timeout(secs(30), listener.next()).await.expect("something is heard") {
            Heard::Frame(frame) => heard.push(String::from_utf8(frame.to_vec()).unwrap()),
            Heard::Lost => panic!("nothing had to be lost"),
            Heard::Pushed { .. } | Heard::Touched(_) | Heard::Current { .. } => {}
        }
    }
    assert_eq!(heard, texts, "each once, in their order");
}

/// Nobody takes what the listener has in hand: pushes are dropped, and read from the log later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_listener_loses_nothing() {
    let server = RedisServer::start();
    let bus = RedisBus::url(&server.url()).unwrap();
    let mut ear = Ear::on(&bus).await;
    let texts: Vec<String> = (0..3_000).map(|number| format!("frame {number}")).collect();
    for text in &texts {
        publish(&bus, text).await;
    }
    ear.until_current().await;
    ear.assert_heard_all(&texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_too_large_is_refused_and_one_that_just_fits_is_heard() {
    let server = RedisServer::start();
    let bus = RedisBus::url(&server.url()).unwrap();
    let mut ear = Ear::on(&bus).await;
    let too_large = Bytes::from(vec![b'x'; (1 << 20) + 1]);
    let fault = bus.publish(MANAGER, too_large.clone()).await.unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::TooLarge);
    bus.publish(MANAGER, too_large.slice(1..)).await.unwrap();
    ear.until_current().await;
    assert_eq!(ear.frames.first().map(String::len), Some(1 << 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_with_tls_and_users_carries_frames() {
    let server = RedisServer::options().client_certificates().user("app", "secret").start();
    let files = server.certificates();
    let redis = Redis::url(&server.url())
        .unwrap()
        .ca_file(files.ca_file())
        .client_certificate(files.client_certificate_file(), files.client_key_file());
    let bus = RedisBus::with(redis);
    let mut ear = Ear::on(&bus).await;
    publish(&bus, "secured").await;
    ear.until_current().await;
    ear.assert_heard_all(&["secured".to_owned()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_pushed_beside_their_frames_and_not_logged() {
    let server = RedisServer::start();
    let bus = RedisBus::url(&server.url()).unwrap();
    let mut listener = bus.listen(MANAGER).await.unwrap();
    let (frame, values) = (Bytes::from_static(b"a\nframe"), Bytes::from_static(b"\xff17-1 2\n\0"));
    bus.publish_with(MANAGER, frame.clone(), values.clone()).await.unwrap();
    loop {
        match timeout(secs(30), listener.next()).await.expect("something is heard") {
            Heard::Current { .. } => {}
            heard => break assert_eq!(heard, Heard::Pushed { frame, values }),
        }
    }
    let log = server.cli(&["XRANGE", "{shop:}log", "-", "+"]);
    assert!(log.contains("frame") && !log.contains("17-1 2"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_bus_is_silent() {
    let server = RedisServer::start();
    let bus = RedisBus::url(&server.url()).unwrap();
    let mut listener = bus.listen(MANAGER).await.unwrap();
    bus.close().await.unwrap();
    bus.close().await.unwrap();
    let fault = bus.listen(MANAGER).await.unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Closed);
    // What was in hand may still come; after it nothing does.
    let silent = async { while timeout(secs(1), listener.next()).await.is_ok() {} };
    timeout(secs(30), silent).await.expect("it is silent in the end");
}
