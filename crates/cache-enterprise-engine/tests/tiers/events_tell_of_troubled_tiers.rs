//! Every trouble with a tier is an event with the tier's name, and so is its end.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use cache_enterprise_core::{
    Clock, Codec, Error, ErrorKind, Event, Format, Observer, Result, mins,
};
use cache_enterprise_engine::{CacheSpec, Tier, WritePolicy};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::wait;
use parking_lot::Mutex;

use crate::scripted::Mode;
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Observer for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().push(event.clone());
    }
}

fn failed(operation: &'static str) -> Event {
    Event::TierFailed { tier: "disk".to_owned(), operation, kind: ErrorKind::Unavailable }
}

fn recovered() -> Event {
    Event::TierRecovered { tier: "disk".to_owned() }
}

#[tokio::test]
async fn each_failing_call_and_the_first_good_one_after() {
    let (clock, disk, heard) = (Clock::manual(), tier("disk"), Heard::default());
    let level = Tier::new(disk.clone()).bare();
    let manager = builder(&clock).observer(heard.clone()).l2(level).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    assert_eq!(heard.take(), []);
    disk.set(Mode::Fail);
    get(&cache, 2).await;
    set(&cache, 2, 2).await;
    cache.remove(&2).await;
    cache.get_many(&[7, 8]).await.unwrap();
    cache.set_many([(7_u64, 7_u64)]).await;
    cache.remove_many(&[7]).await;
    cache.expire(&1).await;
    let calls = ["get", "put", "remove", "get_many", "put_many", "remove_many", "expire"];
    assert_eq!(heard.take(), calls.map(failed));
    disk.set(Mode::Work);
    get(&cache, 3).await;
    get(&cache, 4).await;
    assert_eq!(heard.take(), [recovered()], "its end is told once");
    for call in 0..5 {
        disk.set(Mode::Fail);
        get(&cache, 5).await;
        disk.set(Mode::Work);
        match call {
            0 => drop(set(&cache, 5, 5).await),
            1 => drop(cache.remove(&5).await),
            2 => drop(cache.set_many([(5_u64, 5_u64)]).await),
            3 => drop(cache.remove_many(&[5]).await),
            _ => drop(cache.get_many(&[6]).await.unwrap()),
        }
        cache.remove(&5).await;
        assert_eq!(heard.take(), [failed("get"), recovered()], "call {call}");
    }
}

#[tokio::test]
async fn bytes_that_cannot_be_used() {
    let (clock, disk, heard) = (Clock::manual(), tier("disk"), Heard::default());
    let manager = builder(&clock).observer(heard.clone()).l2(disk.clone()).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    disk.overwrite(b"no envelope");
    cache.drop_level1();
    assert_eq!(get(&cache, 1).await, None);
    let (tier, kind) = ("disk".to_owned(), ErrorKind::Corrupt);
    assert_eq!(heard.take(), [Event::Undecodable { cache: "numbers".to_owned(), tier, kind }]);
}

/// Writes nothing.
#[derive(Clone, Debug)]
struct Mute;

impl Format for Mute {
    fn id(&self) -> u8 {
        200
    }

    fn name(&self) -> &'static str {
        "mute"
    }
}

impl Codec<u64> for Mute {
    fn encode(&self, _: &u64, _: &mut Vec<u8>) -> Result<()> {
        Err(Error::new(ErrorKind::Codec, "the value has no form"))
    }

    fn decode(&self, _: &Bytes) -> Result<u64> {
        Err(Error::new(ErrorKind::Codec, "nothing was written"))
    }
}

#[tokio::test]
async fn values_that_cannot_be_written() {
    let (clock, disk, heard) = (Clock::manual(), tier("disk"), Heard::default());
    let manager = builder(&clock).observer(heard.clone()).l2(disk.clone()).codec(Mute);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    set(&cache, 1, 1).await;
    assert_eq!(get(&cache, 1).await, Some(1), "level 1 has it");
    let told = Event::Unencodable { cache: "numbers".to_owned(), kind: ErrorKind::Codec };
    assert_eq!(heard.take(), [told]);
}

#[tokio::test]
async fn a_queue_that_is_full() {
    let (clock, disk, heard) = (Clock::manual(), tier("disk"), Heard::default());
    let level = Tier::new(disk.clone()).bare().write(WritePolicy::Behind { queue_max: 1 });
    let manager = builder(&clock).observer(heard.clone()).l2(level).codec(MessagePack);
    let cache = manager.build().await.unwrap().open(&SPEC).unwrap();
    disk.set(Mode::HoldPuts);
    set(&cache, 1, 1).await;
    wait::until_async("the first is held", async || disk.held.load(Ordering::SeqCst) == 1).await;
    set(&cache, 2, 2).await;
    let third = tokio::spawn({
        let cache = cache.clone();
        async move { cache.set(&3, 3_u64).into_future().await }
    });
    wait::until_async("the third is held", async || disk.held.load(Ordering::SeqCst) == 2).await;
    assert_eq!(heard.take(), [Event::WriteBehindFull { tier: "disk".to_owned() }]);
    disk.pass.add_permits(3);
    third.await.unwrap();
}
