//! A bus whose server, log or connections fail.

use std::sync::Arc;
use std::time::Instant;

use cache_enterprise_core::coherence::{Bus, Heard};
use cache_enterprise_core::{ms, secs};
use cache_enterprise_redis::RedisBus;
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::ChaosBus;
use cache_enterprise_testkit::coherence::{Disturbance, Link};
use cache_enterprise_testkit::conformance::bus::{self, Fixture};
use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;

use super::{Ear, MANAGER, hasty, publish};

/// The suite of buses, each case with a log and a proxy of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_passes_the_suite() {
    let server = Arc::new(RedisServer::start());
    for fault in [Fault::Reset, Fault::BlackHole] {
        let report = bus::run(|| async {
            server.cli(&["FLUSHALL"]);
            let proxy = Arc::new(TcpProxy::to(&server.address()));
            let one = RedisBus::with(hasty(&server.url()));
            let two = RedisBus::with(hasty(&server.url_at(&proxy.address())));
            let log = Arc::clone(&server);
            Fixture::new(Arc::new(one), Arc::new(two))
                .cut(move |is_cut| {
                    if is_cut {
                        proxy.set(fault)
                    } else {
                        proxy.heal()
                    }
                    std::future::ready(())
                })
                .forget(move || {
                    log.cli(&["DEL", "{suite:}log"]);
                    std::future::ready(())
                })
        })
        .await;
        report.assert_passed();
        assert_eq!(report.not_tried(), 0);
    }
}

/// Frames of a server that are doubled, delayed and held back at the listener's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoiled_end_passes_the_suite() {
    let server = Arc::new(RedisServer::start());
    let report = bus::run(|| async {
        server.cli(&["FLUSHALL"]);
        let one = RedisBus::with(hasty(&server.url()));
        let two = ChaosBus::new(Arc::new(RedisBus::with(hasty(&server.url()))), Seed(7));
        two.disturb(Disturbance { doubled: 0.2, delay_max: ms(40), ..Disturbance::default() });
        let cut = two.clone();
        Fixture::new(Arc::new(one), Arc::new(two)).cut(move |is_cut| {
            cut.set(if is_cut { Link::Cut } else { Link::Whole });
            std::future::ready(())
        })
    })
    .await;
    report.assert_passed();
}

/// The bus of the listener through a proxy, the other one past it.
struct Stage {
    server: RedisServer,
    proxy: TcpProxy,
    heard: RedisBus,
    told: RedisBus,
}

impl Stage {
    fn set() -> Self {
        let server = RedisServer::start();
        let proxy = TcpProxy::to(&server.address());
        let heard = RedisBus::with(hasty(&server.url_at(&proxy.address())));
        let told = RedisBus::with(hasty(&server.url()));
        Self { server, proxy, heard, told }
    }

    async fn publish(&self, name: &str, count: usize) -> Vec<String> {
        let texts: Vec<String> = (0..count).map(|number| format!("{name} {number}")).collect();
        for text in &texts {
            publish(&self.told, text).await;
        }
        texts
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_while_a_listener_was_cut_off_is_heard_after_it() {
    for fault in [Fault::Reset, Fault::Close, Fault::BlackHole, Fault::HalfOpen, Fault::Stall] {
        let stage = Stage::set();
        let mut ear = Ear::on(&stage.heard).await;
        let mut texts = stage.publish("before", 10).await;
        stage.proxy.set(fault);
        texts.extend(stage.publish("meanwhile", 300).await);
        stage.proxy.heal();
        texts.extend(stage.publish("after", 10).await);
        ear.until_current().await;
        ear.assert_heard_all(&texts);
    }
}

/// Pushes and answers that stop in their middle, over and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_torn_again_and_again_lose_nothing() {
    let stage = Stage::set();
    let mut ear = Ear::on(&stage.heard).await;
    let mut texts = Vec::new();
    for round in 0..20 {
        stage.proxy.set(Fault::ResetAfter { reply_bytes: round * 37 });
        texts.extend(stage.publish(&format!("round {round}"), 20).await);
        stage.proxy.heal();
        ear.until_current().await;
    }
    ear.assert_heard_all(&texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_bus_says_nothing_of_being_current() {
    for fault in [Fault::BlackHole, Fault::HalfOpen, Fault::Stall] {
        let stage = Stage::set();
        let mut ear = Ear::on(&stage.heard).await;
        ear.until_current().await;
        stage.proxy.set(fault);
        let silent = Instant::now();
        let told = stage.publish("meanwhile", 1).await;
        let opened = stage.proxy.accepted();
        let tried = until_async("the listener has tried to connect again, twice", async || {
            stage.proxy.accepted() >= opened + 2
        });
        tokio::pin!(tried);
        loop {
            let heard = tokio::select! {
                () = &mut tried => break,
                heard = ear.next() => heard,
            };
            // What was answered before it fell silent may come later, and says how old it is.
            if let Heard::Current { age } = heard {
                assert!(age >= silent.elapsed(), "{fault:?}: nobody can know that");
            }
        }
        stage.proxy.heal();
        ear.until_current().await;
        ear.assert_heard_all(&told);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_trimmed_past_the_listener_is_a_loss() {
    let stage = Stage::set();
    let mut ear = Ear::on(&stage.heard).await;
    let mut texts = stage.publish("before", 10).await;
    ear.until_current().await;
    stage.proxy.set(Fault::Reset);
    texts.extend(stage.publish("meanwhile", 50).await);
    assert_eq!(stage.server.cli(&["XTRIM", "{shop:}log", "MAXLEN", "4"]), "57");
    stage.proxy.heal();
    ear.until_current().await;
    assert_eq!(ear.losses, 1, "said once");
    let after = stage.publish("after", 10).await;
    ear.until_current().await;
    assert!(after.iter().all(|text| ear.frames.contains(text)) && ear.losses == 1);
}

/// Trimmed, and not as far as the entry that was heard last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_trimmed_up_to_the_listener_is_no_loss() {
    let stage = Stage::set();
    let mut ear = Ear::on(&stage.heard).await;
    let mut texts = stage.publish("before", 10).await;
    ear.until_current().await;
    stage.proxy.set(Fault::Reset);
    texts.extend(stage.publish("meanwhile", 50).await);
    stage.server.cli(&["XTRIM", "{shop:}log", "MAXLEN", "51"]);
    stage.proxy.heal();
    ear.until_current().await;
    ear.assert_heard_all(&texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_vanished_is_a_loss_also_while_the_connection_stands() {
    for command in
        [&["FLUSHALL"][..], &["DEL", "{shop:}log"], &["DEL", "{shop:}log", "{shop:}tail"]]
    {
        for is_cut in [false, true] {
            let stage = Stage::set();
            let mut ear = Ear::on(&stage.heard).await;
            stage.publish("before", 10).await;
            ear.until_current().await;
            if is_cut {
                stage.proxy.set(Fault::Reset);
                stage.publish("meanwhile", 5).await;
            }
            stage.server.cli(command);
            stage.proxy.heal();
            ear.until_current().await;
            assert_eq!(ear.losses, 1, "{command:?}, cut: {is_cut}");
            let after = stage.publish("after", 10).await;
            ear.until_current().await;
            assert!(after.iter().all(|text| ear.frames.contains(text)), "{command:?}");
        }
    }
}

/// A server that evicts may take the small key that tells the newest entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_that_was_evicted_is_no_loss() {
    let stage = Stage::set();
    let mut ear = Ear::on(&stage.heard).await;
    let mut texts = stage.publish("before", 10).await;
    assert_eq!(stage.server.cli(&["DEL", "{shop:}tail"]), "1");
    ear.until_current().await;
    texts.extend(stage.publish("after", 10).await);
    ear.until_current().await;
    ear.assert_heard_all(&texts);
}

/// A copy of the log from before the newest entries, and others in their places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_with_an_older_log_is_a_loss() {
    let server = RedisServer::options().arg("save", "3600 1").start();
    let bus = RedisBus::with(hasty(&server.url()));
    let mut ear = Ear::on(&bus).await;
    publish(&bus, "saved").await;
    assert_eq!(server.cli(&["SAVE"]), "OK");
    publish(&bus, "lost").await;
    ear.until_current().await;
    server.kill();
    server.restart();
    let other = RedisBus::with(hasty(&server.url()));
    publish(&other, "after").await;
    ear.until_current().await;
    assert_eq!(ear.losses, 1);
    publish(&other, "later").await;
    ear.until_current().await;
    assert!(ear.frames.contains("later") && ear.losses == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_server_is_waited_for_and_what_comes_after_it_is_heard() {
    let stage = Stage::set();
    let mut ear = Ear::on(&stage.heard).await;
    let mut texts = stage.publish("before", 10).await;
    ear.until_current().await;
    stage.server.pause();
    let fault = stage.told.publish(MANAGER, bytes::Bytes::from_static(b"x")).await.unwrap_err();
    assert!(fault.is_transient(), "{fault:?}");
    let opened = stage.proxy.accepted();
    until_async("the listener has given the connection up", async || {
        stage.proxy.accepted() > opened
    })
    .await;
    stage.server.resume();
    texts.extend(stage.publish("after", 10).await);
    ear.until_current().await;
    ear.assert_heard_all(&texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_cannot_be_reached_says_so_at_once() {
    let server = RedisServer::start();
    server.kill();
    let bus = RedisBus::with(hasty(&server.url()));
    let listened = tokio::time::timeout(secs(30), bus.listen(MANAGER)).await.unwrap();
    assert!(listened.unwrap_err().is_transient());
    let told = bus.publish(MANAGER, bytes::Bytes::from_static(b"x")).await;
    assert!(told.unwrap_err().is_transient());
    server.restart();
    publish(&bus, "after").await;
    let mut ear = Ear::on(&bus).await;
    ear.until_current().await;
}
