//! A load notes the sequence before it reads. What is removed, set or invalidated while it runs
//! was decided on later, so the load's value serves those who wait and is not served again.
//!
//! Rules this finds broken: `lock.detach` in `remove_level1` and `set_level1` of `write.rs`, the
//! epoch compare in `TenantEpochs::is_valid`, the re-check of a landed entry in `land`.

use std::future::IntoFuture;

use cache_enterprise_core::{Tag, mins, tag};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, block_on};
use tokio::sync::oneshot;

use crate::{manager, ready, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

/// Runs `during` while a load of key 1 is under way, lets it land with 10, and gives what level 1
/// answers after.
fn after_a_load_with(
    tags: Vec<Tag>,
    during: impl FnOnce(&CacheManager, &Cache<u64, u64>),
) -> Option<u64> {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut load = Box::pin(cache.fetch(&1).tags(tags).with(|| origin));
    waits(&mut load);
    during(&manager, &cache);
    answer.send(10).unwrap();
    assert_eq!(*ready(&mut load).unwrap(), 10, "who waited gets the value");
    let peeked = cache.peek(&1).map(|value| *value);
    let got = block_on(cache.get(&1)).unwrap().map(|value| *value);
    assert_eq!(peeked, got);
    got
}

#[test]
fn an_undisturbed_load_is_stored() {
    assert_eq!(after_a_load_with(vec![], |_, _| ()), Some(10));
}

#[test]
fn a_remove_during_the_load_keeps_it_out() {
    let after = after_a_load_with(vec![], |_, cache| {
        block_on(cache.remove(&1));
    });
    assert_eq!(after, None);
}

#[test]
fn a_set_during_the_load_wins() {
    let after = after_a_load_with(vec![], |_, cache| {
        block_on(cache.set(&1, 20_u64).into_future());
    });
    assert_eq!(after, Some(20));
}

#[test]
fn an_expiry_during_the_load_keeps_it_out() {
    let after = after_a_load_with(vec![], |_, cache| {
        block_on(cache.expire(&1));
    });
    assert_eq!(after, None);
}

#[test]
fn a_tag_invalidated_during_the_load_makes_it_a_miss() {
    let after = after_a_load_with(vec![tag!("org:7")], |manager, _| {
        block_on(manager.invalidate(tag!("org:7")));
    });
    assert_eq!(after, None);
}

#[test]
fn another_tag_leaves_the_load_alone() {
    let after = after_a_load_with(vec![tag!("org:7")], |manager, _| {
        block_on(manager.invalidate(tag!("org:8")));
    });
    assert_eq!(after, Some(10));
}

#[test]
fn a_clear_during_the_load_makes_it_a_miss() {
    let cleared = after_a_load_with(vec![], |_, cache| {
        block_on(cache.clear());
    });
    assert_eq!(cleared, None);
    let cleared = after_a_load_with(vec![], |manager, _| {
        block_on(manager.clear());
    });
    assert_eq!(cleared, None);
}

#[test]
fn a_caller_after_the_remove_does_not_join_the_load_before_it() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut old = Box::pin(cache.get_with(&1, || async { origin.await.unwrap() }));
    waits(&mut old);
    block_on(cache.remove(&1));
    let mut new = Box::pin(cache.get_with(&1, || async { 11_u64 }));
    assert_eq!(*ready(&mut new), 11);
    answer.send(10).unwrap();
    assert_eq!(*ready(&mut old), 10);
    assert_eq!(cache.peek(&1).map(|value| *value), Some(11));
}

#[test]
fn a_caller_after_a_clear_does_not_join_the_load_before_it() {
    for clears_tenant in [false, true] {
        let (manager, _clock) = manager();
        let cache = manager.open(&SPEC).unwrap();
        let (answer, origin) = oneshot::channel::<u64>();
        let mut old = Box::pin(cache.get_with(&1, || async { origin.await.unwrap() }));
        waits(&mut old);
        block_on(async {
            match clears_tenant {
                true => manager.clear().await,
                false => cache.clear().await,
            }
        });
        let mut new = Box::pin(cache.get_with(&1, || async { 11_u64 }));
        assert_eq!(*ready(&mut new), 11);
        answer.send(10).unwrap();
        assert_eq!(*ready(&mut old), 10);
        assert_eq!(cache.peek(&1).map(|value| *value), Some(11));
    }
}

#[test]
fn a_follower_that_came_after_a_tag_epoch_goes_round_once_more() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut leader = Box::pin(cache.fetch(&1).tags([tag!("org:7")]).with(|| origin));
    waits(&mut leader);
    let mut before = Box::pin(cache.get_with(&1, || async { 11_u64 }));
    waits(&mut before);
    block_on(manager.invalidate(tag!("org:7")));
    let mut after = Box::pin(cache.get_with(&1, || async { 12_u64 }));
    waits(&mut after);
    answer.send(10).unwrap();
    assert_eq!(*ready(&mut leader).unwrap(), 10);
    assert_eq!(*ready(&mut before), 10, "it asked before the tag was invalidated");
    assert_eq!(*ready(&mut after), 12);
}
