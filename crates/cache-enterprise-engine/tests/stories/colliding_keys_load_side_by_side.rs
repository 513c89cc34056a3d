//! Flights are exact per key: keys of one hash share a shard and a bucket, never a load.

use std::hash::{Hash, Hasher};

use cache_enterprise_core::{CacheKey, KeyWriter, mins};
use cache_enterprise_engine::CacheSpec;
use tokio::sync::oneshot;

use crate::{manager, ready, waits};

/// Every key has the same hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Collides(u64);

impl Hash for Collides {
    fn hash<H: Hasher>(&self, state: &mut H) {
        0_u64.hash(state);
    }
}

impl CacheKey for Collides {
    fn write(&self, writer: &mut KeyWriter<'_>) {
        self.0.write(writer);
    }
}

static SPEC: CacheSpec<Collides, u64> = CacheSpec::new("colliding").ttl(mins(5));

#[test]
fn the_second_key_does_not_wait_for_the_first() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let (answer, origin) = oneshot::channel::<u64>();
    let first_key = Collides(1);
    let mut first = Box::pin(cache.get_with(&first_key, || async { origin.await.unwrap() }));
    waits(&mut first);
    let second_key = Collides(2);
    let mut second = Box::pin(cache.get_with(&second_key, || async { 2_u64 }));
    assert_eq!(*ready(&mut second), 2);
    answer.send(1).unwrap();
    assert_eq!(*ready(&mut first), 1);
    assert_eq!(cache.peek(&second_key).map(|value| *value), Some(2));
}
