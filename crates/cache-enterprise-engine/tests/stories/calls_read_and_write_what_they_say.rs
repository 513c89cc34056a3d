//! The truth table of `refresh`, `bypass` and `read_only` on level 1; tests/tiers has the levels
//! below.

use cache_enterprise_core::{CacheLevel, secs};
use cache_enterprise_engine::{CacheSpec, Source, block_on};

use crate::{manager, ready, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(10));

/// Whether the loader runs, and what level 1 holds afterwards, where it held 1 and the loader
/// gives 2.
#[test]
fn the_truth_table() {
    let table = [
        ("plain", false, Some(1)),
        ("refresh", true, Some(2)),
        ("bypass", true, None),
        ("read only", false, Some(1)),
        ("refresh, read only", true, Some(1)),
        ("bypass, read only", true, Some(1)),
    ];
    for (access, runs, left) in table {
        for is_owned in [false, true] {
            let (manager, _clock) = manager();
            let cache = manager.open(&SPEC).unwrap();
            block_on(async { cache.set(&1, 1_u64).await });
            let mut fetch = cache.fetch(&1);
            if access.contains("refresh") {
                fetch = fetch.refresh();
            }
            if access.contains("bypass") {
                fetch = fetch.bypass(CacheLevel::L1);
            }
            if access.contains("read only") {
                fetch = fetch.read_only();
            }
            let value = if is_owned {
                block_on(fetch.detached(|_| async { Ok::<u64, ()>(2) }))
            } else {
                block_on(fetch.with(|| async { Ok::<u64, ()>(2) }))
            };
            let case = format!("{access}, owned {is_owned}");
            assert_eq!(*value.unwrap(), if runs { 2 } else { 1 }, "{case}");
            assert_eq!(cache.peek(&1).map(|value| *value), left, "{case}");
        }
    }
}

#[test]
fn a_read_only_load_leaves_nothing_behind() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let value = block_on(cache.fetch(&1).read_only().with(|| async { Ok::<u64, ()>(2) }));
    assert_eq!(*value.unwrap(), 2);
    assert!(cache.peek(&1).is_none());
}

#[test]
fn a_refresh_joins_no_load_that_may_have_asked_too_early() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = tokio::sync::oneshot::channel::<u64>();
    let mut early = Box::pin(cache.get_with(&1, || async { origin.await.unwrap() }));
    waits(&mut early);
    let value = block_on(cache.fetch(&1).refresh().with(|| async { Ok::<u64, ()>(2) }));
    assert_eq!(*value.unwrap(), 2);
    answer.send(1).unwrap();
    assert_eq!(*ready(&mut early), 1, "it goes to its own caller");
    assert_eq!(cache.peek(&1).map(|value| *value), Some(2), "and is not stored");
}

#[test]
fn an_entry_tells_who_brought_it() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = tokio::sync::oneshot::channel::<u64>();
    let mut leader = Box::pin(cache.fetch(&1).with_entry(|| origin));
    waits(&mut leader);
    let other = || async { Ok::<u64, tokio::sync::oneshot::error::RecvError>(0) };
    let mut joined = Box::pin(cache.fetch(&1).with_entry(other));
    waits(&mut joined);
    answer.send(7).unwrap();
    let (leader, joined) = (ready(&mut leader).unwrap(), ready(&mut joined).unwrap());
    assert_eq!((leader.source, leader.level, leader.joined), (Source::Loader, None, false));
    assert_eq!((joined.source, joined.joined, *joined.value), (Source::Loader, true, 7));
    assert_eq!(leader.version, joined.version);
    clock.advance(secs(3));
    let held = block_on(cache.fetch(&1).look()).unwrap().unwrap();
    assert_eq!((held.source, held.level), (Source::Memory, Some(CacheLevel::L1)));
    assert_eq!((held.age, held.stale, held.joined), (secs(3), false, false));
    let owned = cache.fetch(&2).detached_entry(|_| async { Ok::<u64, ()>(1) });
    let owned = block_on(owned).unwrap();
    assert_eq!((owned.source, owned.joined), (Source::Loader, false));
}
