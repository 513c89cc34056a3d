use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Listener, Sequence};
use cache_enterprise_core::{KeySpace, NoObserver};

use super::*;

/// Takes frames, or refuses them.
#[derive(Debug, Default)]
struct Wire {
    frames: Mutex<Vec<Frame>>,
    is_down: AtomicBool,
    refused: AtomicU64,
}

#[async_trait]
impl Bus for Wire {
    fn name(&self) -> &str {
        "wire"
    }

    async fn publish(&self, _: &str, frame: Bytes) -> Result<()> {
        // The round trip, in which others come.
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.is_down.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::Unavailable, "the wire is cut"));
        }
        self.frames.lock().push(Frame::decode(&frame)?);
        Ok(())
    }

    async fn listen(&self, _: &str) -> Result<Box<dyn Listener>> {
        Err(Error::new(ErrorKind::Unsupported, "nobody listens here"))
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

impl Wire {
    /// Every notice the wire took, as (key or tenant, number).
    fn told(&self) -> Vec<(String, u64)> {
        let frames = self.frames.lock();
        let notices = frames.iter().flat_map(|frame| &frame.notices);
        let named = notices.map(|notice| {
            let subject = match &notice.change {
                Change::Raised(target) => format!("{}{}", notice.tenant, target.field()),
                Change::Key { key, .. } | Change::Expired { key } => key.key().to_owned(),
                other => panic!("nobody tells {other:?} here"),
            };
            (subject, notice.at.0)
        });
        named.collect()
    }
}

fn start() -> (Arc<Wire>, Arc<Outbox>) {
    let wire = Arc::new(Wire::default());
    let bus = Arc::clone(&wire) as Arc<dyn Bus>;
    let outbox = Outbox::new(bus, "shop", SourceId(1), Arc::new(NoObserver));
    tokio::spawn(Arc::clone(&outbox).run());
    (wire, outbox)
}

fn key(number: u64, at: u64) -> Notice {
    let space = KeySpace::new("shop", "acme", "numbers").expect("plain names");
    let key = space.key(&number).expect("a short key");
    Notice { tenant: "acme".into(), at: Sequence(at), change: Change::Key { key, value: None } }
}

fn expired(number: u64, at: u64) -> Notice {
    let notice = key(number, at);
    let Change::Key { key, .. } = notice.change else { unreachable!("it was just made") };
    Notice { change: Change::Expired { key }, ..notice }
}

#[tokio::test(start_paused = true)]
async fn a_lone_notice_waits_for_nothing() {
    let (wire, outbox) = start();
    let begun = Instant::now();
    outbox.tell(vec![key(1, 5)]).await.expect("the wire is whole");
    assert!(begun.elapsed() < Duration::from_millis(3), "{:?}", begun.elapsed());
    assert_eq!(wire.told(), [("1".to_owned(), 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_key_in_a_storm_is_told_of_once_in_a_window() {
    let (wire, outbox) = start();
    let begun = Instant::now();
    for at in 1..=1_000 {
        let outbox = Arc::clone(&outbox);
        tokio::spawn(async move { outbox.tell(vec![key(1, at)]).await });
        if at % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    outbox.drained().await;
    let windows = begun.elapsed().as_millis() / WINDOW.as_millis() + 2;
    let told = wire.told();
    assert!(told.len() as u128 <= windows, "{} frames in {windows} windows", told.len());
    assert_eq!(told.last(), Some(&("1".to_owned(), 1_000)), "the last one wins");
}

#[tokio::test(start_paused = true)]
async fn many_notices_share_frames_and_keep_their_order() {
    let (wire, outbox) = start();
    outbox.tell((0..2_000).map(|number| key(number, number + 1)).collect()).await.expect("whole");
    assert_eq!(wire.frames.lock().len(), 2_000_usize.div_ceil(FRAME_NOTICES_MAX));
    assert!(wire.told().is_sorted_by_key(|(_, at)| *at));
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_told_first_when_the_wire_is_back() {
    let (wire, outbox) = start();
    wire.is_down.store(true, Ordering::SeqCst);
    assert!(outbox.tell(vec![key(1, 5), key(2, 6)]).await.is_err());
    assert!(outbox.tell(vec![key(3, 7), key(1, 8)]).await.is_err(), "it is still down");
    assert_eq!(outbox.waiting(), 3);
    wire.is_down.store(false, Ordering::SeqCst);
    outbox.drained().await;
    let told = wire.told();
    assert_eq!(told.len(), 3);
    assert!(told.contains(&("1".to_owned(), 8)) && told.contains(&("2".to_owned(), 6)));
}

#[tokio::test(start_paused = true)]
async fn a_hard_end_is_not_softened_by_a_later_soft_one() {
    let (wire, outbox) = start();
    wire.is_down.store(true, Ordering::SeqCst);
    let told = outbox.tell(vec![key(1, 5), expired(1, 6), expired(2, 7), key(2, 8)]).await;
    assert!(told.is_err());
    wire.is_down.store(false, Ordering::SeqCst);
    outbox.drained().await;
    let frames = wire.frames.lock();
    let is_hard = |notice: &Notice| matches!(notice.change, Change::Key { .. });
    assert!(frames.iter().flat_map(|frame| &frame.notices).all(is_hard));
}

#[tokio::test(start_paused = true)]
async fn more_than_is_kept_ends_its_tenants() {
    let (wire, outbox) = start();
    wire.is_down.store(true, Ordering::SeqCst);
    let many = 0..WAITING_MAX as u64 + 1;
    assert!(outbox.tell(many.map(|number| key(number, number + 1)).collect()).await.is_err());
    assert_eq!((outbox.waiting(), outbox.stats().overflows), (1, 1));
    wire.is_down.store(false, Ordering::SeqCst);
    outbox.drained().await;
    assert_eq!(wire.told(), [("acme.".to_owned(), WAITING_MAX as u64 + 1)]);
}

#[tokio::test(start_paused = true)]
async fn attempts_come_less_often_while_the_wire_is_cut() {
    let (wire, outbox) = start();
    wire.is_down.store(true, Ordering::SeqCst);
    assert!(outbox.tell(vec![key(1, 5)]).await.is_err());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let refused = wire.refused.load(Ordering::SeqCst);
    assert!((55..75).contains(&refused), "{refused} attempts in a minute");
}
