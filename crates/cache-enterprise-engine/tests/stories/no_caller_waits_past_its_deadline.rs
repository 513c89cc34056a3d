//! The hard timeout bounds a caller, leader or follower, whatever the loader does.

use cache_enterprise_core::{mins, ms, secs};
use cache_enterprise_engine::{CacheSpec, LoadError, block_on};
use cache_enterprise_testkit::wait;

use crate::{manager, poll, ready, waits};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5)).hard_timeout(secs(2));

#[test]
fn a_leader_gives_up_at_its_deadline_and_not_before() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let hangs = std::future::pending::<Result<u64, String>>;
    let mut leader = Box::pin(cache.try_get_with(&1, hangs));
    waits(&mut leader);
    clock.advance(secs(2) - ms(1));
    manager.tick();
    waits(&mut leader);
    clock.advance(ms(1));
    manager.tick();
    assert!(matches!(ready(&mut leader), Err(LoadError::Timeout)));
}

#[test]
fn a_follower_gives_up_at_its_own_deadline() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let hangs = std::future::pending::<Result<u64, String>>;
    let mut leader = Box::pin(cache.try_get_with(&1, hangs));
    waits(&mut leader);
    clock.advance(secs(1));
    let mut followers: Vec<_> = (0..10).map(|_| Box::pin(cache.try_get_with(&1, hangs))).collect();
    followers.iter_mut().for_each(waits);
    clock.advance(secs(1));
    manager.tick();
    assert!(ready(&mut leader).is_err());
    followers.retain_mut(|follower| poll(follower).is_pending());
    clock.advance(secs(1));
    manager.tick();
    for follower in &mut followers {
        assert!(matches!(ready(follower), Err(LoadError::Timeout)));
    }
}

#[test]
fn an_owned_load_that_hangs_is_a_timeout_for_its_caller() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let hangs = cache.fetch(&1).detached(|_| std::future::pending::<Result<u64, String>>());
    let mut caller = Box::pin(hangs);
    waits(&mut caller);
    wait::until("the loader was asked", || cache.stats().loads == 1);
    clock.advance(secs(2));
    manager.tick();
    assert!(matches!(block_on(caller), Err(LoadError::Timeout)));
}
