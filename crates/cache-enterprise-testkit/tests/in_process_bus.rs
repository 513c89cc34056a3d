//! The in-process bus loses nothing for good, whatever is done to it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::coherence::{Bus, Heard, Listener};
use cache_enterprise_core::{ErrorKind, ms, secs};
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::coherence::{Disturbance, InProcessBus, Link};
use tokio::time::{Instant, timeout};

fn frame(number: u32) -> Bytes {
    number.to_le_bytes().to_vec().into()
}

async fn publish(bus: &InProcessBus, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        bus.publish("shop", frame(number)).await.unwrap();
    }
}

/// Everything heard until the bus says that all of now is known, in order; and whether something
/// was lost.
async fn hear(listener: &mut dyn Listener) -> (Vec<u32>, bool) {
    let (mut frames, mut is_lost, start) = (Vec::new(), false, Instant::now());
    loop {
        match listener.next().await {
            Heard::Frame(frame) | Heard::Pushed { frame, .. } => {
                frames.push(u32::from_le_bytes(frame[..].try_into().unwrap()))
            }
            Heard::Current { age } if Instant::now() - age >= start => return (frames, is_lost),
            Heard::Current { .. } | Heard::Touched(_) => {}
            Heard::Lost => is_lost = true,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_undisturbed_bus_gives_every_frame_once_and_in_order() {
    let bus = InProcessBus::new();
    publish(&bus, [99]).await;
    let mut listener = bus.another().listen("shop").await.unwrap();
    let mut own = bus.listen("shop").await.unwrap();
    publish(&bus, 0..100).await;
    bus.publish("shop2", frame(7)).await.unwrap();
    let all: Vec<u32> = (0..100).collect();
    assert_eq!(hear(&mut *listener).await, (all.clone(), false));
    assert_eq!(hear(&mut *own).await, (all, false));
    assert_eq!((bus.listeners("shop"), bus.published("shop")), (2, 101));
    drop(own);
    assert_eq!(bus.listeners("shop"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_doubled_and_overtaken_is_heard_all_the_same() {
    let mut overtaken = 0;
    for seed in 0..50 {
        let bus = InProcessBus::seeded(Seed(seed));
        let delay_max = ms(700);
        bus.disturb(Disturbance { lost: 0.3, doubled: 0.3, delay_max, unanswered: 0.0 });
        let mut listener = bus.listen("shop").await.unwrap();
        publish(&bus, 0..200).await;
        let (frames, is_lost) = hear(&mut *listener).await;
        assert!(!is_lost, "seed {seed}");
        overtaken += u32::from(!frames.is_sorted());
        assert_eq!(frames.into_iter().collect::<BTreeSet<_>>().len(), 200, "seed {seed}");
    }
    assert!(overtaken > 10, "{overtaken} of 50 runs were out of order");
}

#[tokio::test(start_paused = true)]
async fn a_seed_gives_the_same_faults_again() {
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let bus = InProcessBus::seeded(Seed(seed));
        let delay_max = ms(50);
        bus.disturb(Disturbance { lost: 0.5, doubled: 0.5, delay_max, unanswered: 0.0 });
        let mut listener = bus.listen("shop").await.unwrap();
        publish(&bus, 0..100).await;
        runs.push(hear(&mut *listener).await);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn a_deaf_end_hears_after_the_cut_what_it_missed() {
    for link in [Link::Deaf, Link::Cut, Link::Hung] {
        let bus = InProcessBus::new();
        let other = bus.another();
        let mut listener = other.listen("shop").await.unwrap();
        hear(&mut *listener).await;
        publish(&bus, [1]).await;
        other.set(link);
        publish(&bus, [2, 3]).await;
        assert!(timeout(secs(60), listener.next()).await.is_err(), "{link:?} hears");
        other.set(Link::Whole);
        assert_eq!(hear(&mut *listener).await, (vec![1, 2, 3], false), "{link:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trimmed_or_lost_log_says_lost_to_whom_it_concerns() {
    let bus = InProcessBus::new().log_frames_max(5);
    let other = bus.another();
    let mut cut = other.listen("shop").await.unwrap();
    let mut whole = bus.listen("shop").await.unwrap();
    other.set(Link::Cut);
    publish(&bus, 0..5).await;
    assert_eq!(hear(&mut *whole).await, ((0..5).collect(), false));
    publish(&bus, 5..7).await;
    assert_eq!(hear(&mut *whole).await, (vec![5, 6], false));
    other.set(Link::Whole);
    assert_eq!(hear(&mut *cut).await, ((2..7).collect(), true));

    bus.lose_log();
    publish(&bus, [8]).await;
    for listener in [&mut *cut, &mut *whole] {
        let (frames, is_lost) = hear(listener).await;
        assert!(is_lost && frames.contains(&8), "{frames:?}");
    }
    publish(&bus, [9]).await;
    bus.trim("shop", 0);
    let (frames, is_lost) = hear(&mut *whole).await;
    assert_eq!((frames, is_lost), (vec![9], false), "it was pushed before it was trimmed");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_hears_of_its_own_cut() {
    let bus = InProcessBus::new();
    let mut listener = bus.another().listen("shop").await.unwrap();
    for link in [Link::Mute, Link::Cut] {
        bus.set(link);
        let error = bus.publish("shop", frame(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    bus.set(Link::Hung);
    assert!(timeout(secs(60), bus.publish("shop", frame(2))).await.is_err());
    assert!(bus.listen("shop").await.is_err());
    bus.set(Link::Whole);
    bus.disturb(Disturbance { unanswered: 1.0, ..Disturbance::default() });
    assert_eq!(bus.publish("shop", frame(3)).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(hear(&mut *listener).await, (vec![3], false));
    bus.close().await.unwrap();
    assert_eq!(bus.publish("shop", frame(4)).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_hung_goes_out_in_the_order_in_which_it_came() {
    let bus = InProcessBus::new();
    let mut listener = bus.another().listen("shop").await.unwrap();
    bus.set(Link::Hung);
    for number in 0..20 {
        let bus = bus.clone();
        tokio::spawn(async move { bus.publish("shop", frame(number)).await });
    }
    tokio::task::yield_now().await;
    bus.set(Link::Whole);
    tokio::task::yield_now().await;
    assert_eq!(hear(&mut *listener).await, ((0..20).collect(), false));
}

#[tokio::test(start_paused = true)]
async fn the_pulse_tells_the_age_of_the_answer() {
    let bus = InProcessBus::new().pulse_every(ms(100));
    let mut listener = bus.listen("shop").await.unwrap();
    let mut ages = Vec::new();
    let start = Instant::now();
    for _ in 0..4 {
        ages.push(listener.next().await);
    }
    assert_eq!(ages, vec![Heard::Current { age: Duration::ZERO }; 4]);
    assert_eq!(start.elapsed(), ms(300));
    bus.disturb(Disturbance { delay_max: secs(3), ..Disturbance::default() });
    let mut oldest = Duration::ZERO;
    for _ in 0..20 {
        let Heard::Current { age } = listener.next().await else { panic!("nothing was said") };
        oldest = oldest.max(age);
    }
    assert!(oldest > secs(1) && oldest <= secs(3), "{oldest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pulse_by_hand_comes_at_no_time_of_its_own() {
    let bus = InProcessBus::new().pulse_by_hand();
    let mut listener = bus.listen("shop").await.unwrap();
    assert!(timeout(secs(3_600), listener.next()).await.is_err());
    bus.pulse();
    assert_eq!(listener.next().await, Heard::Current { age: Duration::ZERO });
}
