//! A `set` that returned is read by whoever reads next, or its outcome says why not.

use std::future::IntoFuture;

use cache_enterprise_core::{Capacity, Clock, MIB, SetOutcome, mins};
use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};

static BYTES: CacheSpec<u64, Vec<u8>> = CacheSpec::new("bytes").ttl(mins(5));

#[test]
fn whatever_it_weighs_and_nothing_older_stays() {
    let clock = Clock::manual();
    let builder = CacheManager::builder("weights").l1(Capacity::bytes(MIB)).clock(clock);
    let manager = builder.build_in_memory().unwrap();
    let cache = manager.open(&BYTES).unwrap();
    let mut refused = 0;
    for (key, bytes) in (0..).zip([1_usize, 10_000, 100_000, 200_000, 400_000, 2_000_000]) {
        block_on(cache.set(&key, vec![1]).into_future());
        let outcome = block_on(cache.set(&key, vec![2; bytes]).into_future());
        let read = cache.peek(&key).map(|value| value.len());
        match outcome {
            SetOutcome::Stored => assert_eq!(read, Some(bytes), "{bytes} bytes are there at once"),
            outcome => {
                assert_eq!(outcome, SetOutcome::Refused, "{bytes} bytes");
                assert_eq!(read, None, "nor is what stood there before {bytes} bytes were refused");
                refused += 1;
            }
        }
    }
    assert!((1..6).contains(&refused), "{refused} of six were refused");
}
