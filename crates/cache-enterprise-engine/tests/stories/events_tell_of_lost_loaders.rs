//! An operator hears of loaders that panic and of loaders that are given up on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cache_enterprise_core::{Clock, Event, Observer, mins, secs};
use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::waits;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).takeover_after(secs(1));

#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<Event>>>);

impl Observer for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().push(event.clone());
    }
}

#[test]
fn of_each_once() {
    let (clock, heard) = (Clock::manual(), Heard::default());
    let builder = CacheManager::builder("stories").clock(clock.clone()).observer(heard.clone());
    let manager = builder.build_in_memory().unwrap();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut unpolled = Box::pin(cache.get_with(&1, || async { origin.await.unwrap() }));
    waits(&mut unpolled);
    answer.send(1).unwrap();
    clock.advance(secs(1));
    manager.tick();
    manager.tick();
    let overtaken = Event::LoaderOvertaken { cache: "numbers".to_owned() };
    assert_eq!(std::mem::take(&mut *heard.0.lock()), [overtaken]);
    let panicking = AssertUnwindSafe(|| {
        block_on(cache.get_with(&2, || async {
            panic!("the loader's own");
            #[expect(unreachable_code, reason = "gives the loader its type")]
            0_u64
        }))
    });
    assert!(catch_unwind(panicking).is_err());
    let panicked = Event::LoaderPanicked { cache: "numbers".to_owned() };
    assert_eq!(std::mem::take(&mut *heard.0.lock()), [panicked]);
    let mut dropped = Box::pin(cache.get_with(&3, std::future::pending::<u64>));
    waits(&mut dropped);
    drop(dropped);
    assert_eq!(*block_on(cache.get_with(&3, || async { 3_u64 })), 3);
    assert!(heard.0.lock().is_empty(), "a caller that leaves is no event");
}
