//! A hit in level 1 allocates nothing, in any form of reading. Counted per thread.
#![allow(clippy::unwrap_used)]

use std::future::IntoFuture;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cache_enterprise_core::{Capacity, Clock, mins};
use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};

static NUMBERS: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));
static TEXTS: CacheSpec<String, u64> = CacheSpec::new("texts").ttl(mins(5));

/// Polls once and expects the output.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a hit is ready at once"),
    }
}

fn allocations(reads: impl FnOnce()) -> u64 {
    allocation_counter::measure(reads).count_total
}

#[test]
fn no_form_of_hit_allocates() {
    let builder = CacheManager::builder("hits").l1(Capacity::entries(100));
    let manager = builder.clock(Clock::manual()).build_in_memory().unwrap();
    let manager = manager.tenant("acme").unwrap();
    let numbers = manager.open(&NUMBERS).unwrap();
    let texts = manager.open(&TEXTS).unwrap();
    block_on(numbers.set(&1, 7_u64).tags(["a", "b"]).into_future());
    block_on(texts.set("key", 7_u64).tags(["a"]).into_future());
    assert!(allocations(|| drop(std::hint::black_box(Box::new(1)))) > 0, "the counter counts");
    let counted = allocations(|| {
        for _ in 0..100 {
            assert!(numbers.peek(&1).is_some());
            assert!(numbers.contains(&1));
            assert!(now(numbers.get(&1)).unwrap().is_some());
            assert_eq!(*now(numbers.get_with(&1, || async { 0_u64 })), 7);
            assert_eq!(*now(numbers.try_get_with(&1, || async { Ok::<u64, ()>(0) })).unwrap(), 7);
            assert!(texts.peek("key").is_some());
            assert!(now(texts.get("key")).unwrap().is_some());
            assert_eq!(*now(texts.get_with("key", || async { 0_u64 })), 7);
        }
    });
    assert_eq!(counted, 0);
}

/// `fetch` holds its key, which may outlive the call: a key that owns memory is copied.
#[test]
fn a_fetch_that_hits_allocates_its_key_and_nothing_else() {
    let builder = CacheManager::builder("hits").l1(Capacity::entries(100));
    let manager = builder.clock(Clock::manual()).build_in_memory().unwrap();
    let (numbers, texts) = (manager.open(&NUMBERS).unwrap(), manager.open(&TEXTS).unwrap());
    block_on(numbers.set(&1, 7_u64).into_future());
    block_on(texts.set("key", 7_u64).into_future());
    let of_numbers = allocations(|| {
        let borrowed = numbers.fetch(&1).ttl(mins(1)).with(|| async { Ok::<u64, ()>(0) });
        assert_eq!(*now(borrowed).unwrap(), 7);
        let owned = numbers.fetch(&1).detached(|_| async { Ok::<u64, ()>(0) });
        assert_eq!(*now(owned).unwrap(), 7);
    });
    assert_eq!(of_numbers, 0);
    let of_texts = allocations(|| {
        let borrowed = texts.fetch("key").with(|| async { Ok::<u64, ()>(0) });
        assert_eq!(*now(borrowed).unwrap(), 7);
    });
    assert_eq!(of_texts, 1);
}
