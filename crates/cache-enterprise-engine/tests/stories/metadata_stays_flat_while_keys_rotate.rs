//! Keys that come and go leave no tags of their paths behind.

use cache_enterprise_core::{Capacity, Clock, mins};
use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};

static PATHS: CacheSpec<(u64, u64), u64> = CacheSpec::new("paths").ttl(mins(5)).paths();

#[test]
fn the_tags_of_paths_go_with_their_keys() {
    let clock = Clock::manual();
    let builder = CacheManager::builder("flat").l1(Capacity::entries(1_000)).clock(clock.clone());
    let manager = builder.build_in_memory().unwrap();
    let cache = manager.open(&PATHS).unwrap();
    let mut most = 0;
    for round in 0..20 {
        for number in 0..1_000 {
            block_on(cache.set(&(round, number), number));
        }
        clock.advance(cache_enterprise_core::ms(20));
        manager.tick();
        most = most.max(manager.known_tags());
    }
    assert!(most < 10_000, "{most} tags were known at once, for 1000 entries of 20000");
}
