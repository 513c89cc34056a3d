//! A loader that is told the etag of the value that is there may say that nothing was modified:
//! the value gets another life, and stays the same one.

use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::{Cached, ErrorKind, mins, secs};
use cache_enterprise_engine::{Cache, CacheSpec, Fetched, LoadContext, LoadError, block_on};

use crate::manager;

static SPEC: CacheSpec<u64, String> = CacheSpec::new("pages").ttl(secs(10)).stale_if_error(mins(5));

/// An origin that is asked by etag; counts how often it sends the value itself.
struct Pages {
    revision: AtomicU64,
    sent: AtomicU64,
}

impl Pages {
    fn answer(&self, cx: &LoadContext<String>) -> Fetched<String> {
        let revision = format!("r{}", self.revision.load(Ordering::SeqCst));
        if cx.etag() == Some(&revision) {
            return cx.not_modified();
        }
        self.sent.fetch_add(1, Ordering::SeqCst);
        cx.keep_etag(revision.clone());
        cx.value(format!("page {revision}"))
    }
}

fn page(cache: &Cache<u64, String>, origin: &'static Pages) -> Cached<String> {
    let load = move |cx: LoadContext<String>| async move { Ok::<_, ()>(origin.answer(&cx)) };
    block_on(cache.fetch(&1).detached(load)).unwrap()
}

#[test]
fn it_is_sent_again_only_when_it_was_modified() {
    static ORIGIN: Pages = Pages { revision: AtomicU64::new(1), sent: AtomicU64::new(0) };
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let first = page(&cache, &ORIGIN);
    for _ in 0..5 {
        clock.advance(secs(11));
        let again = page(&cache, &ORIGIN);
        assert!(Cached::ptr_eq(&first, &again), "the body was not moved");
        assert!(!again.is_stale() && cache.contains(&1));
    }
    assert_eq!((ORIGIN.sent.load(Ordering::SeqCst), cache.stats().renewals), (1, 5));
    clock.advance(secs(10));
    assert!(!cache.contains(&1), "its life ends again");
    ORIGIN.revision.store(2, Ordering::SeqCst);
    assert_eq!(*page(&cache, &ORIGIN), "page r2");
    assert_eq!(ORIGIN.sent.load(Ordering::SeqCst), 2);
}

#[test]
fn what_was_ended_softly_lives_on_and_what_was_removed_is_sent_again() {
    static ORIGIN: Pages = Pages { revision: AtomicU64::new(1), sent: AtomicU64::new(0) };
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let first = page(&cache, &ORIGIN);
    block_on(cache.expire(&1));
    assert!(Cached::ptr_eq(&first, &page(&cache, &ORIGIN)) && cache.contains(&1));
    for end in 0..2 {
        match end {
            0 => drop(block_on(cache.remove(&1))),
            _ => drop(block_on(cache.clear())),
        }
        assert!(!Cached::ptr_eq(&first, &page(&cache, &ORIGIN)), "nothing of it is left");
    }
    assert_eq!(ORIGIN.sent.load(Ordering::SeqCst), 3);
}

#[test]
fn a_removal_while_the_origin_is_asked_beats_its_answer() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(async { cache.set(&1, "old").await });
    clock.advance(secs(11));
    let (answer, asked) = tokio::sync::oneshot::channel::<()>();
    let fetch = cache.fetch(&1).detached(move |cx| async move {
        assert!(cx.stale().is_some_and(|stale| **stale == "old"));
        asked.await.unwrap();
        Ok::<_, ()>(cx.not_modified())
    });
    let mut fetch = Box::pin(fetch);
    crate::waits(&mut fetch);
    let begun = || cache.stats().loads == 1;
    cache_enterprise_testkit::wait::until("the load has begun", begun);
    block_on(cache.remove(&1));
    answer.send(()).unwrap();
    block_on(fetch).unwrap();
    assert!(!cache.contains(&1) && cache.stats().renewals == 0);
}

#[test]
fn a_loader_that_has_nothing_to_confirm_fails() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let load = |cx: LoadContext<String>| async move { Ok::<_, ()>(cx.not_modified()) };
    let LoadError::Cache(error) = block_on(cache.fetch(&1).detached(load)).unwrap_err() else {
        panic!("not the loader's error")
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_absent_value_is_remembered_and_leaves_no_fallback() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(async { cache.set(&1, "old").await });
    clock.advance(secs(11));
    let absent = |cx: LoadContext<String>| async move { Ok::<_, ()>(cx.absent()) };
    let gone = block_on(cache.fetch(&1).detached(absent));
    assert!(matches!(gone, Err(LoadError::Absent)));
    let known = block_on(cache.fetch(&1).detached(|_| async { Ok::<String, ()>("new".into()) }));
    assert!(matches!(known, Err(LoadError::Absent)), "it is not asked for");
    clock.advance(secs(30));
    let fails = |_| async { Err::<String, _>("down") };
    assert!(block_on(cache.fetch(&1).detached(fails)).is_err(), "the old value is gone");
}
