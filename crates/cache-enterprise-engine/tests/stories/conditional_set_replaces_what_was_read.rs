//! `set_if_version` in level 1 alone.

use std::future::IntoFuture;

use cache_enterprise_core::{Sequence, mins, secs};
use cache_enterprise_engine::{Cache, CacheSpec, IfVersion, block_on};
use tokio::sync::oneshot;

use crate::{manager, ready, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(10));

fn set_if(cache: &Cache<u64, u64>, value: u64, version: Sequence) -> IfVersion<u64> {
    block_on(cache.set_if_version(&1, value, version)).unwrap()
}

fn version(cache: &Cache<u64, u64>) -> Sequence {
    cache.peek(&1).map_or(Sequence::ZERO, |value| value.version())
}

#[test]
fn it_replaces_the_version_it_names_and_no_other() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    assert!(matches!(set_if(&cache, 1, Sequence(7)), IfVersion::Changed(Sequence::ZERO)));
    let IfVersion::Stored(first) = set_if(&cache, 1, Sequence::ZERO) else { panic!("not stored") };
    assert_eq!(first.version(), version(&cache));
    assert!(
        matches!(set_if(&cache, 2, Sequence::ZERO), IfVersion::Changed(seen) if seen == first.version())
    );
    assert!(set_if(&cache, 2, first.version()).is_stored());
    assert!(matches!(set_if(&cache, 3, first.version()), IfVersion::Changed(_)));
    assert_eq!(cache.peek(&1).map(|value| *value), Some(2));
    clock.advance(secs(10));
    assert!(set_if(&cache, 4, Sequence::ZERO).is_stored(), "what has ended counts as nothing");
}

#[test]
fn a_set_a_removal_and_a_clear_in_between_are_seen() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    let seen = version(&cache);
    block_on(cache.set(&1, 2_u64).into_future());
    assert!(matches!(set_if(&cache, 9, seen), IfVersion::Changed(now) if now > seen));
    let seen = version(&cache);
    block_on(cache.remove(&1));
    assert!(matches!(set_if(&cache, 9, seen), IfVersion::Changed(Sequence::ZERO)));
    block_on(cache.set(&1, 3_u64).into_future());
    let seen = version(&cache);
    block_on(cache.clear());
    assert!(matches!(set_if(&cache, 9, seen), IfVersion::Changed(Sequence::ZERO)));
}

#[test]
fn a_load_under_way_does_not_overwrite_it() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut load = Box::pin(cache.get_with(&1, || async { origin.await.unwrap() }));
    waits(&mut load);
    assert!(set_if(&cache, 2, Sequence::ZERO).is_stored());
    answer.send(1).unwrap();
    assert_eq!(*ready(&mut load), 1);
    assert_eq!(cache.peek(&1).map(|value| *value), Some(2));
}

#[test]
fn counts_of_many_threads_add_up() {
    static COUNTS: CacheSpec<u64, u64> = CacheSpec::new("counts").ttl(mins(5));
    const THREADS: u64 = 8;
    const EACH: u64 = 200;
    let (manager, _clock) = manager();
    let cache = manager.open(&COUNTS).unwrap();
    let increment = || loop {
        let old = cache.peek(&1);
        let seen = old.as_ref().map_or(Sequence::ZERO, |old| old.version());
        if set_if(&cache, old.map_or(0, |old| *old) + 1, seen).is_stored() {
            return;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EACH).for_each(|_| increment()));
        }
    });
    assert_eq!(cache.peek(&1).map(|value| *value), Some(THREADS * EACH));
}
