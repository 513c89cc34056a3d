//! `loads_max`: so many loaders run at once, what comes over it waits, and tenants take turns.

use std::cell::Cell;
use std::future::{Future, IntoFuture, poll_fn};
use std::task::Poll;

use cache_enterprise_core::{Capacity, Clock, mins, ms, secs};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, LoadError, Options, block_on};
use tokio::sync::oneshot;

use crate::{manager, poll, ready, waits};

static SPEC: CacheSpec<u64, u64> =
    CacheSpec::new("numbers").ttl(secs(10)).stale_if_error(mins(5)).loads_max(1);

/// A loader that never ends.
fn hangs() -> impl Future<Output = Result<u64, String>> {
    std::future::pending()
}

#[test]
fn a_load_over_the_limit_begins_when_another_has_ended() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let mut first = Box::pin(cache.get_with(&1, || async { origin.await.unwrap() }));
    waits(&mut first);
    let mut second = Box::pin(cache.get_with(&2, || async { 20_u64 }));
    waits(&mut second);
    assert_eq!(cache.stats().loads, 1);
    answer.send(10).unwrap();
    assert_eq!(*ready(&mut first), 10);
    assert_eq!(*ready(&mut second), 20);
    assert_eq!(cache.peek(&2).map(|value| *value), Some(20));
    assert_eq!(cache.stats().overloads, 0);
}

#[test]
fn a_place_is_free_again_when_its_caller_has_gone() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut first = Box::pin(cache.try_get_with(&1, hangs));
    let mut second = Box::pin(cache.try_get_with(&2, hangs));
    let mut third = Box::pin(cache.get_with(&3, || async { 30_u64 }));
    waits(&mut first);
    waits(&mut second);
    waits(&mut third);
    drop(second);
    drop(first);
    assert_eq!(*ready(&mut third), 30);
}

#[test]
fn a_load_that_waited_in_vain_is_overloaded() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut first = Box::pin(cache.try_get_with(&1, hangs));
    waits(&mut first);
    let mut second = Box::pin(cache.try_get_with(&2, hangs));
    let mut follower = Box::pin(cache.try_get_with(&2, hangs));
    waits(&mut second);
    waits(&mut follower);
    clock.advance(secs(1) - ms(1));
    manager.tick();
    waits(&mut second);
    clock.advance(ms(1));
    manager.tick();
    assert!(matches!(ready(&mut second), Err(LoadError::Overloaded)));
    assert!(matches!(ready(&mut follower), Err(LoadError::Overloaded)));
    assert_eq!((cache.stats().overloads, cache.stats().loads), (1, 1));
}

#[test]
fn an_overloaded_call_that_cannot_fail_loads_for_those_who_wait_and_stores_nothing() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut first = Box::pin(cache.try_get_with(&1, hangs));
    waits(&mut first);
    let mut second = Box::pin(cache.get_with(&2, || async { 20_u64 }));
    waits(&mut second);
    let mut follower = Box::pin(cache.get_with(&2, || async { 99_u64 }));
    waits(&mut follower);
    clock.advance(secs(1));
    manager.tick();
    assert_eq!(*ready(&mut second), 20);
    assert_eq!(*ready(&mut follower), 20, "one loader runs beyond the limit");
    assert!(cache.peek(&2).is_none());
}

#[test]
fn a_value_past_its_life_answers_before_anything_waits() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    block_on(cache.set(&2, 2_u64).into_future());
    clock.advance(secs(11));
    let mut first = Box::pin(cache.try_get_with(&1, hangs));
    waits(&mut first);
    let mut second = Box::pin(cache.get_with(&2, || async { 20_u64 }));
    assert_eq!(*ready(&mut second), 2);
    let stats = cache.stats();
    assert_eq!((stats.overloads, stats.stale_served), (1, 1));
}

#[test]
fn a_loader_that_asks_for_another_key_does_not_wait_for_itself() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let inner = cache.clone();
    let value = block_on(
        cache.get_with(&1, || async { *inner.get_with(&2, || async { 20_u64 }).await + 1 }),
    );
    assert_eq!(*value, 21);
    assert_eq!(cache.stats().overloads, 0);
}

#[test]
fn a_batch_takes_one_place_and_is_overloaded_as_one() {
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut batch =
        Box::pin(cache.get_many_with([1_u64, 2, 3], |_| std::future::pending::<Vec<(u64, u64)>>()));
    waits(&mut batch);
    let load = |_| async { vec![(4_u64, 40_u64), (5, 50)] };
    let mut second = Box::pin(cache.get_many_with([4_u64, 5], load));
    waits(&mut second);
    clock.advance(secs(1));
    manager.tick();
    let loaded = ready(&mut second);
    assert!(loaded.errors().all(|(_, error)| matches!(error, LoadError::Overloaded)));
    assert_eq!((loaded.errors().count(), cache.stats().overloads), (2, 1));
    drop(batch);
    assert_eq!(block_on(cache.get_many_with([4_u64, 5], load)).values().count(), 2);
}

#[test]
fn a_managers_limit_is_that_of_all_its_caches_together() {
    static A: CacheSpec<u64, u64> = CacheSpec::new("a").ttl(mins(5));
    static B: CacheSpec<u64, u64> = CacheSpec::new("b").ttl(mins(5));
    let builder = CacheManager::builder("stories").l1(Capacity::entries(100)).loads_max(1);
    let manager = builder.clock(Clock::manual()).build_in_memory().unwrap();
    let (a, b) = (manager.open(&A).unwrap(), manager.open(&B).unwrap());
    let mut first = Box::pin(a.try_get_with(&1, hangs));
    waits(&mut first);
    let mut second = Box::pin(b.get_with(&1, || async { 10_u64 }));
    waits(&mut second);
    drop(first);
    assert_eq!(*ready(&mut second), 10);
}

/// Loads that end with the round in which they ran.
struct Rounds {
    round: Cell<u64>,
    begun: Cell<u64>,
}

impl Rounds {
    async fn load(&self) -> u64 {
        let begun = self.round.get();
        self.begun.set(self.begun.get() + 1);
        poll_fn(|_| match self.round.get() > begun {
            true => Poll::Ready(1),
            false => Poll::Pending,
        })
        .await
    }
}

/// Begins `count` loads of a tenant, each of a key of its own.
fn many<'a>(
    cache: &'a Cache<u64, u64>,
    keys: &'a [u64],
    rounds: &'a Rounds,
) -> Vec<std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>> {
    let load = |key| async move {
        cache.get_with(key, || rounds.load()).await;
    };
    keys.iter().map(|key| Box::pin(load(key)) as _).collect()
}

/// How many loads a noisy tenant begins while a quiet one does its twenty, four at a time.
fn noise_beside(weight: u32) -> u64 {
    static SHARED: CacheSpec<u64, u64> =
        CacheSpec::new("shared").ttl(mins(5)).loads_max(4).loads_wait(mins(1));
    let options = Options { jitter: Some(0.0), ..Options::NONE };
    let builder = CacheManager::builder("stories").options(options).clock(Clock::manual());
    let manager = builder.build_in_memory().unwrap();
    let noisy = manager.tenant("noisy").unwrap().open(&SHARED).unwrap();
    let quiet = manager.tenant("quiet").unwrap().load_weight(weight).open(&SHARED).unwrap();
    let [of_noisy, of_quiet] =
        [(); 2].map(|()| Rounds { round: Cell::new(0), begun: Cell::new(0) });
    let keys: Vec<u64> = (0..1_000).collect();
    let mut loud = many(&noisy, &keys, &of_noisy);
    loud.iter_mut().for_each(|load| waits(load));
    let mut soft = many(&quiet, &keys[..20], &of_quiet);
    soft.iter_mut().for_each(|load| waits(load));
    while !soft.is_empty() {
        for rounds in [&of_noisy, &of_quiet] {
            rounds.round.set(rounds.round.get() + 1);
        }
        loud.retain_mut(|load| poll(load).is_pending());
        soft.retain_mut(|load| poll(load).is_pending());
    }
    of_noisy.begun.get()
}

#[test]
fn a_tenant_with_a_hundred_times_the_demand_gets_its_share_and_no_more() {
    let noise = noise_beside(1);
    assert!((16..=28).contains(&noise), "{noise} loads beside twenty of an equal tenant");
    let noise = noise_beside(3);
    assert!((4..=15).contains(&noise), "{noise} loads beside twenty of a tenant of weight 3");
}
