//! A value that its origin confirms to one process lives on in level 1 of the others: the same
//! value, by its etag, and as long as nothing ended it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::coherence::{Change, Frame};
use cache_enterprise_core::{mins, secs, tag};
use cache_enterprise_engine::{Cache, CacheSpec, LoadContext};

use super::Fleet;
use super::relay::Relay;

static PAGES: CacheSpec<u64, String> =
    CacheSpec::new("pages").ttl(secs(10)).stale_if_error(mins(5));

/// An origin that is asked by etag.
#[derive(Clone, Default)]
struct Origin {
    revision: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
    /// Whether it tells etags.
    is_plain: bool,
}

impl Origin {
    async fn load(&self, pages: &Cache<u64, String>) -> String {
        let origin = self.clone();
        let load = move |cx: LoadContext<String>| async move {
            origin.asked.fetch_add(1, Ordering::SeqCst);
            let revision = format!("r{}", origin.revision.load(Ordering::SeqCst));
            let known = cx.stale().is_some_and(|stale| **stale == revision);
            if known && (origin.is_plain || cx.etag() == Some(&revision)) {
                return Ok::<_, ()>(cx.not_modified());
            }
            if !origin.is_plain {
                cx.keep_etag(revision.clone());
            }
            Ok(cx.value(revision))
        };
        pages.fetch(&1).tags([tag!("page")]).detached(load).await.unwrap().to_string()
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Both hold the page; its life is over; the origin has confirmed it to the teller.
async fn confirmed(origin: &Origin) -> (Relay, [Cache<u64, String>; 2], Frame) {
    let mut relay = Relay::new().await;
    let open = |process: &super::Process| process.manager.open(&PAGES).unwrap();
    let pages = [open(&relay.teller), open(&relay.hearer)];
    assert_eq!(origin.load(&pages[0]).await, "r0");
    assert_eq!(pages[1].get(&1).await.unwrap().as_deref().map(String::as_str), Some("r0"));
    relay.hearer.pass(&relay.fleet, secs(11)).await;
    assert_eq!(origin.load(&pages[0]).await, "r0");
    assert_eq!((pages[0].stats().renewals, origin.asked()), (1, 2));
    let frame = relay.next().await;
    assert!(matches!(frame.notices[0].change, Change::Extended { .. }), "{frame:?}");
    (relay, pages, frame)
}

fn holds(pages: &Cache<u64, String>) -> bool {
    pages.peek(&1).is_some_and(|page| *page == "r0")
}

fn extended(relay: &Relay) -> u64 {
    relay.hearer.manager.bus_stats().unwrap().extended
}

#[tokio::test(start_paused = true)]
async fn until_its_new_life_ends_and_no_origin_is_asked_for_it() {
    let origin = Origin::default();
    let (mut relay, pages, frame) = confirmed(&origin).await;
    assert!(!holds(&pages[1]), "its life is over");
    relay.hand_on(&frame).await;
    assert!(holds(&pages[1]) && extended(&relay) == 1);
    let held = pages[1].peek(&1).unwrap();
    assert_eq!((held.is_stale(), held.age()), (false, secs(0)));
    assert_eq!(held.version(), pages[0].peek(&1).unwrap().version());
    relay.hearer.pass(&relay.fleet, secs(9)).await;
    assert!(holds(&pages[1]));
    relay.hearer.pass(&relay.fleet, secs(1)).await;
    assert!(!holds(&pages[1]), "it ends where it does in the other process");
    // And again: the copy is of the version that was told.
    assert_eq!(origin.load(&pages[0]).await, "r0");
    let frame = relay.next().await;
    relay.hand_on(&frame).await;
    assert!(holds(&pages[1]) && extended(&relay) == 2);
    relay.hand_on(&frame).await;
    assert_eq!((extended(&relay), origin.asked()), (2, 3), "told twice it says no more");
}

#[tokio::test(start_paused = true)]
async fn another_value_of_the_same_key_does_not_live_on() {
    let origin = Origin::default();
    let (relay, pages, mut frame) = confirmed(&origin).await;
    if let Change::Extended { etag, .. } = &mut frame.notices[0].change {
        *etag = "r1".into();
    }
    relay.hand_on(&frame).await;
    assert!(!holds(&pages[1]) && extended(&relay) == 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_ended_does_not_live_on() {
    for end in 0..4 {
        let origin = Origin::default();
        let (relay, pages, frame) = confirmed(&origin).await;
        match end {
            0 => drop(pages[1].expire(&1).await),
            1 => drop(pages[1].remove(&1).await),
            2 => relay.hearer.manager.invalidate(tag!("page")).await.strict().map(drop).unwrap(),
            _ => {
                let soft = relay.hearer.manager.invalidate(tag!("page")).soft().await;
                soft.strict().map(drop).unwrap();
            }
        }
        relay.hand_on(&frame).await;
        assert!(!holds(&pages[1]) && extended(&relay) == 0, "end {end}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_value_keeps_its_own_life() {
    let origin = Origin::default();
    let (relay, pages, frame) = confirmed(&origin).await;
    pages[1].set(&1, "r0").ttl(secs(1)).await;
    relay.hand_on(&frame).await;
    relay.fleet.clock.advance(secs(1));
    assert!(!holds(&pages[1]) && extended(&relay) == 0);
}

#[tokio::test(start_paused = true)]
async fn a_copy_in_doubt_does_not_live_on() {
    let origin = Origin::default();
    let (relay, pages, frame) = confirmed(&origin).await;
    relay.fleet.bus.lose_log();
    let lost = || relay.hearer.manager.bus_stats().unwrap().lost > 0;
    relay.hearer.heard("the loss", lost).await;
    relay.hand_on(&frame).await;
    assert!(!holds(&pages[1]) && extended(&relay) == 0);
}

#[tokio::test(start_paused = true)]
async fn without_an_etag_nobody_is_told() {
    let origin = Origin { is_plain: true, ..Origin::default() };
    let mut relay = Relay::new().await;
    let pages = relay.teller.manager.open(&PAGES).unwrap();
    origin.load(&pages).await;
    relay.fleet.clock.advance(secs(11));
    origin.load(&pages).await;
    assert_eq!(pages.stats().renewals, 1);
    let frame = relay.set(2, 20).await;
    let is_end = matches!(frame.notices[0].change, Change::Key { .. });
    assert!(is_end && frame.notices.len() == 1, "{frame:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_asks_the_origin_once_a_life() {
    let (fleet, origin) = (Fleet::new(), Origin::default());
    let (one, other) = (fleet.process().await, fleet.process().await);
    let pages = [&one, &other].map(|process| process.manager.open(&PAGES).unwrap());
    origin.load(&pages[0]).await;
    assert!(pages[1].get(&1).await.unwrap().is_some());
    for round in 1..6 {
        other.pass(&fleet, secs(10)).await;
        assert_eq!(origin.load(&pages[0]).await, "r0");
        other.heard("it lives on", || holds(&pages[1])).await;
        assert_eq!(origin.asked(), 1 + round);
    }
}
