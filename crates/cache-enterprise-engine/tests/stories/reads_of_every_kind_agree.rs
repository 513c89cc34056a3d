//! `peek`, `contains`, `get`, `get_entry`, `get_many` and `keys` judge an entry by one rule, and a
//! plain map with dates says which.

use std::collections::HashMap;
use std::future::IntoFuture;

use cache_enterprise_core::{Millis, Tag, ms, secs};
use cache_enterprise_engine::{CacheSpec, block_on};
use cache_enterprise_testkit::Seed;
use rand::RngExt;

use crate::manager;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(secs(10)).stale_if_error(secs(5));

const KEYS: u64 = 16;
const TAGS: [&str; 3] = ["a", "b", "c"];

/// What the model knows of a key.
struct Held {
    value: u64,
    tag: Option<usize>,
    fresh_until: Millis,
}

#[test]
fn over_random_operations_all_reads_give_what_the_model_holds() {
    let seed = Seed::from_env_or(31);
    let _printed = seed.print_on_panic();
    let mut rng = seed.rng();
    let (manager, clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let mut model: HashMap<u64, Held> = HashMap::new();
    for step in 0..20_000_u64 {
        let key = rng.random_range(0..KEYS);
        match rng.random_range(0..20) {
            0..=5 => {
                let (ttl, tag) = (rng.random_range(0..3_000), rng.random_range(0..=TAGS.len()));
                let tag = (tag < TAGS.len()).then_some(tag);
                let set = cache.set(&key, step).ttl(ms(ttl));
                block_on(set.tags(tag.map(|tag| Tag::from(TAGS[tag]))).into_future());
                let fresh_until = clock.now() + ttl;
                model.insert(key, Held { value: step, tag, fresh_until });
            }
            6 => {
                block_on(cache.remove(&key));
                model.remove(&key);
            }
            7 => {
                let is_held = model.remove(&key).is_some_and(|held| clock.now() < held.fresh_until);
                assert_eq!(block_on(cache.expire(&key)), is_held, "expire of {key} at {step}");
            }
            8 => {
                let tag = rng.random_range(0..TAGS.len());
                block_on(manager.invalidate(TAGS[tag]));
                model.retain(|_, held| held.tag != Some(tag));
            }
            9 if step % 7 == 0 => {
                block_on(cache.clear());
                model.clear();
            }
            9..=12 => {
                clock.advance(ms(rng.random_range(0..400)));
                if rng.random() {
                    manager.tick();
                }
            }
            _ => {
                let held = model.get(&key).filter(|held| clock.now() < held.fresh_until);
                let expected = held.map(|held| held.value);
                let at = format!("key {key} at step {step}");
                // In an order of their own each time: no kind of read changes what the next sees.
                for kind in (0..6).map(|kind| (kind + step) % 6) {
                    let seen = match kind {
                        0 => cache.peek(&key).map(|value| *value),
                        1 => block_on(cache.get(&key)).unwrap().map(|value| *value),
                        2 => block_on(cache.get_entry(&key)).unwrap().map(|hit| *hit.value),
                        3 => block_on(cache.get_many(&[key])).unwrap()[0].as_ref().map(|v| **v),
                        4 => cache.contains(&key).then(|| *cache.peek(&key).unwrap()),
                        _ => cache.keys().contains(&key).then(|| *cache.peek(&key).unwrap()),
                    };
                    assert_eq!(seen, expected, "read {kind} of {at}");
                }
            }
        }
    }
}
