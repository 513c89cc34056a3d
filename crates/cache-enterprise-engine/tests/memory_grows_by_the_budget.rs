//! The memory that full caches take is their weight: within a tenth of the budget, counted at the
//! allocator.
#![allow(clippy::unwrap_used)]

use std::future::IntoFuture;

use cache_enterprise_core::{Clock, MIB, hours, ms};
use cache_enterprise_engine::{CacheManager, CacheSpec, Memory, block_on};

const BYTES: u64 = 16 * MIB;

static NUMBERED: [CacheSpec<u64, Vec<u8>>; 6] = [
    CacheSpec::new("one").ttl(hours(5)),
    CacheSpec::new("two").ttl(hours(5)),
    CacheSpec::new("three").ttl(hours(5)),
    CacheSpec::new("four").ttl(hours(5)),
    CacheSpec::new("tagged").ttl(hours(5)),
    CacheSpec::new("lasting").forever(),
];
static NAMED: [CacheSpec<String, Vec<u8>>; 2] =
    [CacheSpec::new("seven").ttl(hours(5)), CacheSpec::new("eight").ttl(hours(5))];

/// Growth of this thread's live allocations while one or eight caches are filled to three times
/// the budget with values of so many bytes, as a share of the budget.
fn growth(value_bytes: u64, is_single: bool) -> f64 {
    let clock = Clock::manual();
    let builder = CacheManager::builder("memory").l1(Memory::bytes(BYTES)).clock(clock.clone());
    let manager = builder.build_in_memory().unwrap();
    let caches = if is_single { 1 } else { 8 };
    let numbered: Vec<_> =
        NUMBERED.iter().take(caches).map(|spec| manager.open(spec).unwrap()).collect();
    let named: Vec<_> = NAMED
        .iter()
        .take(caches - numbered.len())
        .map(|spec| manager.open(spec).unwrap())
        .collect();
    let tags: Vec<_> = (0..100).map(|number| format!("tag:{number}")).collect();
    let fill = || {
        for key in 0..3 * BYTES / (value_bytes + 150) / caches as u64 {
            // From half to one and a half of the size.
            let value = || vec![7_u8; (value_bytes / 2 + key * 7_919 % value_bytes) as usize];
            for cache in &numbered {
                let tags = (cache.name() == "tagged").then(|| tags[(key % 100) as usize].as_str());
                block_on(cache.set(&key, value()).tags(tags).into_future());
            }
            for cache in &named {
                block_on(cache.set(&format!("customer:{key}"), value()).into_future());
            }
            if key % 256 == 0 {
                clock.advance(ms(100));
                manager.tick();
            }
        }
    };
    let counted = allocation_counter::measure(fill);
    let weight: u64 = manager.stats().iter().map(|(_, cache)| cache.store.weight).sum();
    assert!(weight <= BYTES && weight > BYTES * 9 / 10, "{weight} of {BYTES} are filled");
    counted.bytes_current as f64 / BYTES as f64
}

#[test]
fn full_caches_take_the_budget_within_a_tenth() {
    for value_bytes in [256, 1_024, 4_096] {
        for is_single in [true, false] {
            let growth = growth(value_bytes, is_single);
            assert!((0.9..1.1).contains(&growth), "{growth} at {value_bytes}, {is_single}");
        }
    }
}
