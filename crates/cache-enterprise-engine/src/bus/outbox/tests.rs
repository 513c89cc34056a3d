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

    async fn publish(&self, manager: &str, frame: Bytes) -> Result<()> {
        self.publish_with(manager, frame, Bytes::new()).await
    }

    async fn publish_with(&self, _: &str, frame: Bytes, values: Bytes) -> Result<()> {
        // The round trip, in which others come.
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.is_down.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::Unavailable, "the wire is cut"));
        }
        let mut frame = Frame::decode(&frame)?;
        frame.give_values(&values);
        self.frames.lock().push(frame);
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
                Change::Key { key, .. }
                | Change::Expired { key }
                | Change::Extended { key, .. } => key.key().to_owned(),
                other => panic!("nobody tells {other:?} here"),
            };
            (subject, notice.at.0)
        });
        named.collect()
    }

    /// The values the wire took, as (number of their notice, bytes).
    fn pushed(&self) -> Vec<(u64, usize)> {
        let frames = self.frames.lock();
        let notices = frames.iter().flat_map(|frame| &frame.notices);
        let pushed = notices.map(|notice| (notice.at.0, value_of(notice)));
        pushed.filter(|(_, bytes)| *bytes > 0).collect()
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

/// A set whose value has so many bytes.
fn set(number: u64, at: u64, bytes: usize) -> Notice {
    let notice = key(number, at);
    let Change::Key { key, .. } = notice.change else { unreachable!("it was just made") };
    Notice { change: Change::Key { key, value: Some(vec![7; bytes].into()) }, ..notice }
}

fn confirmed(number: u64, at: u64) -> Notice {
    let notice = key(number, at);
    let Change::Key { key, .. } = notice.change else { unreachable!("it was just made") };
    let change = Change::Extended {
        key,
        etag: "r1".into(),
        from_wall_ms: 0,
        until_wall_ms: None,
        expires_wall_ms: None,
    };
    Notice { change, ..notice }
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

#[tokio::test(start_paused = true)]
async fn a_value_goes_along_with_its_own_number_and_no_other() {
    let (wire, outbox) = start();
    // What waits together is merged: the newest set, whichever came last; none below a later end.
    let together = vec![
        set(1, 5, 10),
        set(1, 6, 11),
        set(2, 8, 12),
        set(2, 7, 13),
        set(3, 9, 14),
        key(3, 10),
        set(4, 11, 15),
        expired(4, 12),
        expired(5, 13),
        set(5, 14, 16),
    ];
    outbox.tell(together).await.expect("the wire is whole");
    assert_eq!(wire.pushed(), [(6, 11), (8, 12), (14, 16)]);
    let told = wire.told();
    let of = |name: &str| told.iter().find(|(key, _)| key == name).map(|(_, at)| *at);
    assert_eq!((of("3"), of("4")), (Some(10), Some(12)));
    assert_eq!(outbox.stats().pushed, 3);
}

#[tokio::test(start_paused = true)]
async fn too_many_values_are_left_out_and_every_notice_is_told() {
    let (wire, outbox) = start();
    let value = FRAME_VALUES_MAX / 4;
    let many = (0..100).map(|number| set(number, number + 1, value));
    outbox.tell(many.collect()).await.expect("the wire is whole");
    assert_eq!(wire.told().len(), 100);
    let of_frame = |frame: &Frame| frame.notices.iter().map(value_of).sum::<usize>();
    assert!(wire.frames.lock().iter().map(of_frame).all(|bytes| bytes <= FRAME_VALUES_MAX));
    let stats = outbox.stats();
    assert_eq!((stats.pushed, stats.withheld), (4, 96));
    outbox.tell(vec![set(1, 200, value)]).await.expect("the wire is whole");
    assert_eq!(wire.pushed().last(), Some(&(200, value)), "then there is room again");
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_told_without_its_value() {
    let (wire, outbox) = start();
    wire.is_down.store(true, Ordering::SeqCst);
    assert!(outbox.tell(vec![set(1, 5, 10), set(2, 6, 10)]).await.is_err());
    assert!(outbox.tell(vec![set(2, 7, 11)]).await.is_err(), "it is still down");
    wire.is_down.store(false, Ordering::SeqCst);
    outbox.drained().await;
    assert!(wire.pushed().is_empty(), "{:?}", wire.pushed());
    assert_eq!((wire.told().len(), outbox.queue.lock().values), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_lives_on_is_told_beside_what_ended_and_ends_nothing() {
    let (wire, outbox) = start();
    outbox.post(confirmed(1, 9));
    outbox.tell(vec![expired(1, 8), confirmed(2, 10)]).await.expect("the wire is whole");
    assert_eq!(wire.told(), [("1".to_owned(), 9), ("1".to_owned(), 8), ("2".to_owned(), 10)]);
    let soft = |notice: &Notice| matches!(notice.change, Change::Expired { .. });
    assert_eq!(
        wire.frames.lock().iter().flat_map(|frame| &frame.notices).filter(|n| soft(n)).count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_what_lives_on_while_too_much_waits() {
    let (wire, outbox) = start();
    wire.is_down.store(true, Ordering::SeqCst);
    let many = (0..WAITING_MAX as u64).map(|number| key(number, number + 1));
    assert!(outbox.tell(many.collect()).await.is_err());
    outbox.post(confirmed(WAITING_MAX as u64 + 7, 1));
    assert_eq!(outbox.waiting(), WAITING_MAX as u64);
    // One more ends the tenant, and nothing but it.
    assert!(outbox.tell(vec![key(WAITING_MAX as u64, 1)]).await.is_err());
    assert_eq!(outbox.waiting(), 1);
}
