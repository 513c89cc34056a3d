//! A `Batcher`: single loads that come close to each other are one call of its loader.

use std::sync::Arc;

use cache_enterprise_core::{Clock, mins, ms};
use cache_enterprise_engine::{
    Batch, Batcher, CacheManager, CacheSpec, LoadError, Missing, block_on,
};
use parking_lot::Mutex;

use crate::{manager, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

/// What the loader was asked for, call by call.
type Asked = Arc<Mutex<Vec<Vec<u64>>>>;

/// A batcher of tenfolds: keys of 100 are absent, those of 200 fail, and 300 panics.
fn batcher(manager: &CacheManager) -> (Batcher<u64, u64, String>, Asked) {
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    let load = move |missing: Missing<u64>| {
        noted.lock().push(missing.to_vec());
        async move {
            let mut batch = Batch::new();
            for key in missing {
                if key == 300 {
                    panic!("the loader's own");
                } else if key >= 200 {
                    batch.error(key, format!("no {key}"));
                } else if key < 100 {
                    batch.value(key, key * 10);
                }
            }
            batch
        }
    };
    (manager.open(&SPEC).unwrap().batcher(load), asked)
}

/// Lets the time of the open window pass.
fn pass(manager: &CacheManager, clock: &Clock) {
    clock.advance(ms(2));
    manager.tick();
}

#[test]
fn what_comes_within_the_wait_is_one_call() {
    let (manager, clock) = manager();
    let (batcher, asked) = batcher(&manager);
    let keys = [1_u64, 2, 2, 3];
    let mut loads: Vec<_> = keys.iter().map(|key| Box::pin(batcher.load(key))).collect();
    loads.iter_mut().for_each(waits);
    clock.advance(ms(1));
    manager.tick();
    assert!(asked.lock().is_empty(), "the window is open for 2 ms");
    clock.advance(ms(1));
    manager.tick();
    let values: Vec<_> = loads.into_iter().map(|load| *block_on(load).unwrap().unwrap()).collect();
    assert_eq!(values, [10, 20, 20, 30]);
    assert_eq!(*asked.lock(), [[1, 2, 3]]);
    assert_eq!(block_on(batcher.load(&1)).unwrap().as_deref(), Some(&10), "level 1 holds it");
    assert_eq!(asked.lock().len(), 1);
}

#[test]
fn a_full_window_does_not_wait() {
    let (manager, _clock) = manager();
    let (batcher, asked) = batcher(&manager);
    let batcher = batcher.keys_max(3);
    let keys: Vec<u64> = (0..7).collect();
    let mut loads: Vec<_> = keys.iter().map(|key| Box::pin(batcher.load(key))).collect();
    loads.iter_mut().for_each(waits);
    let last = loads.pop();
    for (key, load) in keys.iter().zip(loads) {
        assert_eq!(block_on(load).unwrap().as_deref(), Some(&(key * 10)));
    }
    let mut asked = asked.lock().clone();
    asked.sort();
    assert_eq!(asked, [[0, 1, 2], [3, 4, 5]], "the seventh waits");
    drop(last);
}

#[test]
fn each_caller_gets_what_its_own_key_came_to() {
    let (manager, clock) = manager();
    let (batcher, asked) = batcher(&manager);
    let keys = [1_u64, 100, 201];
    let mut loads: Vec<_> = keys.iter().map(|key| Box::pin(batcher.load(key))).collect();
    loads.iter_mut().for_each(waits);
    pass(&manager, &clock);
    let [value, absent, error]: [_; 3] =
        loads.into_iter().map(block_on).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(value.unwrap().as_deref(), Some(&10));
    assert!(absent.unwrap().is_none());
    assert_eq!(error.unwrap_err().loader().map(String::as_str), Some("no 201"));
    assert!(block_on(batcher.load(&100)).unwrap().is_none(), "the absence is remembered");
    assert_eq!(asked.lock().len(), 1);
}

#[test]
fn a_caller_that_leaves_takes_nobody_along() {
    let (manager, clock) = manager();
    let (batcher, asked) = batcher(&manager);
    let mut gone = Box::pin(batcher.load(&1));
    let mut stays = Box::pin(batcher.load(&2));
    waits(&mut gone);
    waits(&mut stays);
    drop(gone);
    pass(&manager, &clock);
    assert_eq!(block_on(stays).unwrap().as_deref(), Some(&20));
    assert_eq!(*asked.lock(), [[1, 2]]);
}

#[test]
fn a_panic_of_the_loader_is_told_to_all_and_the_next_window_works() {
    let (manager, clock) = manager();
    let (batcher, _asked) = batcher(&manager);
    let keys = [1_u64, 300];
    let mut loads: Vec<_> = keys.iter().map(|key| Box::pin(batcher.load(key))).collect();
    loads.iter_mut().for_each(waits);
    pass(&manager, &clock);
    for load in loads {
        assert!(matches!(block_on(load), Err(LoadError::Panicked)));
    }
    let mut again = Box::pin(batcher.load(&1));
    waits(&mut again);
    pass(&manager, &clock);
    assert_eq!(block_on(again).unwrap().as_deref(), Some(&10));
}

#[cfg(feature = "tiers")]
#[test]
fn a_window_that_was_lost_with_its_runtime_is_not_entered_again() {
    let (manager, clock) = manager();
    let (batcher, asked) = batcher(&manager);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut lost = Box::pin(batcher.load(&1));
    {
        let _inside = runtime.enter();
        waits(&mut lost);
    }
    drop(runtime);
    assert!(matches!(crate::ready(&mut lost), Err(LoadError::Panicked)));
    let mut again = Box::pin(batcher.load(&1));
    waits(&mut again);
    pass(&manager, &clock);
    assert_eq!(block_on(again).unwrap().as_deref(), Some(&10));
    assert_eq!(*asked.lock(), [[1]]);
}
