//! Keys are deleted and expired by a pattern; where the pattern is a prefix of paths nothing is
//! walked.

use cache_enterprise_core::{ErrorKind, mins, secs};
use cache_enterprise_engine::{Cache, CacheSpec, block_on};

use crate::manager;

static PLAIN: CacheSpec<String, u64> = CacheSpec::new("plain").ttl(mins(5)).stale_if_error(mins(5));
static PATHS: CacheSpec<String, u64> = CacheSpec::new("paths").ttl(mins(5)).paths_at(':');

const KEYS: [&str; 5] =
    ["user:1:temp_a", "user:1:name", "user:22:temp_b", "session:1", "user:é:temp_"];

fn filled(spec: &CacheSpec<String, u64>) -> Cache<String, u64> {
    let cache = manager().0.open(spec).unwrap();
    for key in KEYS {
        block_on(cache.set(key, 1_u64));
    }
    cache
}

fn held(cache: &Cache<String, u64>) -> [bool; 5] {
    KEYS.map(|key| cache.contains(key))
}

#[test]
fn a_glob_deletes_and_counts_what_it_takes() {
    let cache = filled(&PLAIN);
    let report = block_on(cache.delete_pattern("user:*:temp_*")).unwrap();
    assert_eq!((report.matched, report.listed, report.next), (3, 5, None));
    assert!(report.receipt.is_none());
    assert_eq!(held(&cache), [false, true, false, true, false]);
    let report = block_on(cache.delete_pattern("user:?:name")).unwrap();
    assert_eq!(report.matched, 1);
    assert_eq!(held(&cache), [false, false, false, true, false]);
}

#[test]
fn a_prefix_of_paths_is_one_epoch_and_leaves_the_key_at_it() {
    let cache = filled(&PATHS);
    block_on(cache.set("user", 1_u64));
    let report = block_on(cache.delete_pattern("user:*")).unwrap();
    assert_eq!(report.receipt.map(|receipt| receipt.targets), Some(1));
    assert_eq!((report.listed, report.matched), (0, 0), "nothing was walked");
    assert_eq!(held(&cache), [false, false, false, true, false]);
    assert!(cache.contains("user"), "the pattern does not take it");
    let report = block_on(cache.delete_pattern("*")).unwrap();
    assert!(report.receipt.is_some() && cache.keys().is_empty());
}

#[test]
fn what_expires_is_a_fallback_and_a_life_only_gets_shorter() {
    let (manager, clock) = manager();
    let cache = manager.open(&PLAIN).unwrap();
    block_on(cache.set("session:1", 1_u64));
    block_on(cache.set("session:2", 1_u64).ttl(secs(10)));
    block_on(cache.expire_pattern("session:*").ttl(secs(60))).unwrap();
    clock.advance(secs(10));
    assert!(cache.contains("session:1") && !cache.contains("session:2"));
    clock.advance(secs(50));
    assert!(!cache.contains("session:1"));

    block_on(cache.set("session:3", 3_u64));
    let report = block_on(cache.expire_pattern("session:?")).unwrap();
    assert_eq!(report.matched, 1);
    assert!(!cache.contains("session:3"));
    let load = || async { Err::<u64, _>("the origin is down") };
    assert_eq!(*block_on(cache.try_get_with("session:3", load)).unwrap(), 3);
}

#[test]
fn the_facade_takes_patterns_too() {
    let (manager, _clock) = manager();
    block_on(async {
        for key in KEYS {
            manager.set(key, &1_u64).ttl(mins(1)).await.unwrap();
        }
        assert_eq!(manager.delete_pattern("user:*:temp_*").await.unwrap().matched, 3);
        assert_eq!(manager.get::<u64>("user:1:name").await.unwrap().as_deref(), Some(&1));
        assert!(manager.expire_pattern("session:*").await.unwrap().receipt.is_some());
        assert_eq!(manager.get::<u64>("session:1").await.unwrap(), None);
        let error = manager.delete_pattern("user:[").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn the_facade_registers_and_handles_many_keys() {
    let (manager, _clock) = manager();
    block_on(async {
        let feeds = ["user:123:feed", "user:123:recommendations"];
        manager.register_dependency("playlist:456", feeds).await.unwrap();
        let items = feeds.map(|key| (key, 1_u64)).into_iter().chain([("playlist:456", 2_u64)]);
        let report = manager.bulk_set(items, Some(mins(1))).await.unwrap();
        assert!(report.is_complete() && report.len() == 3);
        let found = manager.bulk_get::<u64, _>(["playlist:456", "nobody"]).await.unwrap();
        let found: Vec<_> = found.iter().map(|(_, found)| found.clone().unwrap()).collect();
        assert_eq!(found[0].as_deref(), Some(&2));
        assert_eq!(found[1], None);
        for key in feeds {
            manager.set(key, &1_u64).ttl(mins(1)).await.unwrap();
        }
        let report = manager.bulk_delete(["playlist:456"]).await.unwrap();
        assert!(report.iter().all(|(_, removal)| removal.as_ref().unwrap().was_in_memory));
        for key in feeds {
            assert_eq!(manager.get::<u64>(key).await.unwrap(), None, "{key}");
        }
        assert!(manager.bulk_set([("k", 1_u64)], None).await.is_err(), "it has no life");
        let mixed = manager.set("text", &String::from("x")).ttl(mins(1)).await;
        assert!(mixed.is_ok());
        let found = manager.bulk_get::<u64, _>(["text"]).await.unwrap();
        assert_eq!(found.failed().count(), 1, "a value of another type");
    });
}
