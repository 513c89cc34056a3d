//! 10 000 callers of one cold key make one loader call, whatever it gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use std::future::IntoFuture;

use cache_enterprise_core::{mins, secs};
use cache_enterprise_engine::{CacheSpec, LoadError, block_on};
use tokio::sync::oneshot;

use crate::{manager, ready, waits};

const CALLERS: usize = 10_000;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("plain").ttl(secs(60));
static GRACE: CacheSpec<u64, u64> = CacheSpec::new("grace").ttl(secs(60)).stale_if_error(mins(60));

/// What all callers get from one load that gives `loaded`.
fn stampede(
    spec: &'static CacheSpec<u64, u64>,
    old: Option<u64>,
    loaded: Result<u64, String>,
) -> Vec<Result<u64, LoadError<String>>> {
    let (manager, clock) = manager();
    let cache = manager.open(spec).unwrap();
    if let Some(old) = old {
        block_on(cache.set(&1, old).into_future());
        clock.advance(secs(60));
    }
    let calls = AtomicU32::new(0);
    let (answer, origin) = oneshot::channel();
    let origin = parking_lot::Mutex::new(Some(origin));
    let mut callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            Box::pin(cache.try_get_with(&1, || async {
                calls.fetch_add(1, Ordering::Relaxed);
                let origin = origin.lock().take().expect("one caller loads");
                origin.await.expect("the origin answers")
            }))
        })
        .collect();
    callers.iter_mut().for_each(waits);
    answer.send(loaded).unwrap();
    let answers = callers.iter_mut().map(|caller| ready(caller).map(|value| *value)).collect();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    answers
}

#[test]
fn all_get_the_value() {
    assert!(stampede(&SPEC, None, Ok(7)).into_iter().all(|answer| answer.unwrap() == 7));
}

#[test]
fn all_get_the_very_same_error() {
    let answers = stampede(&SPEC, None, Err("origin down".to_owned()));
    let errors: Vec<Arc<String>> = answers
        .into_iter()
        .map(|answer| match answer {
            Err(LoadError::Loader(error)) => error,
            other => panic!("no error of the loader: {other:?}"),
        })
        .collect();
    assert!(errors.iter().all(|error| Arc::ptr_eq(error, &errors[0])));
}

#[test]
fn all_get_the_value_past_its_life_where_that_is_allowed() {
    let answers = stampede(&GRACE, Some(3), Err("origin down".to_owned()));
    assert!(answers.into_iter().all(|answer| answer.unwrap() == 3));
}
