//! Invalidations that belong to a transaction are sent when it has committed, and not at all when it
//! was rolled back.

use std::sync::Arc;

use cache_enterprise_core::{Capacity, Clock, ErrorKind, Event, Observer, mins, tag};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, block_on, path};
use parking_lot::Mutex;

static USERS: CacheSpec<u64, u64> = CacheSpec::new("users").ttl(mins(5)).has_dependents();
static PLACES: CacheSpec<(u64, u64), u64> = CacheSpec::new("places").ttl(mins(5)).paths();

#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<Event>>>);

impl Observer for Told {
    fn on_event(&self, event: &Event) {
        self.0.lock().push(event.clone());
    }
}

type Caches = (Cache<u64, u64>, Cache<(u64, u64), u64>);

fn open() -> (CacheManager, Caches, Told) {
    let told = Told::default();
    let builder = CacheManager::builder("commit").l1(Capacity::entries(1_000));
    let manager = builder.clock(Clock::manual()).observer(told.clone()).build_in_memory().unwrap();
    let (users, places) = (manager.open(&USERS).unwrap(), manager.open(&PLACES).unwrap());
    for key in 1..=4 {
        block_on(users.set(&key, key).tags([tag!("user:{key}")]));
        block_on(places.set(&(key, 1), key));
    }
    block_on(places.set(&(9, 9), 9_u64).depends_on(&users, &1));
    (manager, (users, places), told)
}

#[test]
fn a_commit_ends_all_that_was_collected_with_one_number() {
    let (manager, (users, places), told) = open();
    let mut ended = manager.invalidations();
    ended.key(&users, &1).key(&users, &2).tag("user:3").key(&places, &(4, 1));
    ended.under(places.under(path![2]));
    assert!(users.contains(&1), "nothing happens before it is applied");
    let receipt = block_on(ended.apply());
    assert!(receipt.failure.is_none() && receipt.targets >= 6, "{receipt:?}");
    assert_eq!([1, 2, 3, 4].map(|key| users.contains(&key)), [false, false, false, true]);
    let left = [(1, 1), (2, 1), (3, 1), (4, 1)].map(|key| places.contains(&key));
    assert_eq!(left, [true, false, true, false]);
    assert!(!places.contains(&(9, 9)), "what was derived from a key ends with it");
    assert!(told.0.lock().is_empty());
}

#[test]
fn a_rollback_sends_nothing_and_is_told_to_those_who_forgot() {
    let (manager, (users, places), told) = open();
    let mut ended = manager.invalidations();
    ended.key(&users, &1).tag("user:3").cache(&places);
    drop(ended);
    assert!(users.contains(&1) && users.contains(&3) && places.contains(&(1, 1)));
    let expected = Event::InvalidationsDropped { keys: 1, groups: 2 };
    assert_eq!(told.0.lock().as_slice(), [expected]);

    drop(manager.invalidations());
    let mut discarded = manager.invalidations();
    discarded.tag("user:3");
    discarded.discard();
    assert_eq!(told.0.lock().len(), 1, "nothing was forgotten");
    assert!(users.contains(&3));
}

#[test]
fn what_belongs_to_another_tenant_is_left_and_told() {
    let (manager, (users, _), _) = open();
    let acme = manager.tenant("acme").unwrap();
    let mut ended = acme.invalidations();
    ended.key(&users, &1).tag("user:2");
    let receipt = block_on(ended.apply());
    assert_eq!(receipt.strict().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(users.contains(&1) && users.contains(&2));
}
