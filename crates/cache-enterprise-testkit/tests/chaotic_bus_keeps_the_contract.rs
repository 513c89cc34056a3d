//! A bus behind faults on purpose is still a bus: it loses nothing unsaid.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cache_enterprise_core::coherence::{Bus, Heard, Listener};
use cache_enterprise_core::{ErrorKind, ms, secs};
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::ChaosBus;
use cache_enterprise_testkit::coherence::{Disturbance, InProcessBus, Link};
use cache_enterprise_testkit::conformance::bus::{self, Fixture};

const MANAGER: &str = "shop";

/// Somebody's end of a bus, and a spoiled one.
fn ends() -> (InProcessBus, ChaosBus) {
    let wire = InProcessBus::new().pulse_every(ms(20));
    let bus = ChaosBus::new(Arc::new(wire.another()), Seed(7));
    (wire, bus)
}

/// What is heard until everything was that came before now, times left out.
async fn heard(listener: &mut dyn Listener) -> Vec<Heard> {
    let from = tokio::time::Instant::now();
    let mut all = Vec::new();
    loop {
        match listener.next().await {
            Heard::Current { age } if age < from.elapsed() => return all,
            Heard::Current { .. } => {}
            heard => all.push(heard),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_passes_the_suite_while_it_doubles_and_delays() {
    let seed = Seed::from_env_or(11);
    let _replay = seed.print_on_panic();
    let report = bus::run(|| async {
        let wire = InProcessBus::new().pulse_every(ms(20));
        let log = wire.clone();
        let one = ChaosBus::new(Arc::new(wire.another()), seed);
        let two = ChaosBus::new(Arc::new(wire), seed);
        two.disturb(Disturbance { doubled: 0.5, delay_max: ms(40), ..Disturbance::default() });
        let cut = two.clone();
        Fixture::new(Arc::new(one), Arc::new(two))
            .cut(move |is_cut| {
                cut.set(if is_cut { Link::Cut } else { Link::Whole });
                std::future::ready(())
            })
            .forget(move || {
                log.trim("suite", 0);
                std::future::ready(())
            })
    })
    .await;
    report.assert_passed();
    assert_eq!(report.not_tried(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_it_loses_is_said_to_be_lost_before_anything_is_current() {
    let (wire, bus) = ends();
    let mut listener = bus.listen(MANAGER).await.unwrap();
    bus.disturb(Disturbance { lost: 0.5, delay_max: ms(200), ..Disturbance::default() });
    for number in 0..100_u8 {
        wire.publish(MANAGER, vec![number].into()).await.unwrap();
    }
    let heard = heard(&mut *listener).await;
    let lost = heard.iter().filter(|heard| **heard == Heard::Lost).count();
    assert_eq!((heard.len(), lost as u64), (100, bus.faults()), "{heard:?}");
    assert!((20..80).contains(&lost), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn frames_overtake_each_other_and_come_twice() {
    let (wire, bus) = ends();
    let mut listener = bus.listen(MANAGER).await.unwrap();
    bus.disturb(Disturbance { doubled: 0.5, delay_max: ms(200), ..Disturbance::default() });
    for number in 0..100_u8 {
        wire.publish(MANAGER, vec![number].into()).await.unwrap();
    }
    let given: Vec<u8> = heard(&mut *listener)
        .await
        .into_iter()
        .map(|heard| match heard {
            Heard::Frame(frame) => frame[0],
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(given.len() as u64, 100 + bus.faults());
    assert!(bus.faults() > 20 && !given.is_sorted(), "{given:?}");
    assert!((0..100).all(|number| given.contains(&number)));
}

#[tokio::test(start_paused = true)]
async fn a_deaf_end_hears_nothing_until_it_is_whole() {
    let (wire, bus) = ends();
    let mut listener = bus.listen(MANAGER).await.unwrap();
    heard(&mut *listener).await;
    bus.set(Link::Deaf);
    bus.publish(MANAGER, "its own".into()).await.unwrap();
    wire.publish(MANAGER, "another's".into()).await.unwrap();
    assert!(tokio::time::timeout(secs(60), listener.next()).await.is_err());
    assert_eq!(bus.listen(MANAGER).await.unwrap_err().kind(), ErrorKind::Unavailable);
    bus.set(Link::Whole);
    let frames = [Heard::Frame("its own".into()), Heard::Frame("another's".into())];
    assert_eq!(heard(&mut *listener).await, frames);
}

#[tokio::test(start_paused = true)]
async fn calls_fail_hang_and_go_unanswered_as_told() {
    let (wire, bus) = ends();
    let mut listener = wire.listen(MANAGER).await.unwrap();
    bus.set(Link::Mute);
    let error = bus.publish(MANAGER, "unsent".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    bus.set(Link::Hung);
    let hung = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(MANAGER, "late".into()).await }
    });
    assert_eq!(heard(&mut *listener).await, []);
    bus.set(Link::Whole);
    hung.await.unwrap().unwrap();
    bus.disturb(Disturbance { unanswered: 1.0, ..Disturbance::default() });
    let error = bus.publish(MANAGER, "sent".into()).await.unwrap_err();
    assert_eq!((error.kind(), bus.faults()), (ErrorKind::Timeout, 2));
    let frames = [Heard::Frame("late".into()), Heard::Frame("sent".into())];
    assert_eq!(heard(&mut *listener).await, frames);
}
