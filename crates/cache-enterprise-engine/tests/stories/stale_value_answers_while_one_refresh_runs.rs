//! With `stale_for` a reader never waits for a refresh, one refresh runs at a time, and a hard
//! removal leaves nothing to answer with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::{hours, mins, ms, secs};
use cache_enterprise_engine::{
    Cache, CacheSpec, Fetched, LoadContext, LoadError, Loader, Loading, Refresh, block_on,
};
use cache_enterprise_testkit::wait;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{manager, ready};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(10)).stale_for(mins(1));

/// Answers what the test sends, one load at a time; the number of the load where it sends nothing.
#[derive(Default)]
pub(crate) struct Origin {
    pub(crate) loads: AtomicU64,
    pub(crate) answers: Mutex<Vec<oneshot::Receiver<Result<u64, &'static str>>>>,
}

impl Origin {
    /// The next load waits for what is sent here.
    pub(crate) fn hold(&self) -> oneshot::Sender<Result<u64, &'static str>> {
        let (sender, receiver) = oneshot::channel();
        self.answers.lock().push(receiver);
        sender
    }

    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::SeqCst)
    }
}

/// A loader over an origin that the test keeps.
pub(crate) struct ByHand(pub(crate) Arc<Origin>);

impl Loader<u64, u64> for ByHand {
    type Error = &'static str;

    async fn load(&self, _: &u64, _: LoadContext<u64>) -> Result<Fetched<u64>, &'static str> {
        let load = self.0.loads.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = self.0.answers.lock().pop();
        match answer {
            Some(answer) => answer.await.unwrap_or(Err("nobody answers")).map(Fetched::Value),
            None => Ok(load.into()),
        }
    }
}

pub(crate) fn loading(cache: &Cache<u64, u64>) -> (Loading<u64, u64, ByHand>, Arc<Origin>) {
    let origin = Arc::new(Origin::default());
    (cache.with_loader(ByHand(Arc::clone(&origin))), origin)
}

fn load(numbers: &Loading<u64, u64, ByHand>) -> Result<u64, LoadError<&'static str>> {
    block_on(numbers.load(&1)).map(|value| *value)
}

#[test]
fn a_thousand_readers_of_a_stale_value_are_answered_and_one_load_starts() {
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&SPEC).unwrap());
    assert_eq!(load(&numbers).unwrap(), 1);
    clock.advance(secs(11));
    let answer = origin.hold();
    for _ in 0..1_000 {
        assert_eq!(load(&numbers).unwrap(), 1);
    }
    wait::until("the refresh has begun", || origin.loads() == 2);
    answer.send(Ok(7)).unwrap();
    wait::until("the refresh has landed", || numbers.contains(&1));
    assert_eq!(load(&numbers).unwrap(), 7);
    assert_eq!((origin.loads(), numbers.stats().refreshes), (2, 1));
}

#[test]
fn beyond_the_grace_the_reader_waits() {
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&SPEC).unwrap());
    assert_eq!(load(&numbers).unwrap(), 1);
    clock.advance(secs(70));
    assert_eq!(load(&numbers).unwrap(), 2);
    assert_eq!((origin.loads(), numbers.stats().refreshes), (2, 0));
}

#[test]
fn no_fallback_survives_a_removal_or_an_invalidation() {
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&SPEC).unwrap());
    for end in 0..3 {
        block_on(numbers.load(&1).refresh()).unwrap();
        clock.advance(secs(11));
        match end {
            0 => drop(block_on(numbers.remove(&1))),
            1 => drop(block_on(numbers.clear())),
            _ => drop(block_on(manager.clear())),
        }
        origin.hold().send(Err("down")).unwrap();
        assert_eq!(load(&numbers).unwrap_err().loader(), Some(&"down"), "end {end}");
    }
}

#[test]
fn a_value_that_is_removed_while_its_refresh_runs_stays_away() {
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&SPEC).unwrap());
    assert_eq!(load(&numbers).unwrap(), 1);
    clock.advance(secs(11));
    let answer = origin.hold();
    assert_eq!(load(&numbers).unwrap(), 1);
    wait::until("the refresh has begun", || origin.loads() == 2);
    block_on(numbers.remove(&1));
    let other = origin.hold();
    let mut late = Box::pin(numbers.load(&1));
    crate::waits(&mut late);
    answer.send(Ok(7)).unwrap();
    wait::until("a load of its own has begun", || origin.loads() == 3);
    other.send(Ok(8)).unwrap();
    assert_eq!(*block_on(late).unwrap(), 8, "it arrived after the removal");
    assert_eq!(numbers.peek(&1).map(|value| *value), Some(8));
}

#[test]
fn a_soft_timeout_passes_an_old_value_to_those_who_wait_too() {
    static SOFT: CacheSpec<u64, u64> =
        CacheSpec::new("soft").ttl(secs(10)).stale_if_error(hours(1)).soft_timeout(ms(50));
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&SOFT).unwrap());
    assert_eq!(load(&numbers).unwrap(), 1);
    clock.advance(secs(11));
    let answer = origin.hold();
    let mut first = Box::pin(numbers.load(&1));
    let mut second = Box::pin(numbers.load(&1));
    crate::waits(&mut first);
    crate::waits(&mut second);
    clock.advance(ms(50));
    manager.tick();
    assert_eq!(*ready(&mut first).unwrap(), 1);
    assert_eq!(*ready(&mut second).unwrap(), 1);
    answer.send(Ok(9)).unwrap();
    wait::until("the load has landed", || numbers.contains(&1));
}

#[test]
fn what_is_removed_before_the_soft_timeout_does_not_answer_after_it() {
    static SOFT: CacheSpec<u64, u64> =
        CacheSpec::new("soft").ttl(secs(10)).stale_if_error(hours(1)).soft_timeout(ms(50));
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&SOFT).unwrap());
    assert_eq!(load(&numbers).unwrap(), 1);
    clock.advance(secs(11));
    let _answer = origin.hold();
    let mut reader = Box::pin(numbers.load(&1));
    crate::waits(&mut reader);
    block_on(numbers.remove(&1));
    clock.advance(ms(50));
    manager.tick();
    crate::waits(&mut reader);
    clock.advance(secs(30));
    manager.tick();
    assert!(matches!(ready(&mut reader), Err(LoadError::Timeout)));
}

#[test]
fn a_load_past_its_hard_timeout_still_fills() {
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&SPEC).unwrap());
    let answer = origin.hold();
    let mut reader = Box::pin(numbers.load(&1));
    crate::waits(&mut reader);
    wait::until("the load has begun", || origin.loads() == 1);
    clock.advance(secs(30));
    manager.tick();
    assert!(matches!(ready(&mut reader), Err(LoadError::Timeout)));
    answer.send(Ok(5)).unwrap();
    wait::until("the load has landed", || numbers.contains(&1));
    assert_eq!(origin.loads(), 1);
}

#[test]
fn a_load_past_its_hard_timeout_does_not_fill_over_a_removal() {
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&SPEC).unwrap());
    let answer = origin.hold();
    let mut reader = Box::pin(numbers.load(&1));
    crate::waits(&mut reader);
    wait::until("the load has begun", || origin.loads() == 1);
    clock.advance(secs(30));
    manager.tick();
    assert!(matches!(ready(&mut reader), Err(LoadError::Timeout)));
    block_on(numbers.remove(&1));
    answer.send(Ok(5)).unwrap();
    assert_eq!(load(&numbers).unwrap(), 2, "a load that began after the removal");
    assert_eq!(numbers.peek(&1).map(|value| *value), Some(2));
}

#[test]
fn a_share_of_the_life_starts_a_refresh_and_the_value_answers_meanwhile() {
    static EARLY: CacheSpec<u64, u64> = CacheSpec::new("early").ttl(secs(100)).refresh_at(0.8);
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&EARLY).unwrap());
    assert_eq!(load(&numbers).unwrap(), 1);
    clock.advance(secs(80) - ms(1));
    assert_eq!((load(&numbers).unwrap(), numbers.stats().refreshes), (1, 0));
    clock.advance(secs(10) + ms(1));
    let answer = origin.hold();
    assert_eq!(load(&numbers).unwrap(), 1, "fresh, and at most 0.1 of the life is added");
    wait::until("the refresh has begun", || origin.loads() == 2);
    assert_eq!((load(&numbers).unwrap(), numbers.stats().refreshes), (1, 1));
    answer.send(Ok(7)).unwrap();
    wait::until("the refresh has landed", || numbers.peek(&1).is_some_and(|value| *value == 7));
    clock.advance(secs(79));
    assert_eq!((load(&numbers).unwrap(), origin.loads()), (7, 2));
}

#[test]
fn entries_made_together_are_not_refreshed_together() {
    static EARLY: CacheSpec<u64, u64> = CacheSpec::new("early").ttl(secs(1_000)).refresh_at(0.8);
    let (manager, clock) = manager();
    let (numbers, _origin) = loading(&manager.open(&EARLY).unwrap());
    for key in 0..200 {
        block_on(numbers.load(&key)).unwrap();
    }
    let mut rounds = Vec::new();
    clock.advance(secs(800));
    for _ in 0..10 {
        let before = numbers.stats().refreshes;
        for key in 0..200 {
            block_on(numbers.load(&key)).unwrap();
        }
        rounds.push(numbers.stats().refreshes - before);
        wait::until("refreshes have landed", || {
            numbers.stats().loads == 200 + numbers.stats().refreshes
        });
        clock.advance(secs(10));
    }
    assert!(rounds.iter().all(|refreshes| *refreshes < 60), "{rounds:?}");
    assert!(rounds.iter().sum::<u64>() > 150, "{rounds:?}");
}

#[test]
fn a_long_load_is_drawn_early_and_a_short_one_late() {
    static DRAWN: CacheSpec<u64, u64> =
        CacheSpec::new("drawn").ttl(secs(100)).refresh_early(Refresh::Probabilistic { beta: 1.0 });
    let (manager, clock) = manager();
    let (numbers, origin) = loading(&manager.open(&DRAWN).unwrap());
    let answer = origin.hold();
    let mut slow = Box::pin(numbers.load(&1));
    crate::waits(&mut slow);
    wait::until("the load has begun", || origin.loads() == 1);
    clock.advance(secs(10));
    answer.send(Ok(1)).unwrap();
    assert_eq!(*block_on(slow).unwrap(), 1);
    block_on(numbers.load(&2)).unwrap();
    clock.advance(secs(90));
    let slow_is_due = (0..200).any(|_| {
        block_on(numbers.load(&1)).unwrap();
        numbers.stats().refreshes > 0
    });
    assert!(slow_is_due, "ten seconds before the end of a load of ten seconds");
    wait::until("the refresh has landed", || origin.loads() == 3);
    let before = numbers.stats().refreshes;
    for _ in 0..200 {
        block_on(numbers.load(&2)).unwrap();
    }
    assert_eq!(numbers.stats().refreshes, before, "a load of a millisecond");
}
