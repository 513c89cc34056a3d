//! A manager may be started twice and ended twice; after the end nothing is opened.

use cache_enterprise_core::{ErrorKind, mins, secs};
use cache_enterprise_engine::{CacheSpec, block_on};

use crate::manager;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));
static LATE: CacheSpec<u64, u64> = CacheSpec::new("late").ttl(mins(5));

#[test]
fn and_what_it_opened_stays_readable() {
    let (manager, _clock) = manager();
    block_on(async {
        manager.start().await.unwrap();
        manager.start().await.unwrap();
        let cache = manager.open(&SPEC).unwrap();
        cache.set(&1, 7_u64).await;

        assert!(manager.shutdown(secs(1)).await.is_clean());
        assert!(manager.shutdown(secs(1)).await.is_clean());
        assert_eq!(cache.peek(&1).as_deref(), Some(&7));
        assert_eq!(manager.start().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(manager.open(&LATE).unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn and_level_1_alone_is_bounded_or_off_as_it_was_told() {
    let (_, clock) = manager();
    let builder = || cache_enterprise_engine::CacheManager::builder("off").clock(clock.clone());
    let bounded = builder().l1_ttl_max(secs(10)).build_in_memory().unwrap();
    let cache = bounded.open(&SPEC).unwrap();
    block_on(async { cache.set(&1, 7_u64).await });
    clock.advance(secs(9));
    assert!(cache.peek(&1).is_some());
    clock.advance(secs(1));
    assert!(cache.peek(&1).is_none());

    let off = builder().without_l1().build_in_memory().unwrap();
    let cache = off.open(&SPEC).unwrap();
    block_on(async { cache.set(&1, 7_u64).await });
    assert!(cache.peek(&1).is_none());
    assert_eq!(off.describe().row("l1.enabled").map(|row| row.value.as_str()), Some("false"));
}
