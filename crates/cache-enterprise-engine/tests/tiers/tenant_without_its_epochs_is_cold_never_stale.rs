//! A store of epochs that does not answer costs a tenant one wait and its tiers, for as long as it
//! lasts. What is removed or invalidated meanwhile stays so after.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_enterprise_core::coherence::Sequence;
use cache_enterprise_core::{Clock, Event, Observer, OpenedBackend, mins, ms, secs};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::wait;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::kept::Kept;
use crate::scripted::Scripted;
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

async fn open(disk: &Arc<Scripted>, kept: &Arc<Kept>) -> CacheManager<MessagePack> {
    let source = OpenedBackend::new(disk.clone()).with_epochs(kept.clone());
    let level = Tier::new(source).bare();
    builder(&Clock::manual()).l2(level).codec(MessagePack).build().await.unwrap()
}

/// The cache of a tenant whose last process left values 1 and 2 in the tier, with numbers far
/// above those that this process's clock starts from.
async fn after_a_restart() -> (CacheManager<MessagePack>, Cache<u64, u64>, Arc<Kept>) {
    let (disk, kept) = (tier("disk"), Arc::new(Kept::default()));
    kept.record.lock().sequence = Sequence(u64::MAX / 2);
    let before = open(&disk, &kept).await.tenant("acme").unwrap().open(&SPEC).unwrap();
    set(&before, 1, 1).await;
    before.set(&2, 2_u64).tags(["tag"]).into_future().await;
    set(&before, 3, 3).await;
    let manager = open(&disk, &kept).await;
    kept.hangs.store(true, Ordering::SeqCst);
    let tenant = manager.tenant("acme").unwrap();
    let cache = tenant.open(&SPEC).unwrap();
    (tenant, cache, kept)
}

#[tokio::test(start_paused = true)]
async fn one_wait_and_then_none() {
    let (_tenant, cache, kept) = after_a_restart().await;
    let begun = Instant::now();
    assert_eq!(get(&cache, 1).await, None, "its epochs are not known");
    assert!(begun.elapsed() <= secs(2) + ms(10), "{:?}", begun.elapsed());
    let begun = Instant::now();
    for key in 10..60 {
        assert_eq!(*cache.get_with(&key, || async move { key }).await, key);
        set(&cache, key + 100, key).await;
        cache.remove(&(key + 200)).await;
    }
    assert!(begun.elapsed() < secs(1), "{:?}", begun.elapsed());
    assert!(kept.calls.load(Ordering::SeqCst) < 20);
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_a_deadline_waits_no_longer_than_that() {
    let (tenant, cache, _kept) = after_a_restart().await;
    let (begun, clock) = (Instant::now(), tenant.clock().clone());
    let load = cache.fetch(&1).hard_timeout(secs(1)).with(|| async { Ok::<_, ()>(5_u64) });
    let mut load = std::pin::pin!(load);
    assert!(
        std::future::poll_fn(|cx| std::task::Poll::Ready(load.as_mut().poll(cx)))
            .await
            .is_pending()
    );
    clock.advance(secs(1));
    assert!(load.await.is_err());
    assert_eq!(begun.elapsed(), secs(0));
}

#[tokio::test(start_paused = true)]
async fn the_tiers_answer_again_once_the_store_does() {
    let (_tenant, cache, kept) = after_a_restart().await;
    assert_eq!(get(&cache, 1).await, None);
    kept.hangs.store(false, Ordering::SeqCst);
    wait::until_async("the tier answers", async || get(&cache, 1).await == Some(1)).await;
    assert_eq!(get(&cache, 2).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_in_the_dark_holds_in_the_light() {
    let (tenant, cache, kept) = after_a_restart().await;
    cache.remove(&1).await;
    assert!(tenant.invalidate("tag").await.strict().is_err(), "it is not durable");
    set(&cache, 3, 33).await;
    assert_eq!(get(&cache, 3).await, Some(33));
    kept.hangs.store(false, Ordering::SeqCst);
    wait::until_async("the record is known", async || {
        cache.get_with(&4, || async { 4_u64 }).await;
        cache.drop_level1();
        get(&cache, 4).await == Some(4)
    })
    .await;
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, None);
    assert_eq!(get(&cache, 2).await, None);
    assert_ne!(get(&cache, 3).await, Some(3));
}

#[tokio::test]
async fn a_tenants_first_write_is_above_all_it_wrote_before() {
    let (_tenant, cache, kept) = after_a_restart().await;
    kept.hangs.store(false, Ordering::SeqCst);
    set(&cache, 1, 11).await;
    assert_eq!(get(&cache, 2).await, Some(2), "a read takes nothing over any more");
    assert_eq!(get(&cache, 1).await, Some(11));
    let version = cache.get_entry(&1).await.unwrap().unwrap().version;
    assert!(version > Sequence(u64::MAX / 2));
}

#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<Event>>>);

impl Observer for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().push(event.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn the_outage_and_its_end_are_told_once() {
    let (disk, kept, heard) = (tier("disk"), Arc::new(Kept::default()), Heard::default());
    let source = OpenedBackend::new(disk).with_epochs(kept.clone());
    let builder = builder(&Clock::manual()).observer(heard.clone());
    let manager = builder.l2(Tier::new(source).bare()).codec(MessagePack).build().await.unwrap();
    kept.hangs.store(true, Ordering::SeqCst);
    let cache = manager.tenant("acme").unwrap().open(&SPEC).unwrap();
    for key in 0..5 {
        get(&cache, key).await;
    }
    kept.hangs.store(false, Ordering::SeqCst);
    wait::until_async("it recovers", async || heard.0.lock().len() > 1).await;
    let tier = "epochs".to_owned();
    let kind = cache_enterprise_core::ErrorKind::Timeout;
    let failed = Event::TierFailed { tier: tier.clone(), operation: "load", kind };
    assert_eq!(*heard.0.lock(), [failed, Event::TierRecovered { tier }]);
}
