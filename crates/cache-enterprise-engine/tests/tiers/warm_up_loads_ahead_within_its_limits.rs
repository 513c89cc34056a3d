//! A warm-up loads keys ahead: so many at once, so many a second, and none that is there already.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use cache_enterprise_core::{Clock, ErrorKind, mins, ms};
use cache_enterprise_engine::{
    CacheManager, CacheSpec, Fetched, LoadContext, Loader, Loading, Warm, WarmProgress,
};

use crate::builder;

static NUMBERS: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

/// Loads after so many polls; counts what is under way. Key 13 is not there, key 14 fails.
#[derive(Default)]
struct Origin {
    polls: u64,
    under_way: AtomicU64,
    most: AtomicU64,
    loads: AtomicU64,
}

struct Shared(Arc<Origin>);

impl Loader<u64, u64> for Shared {
    type Error = &'static str;

    async fn load(&self, key: &u64, _: LoadContext<u64>) -> Result<Fetched<u64>, &'static str> {
        let origin = &*self.0;
        origin.loads.fetch_add(1, Ordering::SeqCst);
        let under_way = origin.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        origin.most.fetch_max(under_way, Ordering::SeqCst);
        for _ in 0..origin.polls {
            tokio::task::yield_now().await;
        }
        origin.under_way.fetch_sub(1, Ordering::SeqCst);
        match key {
            13 => Ok(Fetched::Absent),
            14 => Err("the origin is down"),
            key => Ok((key * 10).into()),
        }
    }
}

type Numbers = Loading<u64, u64, Shared>;

fn numbers(polls: u64) -> (CacheManager, Clock, Numbers, Arc<Origin>) {
    let clock = Clock::manual();
    let manager = builder(&clock).build_in_memory().unwrap();
    let origin = Arc::new(Origin { polls, ..Origin::default() });
    let numbers = manager.open(&NUMBERS).unwrap().with_loader(Shared(Arc::clone(&origin)));
    (manager, clock, numbers, origin)
}

#[tokio::test]
async fn and_tells_what_became_of_each_key() {
    let (_manager, _clock, numbers, origin) = numbers(3);
    let progress = WarmProgress::default();
    numbers.set(&1, 10_u64).await;
    let how = Warm::new().concurrency(4).progress(&progress);
    let report = numbers.warm(0..20_u64, how.clone()).await;
    assert_eq!(report, progress.report());
    assert_eq!((report.held, report.loaded, report.absent, report.failed), (1, 17, 1, 1));
    assert_eq!((report.keys(), origin.loads.load(Ordering::SeqCst)), (20, 19));
    assert!(origin.most.load(Ordering::SeqCst) <= 4);
    assert!((0..13_u64).all(|key| numbers.peek(&key).is_some_and(|value| *value == key * 10)));
    let again = numbers.warm(0..13_u64, how).await;
    assert_eq!((again.held, again.keys()), (13, 13), "of this warm-up alone");
    assert_eq!(progress.report().keys(), 33, "of both");
}

#[tokio::test]
async fn no_more_begin_in_a_second_than_were_allowed() {
    let (manager, clock, numbers, origin) = numbers(0);
    let mut warm = Box::pin(numbers.warm(100..110_u64, Warm::new().per_second(2)));
    for loads in 1..10 {
        assert!(settled(&mut warm).await.is_none());
        assert_eq!(origin.loads.load(Ordering::SeqCst), loads);
        clock.advance(ms(499));
        manager.tick();
        assert!(settled(&mut warm).await.is_none());
        assert_eq!(origin.loads.load(Ordering::SeqCst), loads, "it is not time yet");
        clock.advance(ms(1));
        manager.tick();
    }
    let report = settled(&mut warm).await.unwrap();
    assert_eq!(report.loaded, 10);
}

/// Lets loads, which are tasks of their own, go as far as they can. The clock stands.
async fn settled<F: Future>(warm: &mut Pin<Box<F>>) -> Option<F::Output> {
    for _ in 0..100 {
        if let Poll::Ready(output) = warm.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn keys_come_from_a_channel_or_a_file() {
    let (_manager, _clock, numbers, _) = numbers(1);
    let mut left = vec![3_u64, 2, 1];
    let report = numbers.warm_from(async || left.pop(), Warm::new().concurrency(2)).await;
    assert_eq!(report.loaded, 3);

    let folder = std::env::temp_dir().join(format!("warm-{}", std::process::id()));
    std::fs::write(&folder, "# the most asked for\n1\n\n 21 \n22\n").unwrap();
    let report = numbers.warm_file(&folder, Warm::new()).await.unwrap();
    assert_eq!((report.held, report.loaded), (1, 2));
    std::fs::write(&folder, "31\nthirty-two\n33\n").unwrap();
    let error = numbers.warm_file(&folder, Warm::new()).await.unwrap_err();
    std::fs::remove_file(&folder).unwrap();
    assert!(error.to_string().contains("line: 2"), "{error}");
    assert!(numbers.contains(&31) && !numbers.contains(&33));
    let missing = numbers.warm_file("no/such/file", Warm::new()).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
}

#[tokio::test]
async fn a_warm_up_that_is_dropped_begins_nothing_more() {
    let (_manager, _clock, numbers, origin) = numbers(0);
    let mut warm = Box::pin(numbers.warm(0..1_000_u64, Warm::new().per_second(1)));
    assert!(settled(&mut warm).await.is_none());
    drop(warm);
    assert_eq!(origin.loads.load(Ordering::SeqCst), 1);
    let nothing = numbers.warm(Vec::<u64>::new(), Warm::new()).await;
    assert_eq!(nothing.keys(), 0);
}
