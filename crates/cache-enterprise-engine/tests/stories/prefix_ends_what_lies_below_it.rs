//! The end of a path ends every key below it and no other, whatever their number.
//!
//! Breaking the rule "an entry knows the prefixes of its path" turns all but the last two tests red.

use cache_enterprise_core::{ErrorKind, SetOutcome, Tag, mins};
use cache_enterprise_engine::{Cache, CacheSpec, KeyPath, block_on, path};

use crate::{manager, poll, waits};

type Place = (String, String, u64);

static PLACES: CacheSpec<Place, u64> =
    CacheSpec::new("places").ttl(mins(5)).stale_if_error(mins(5)).paths();
static TEXTS: CacheSpec<String, u64> = CacheSpec::new("texts").ttl(mins(5)).paths_at('/');
static PLAIN: CacheSpec<u64, u64> = CacheSpec::new("plain").ttl(mins(5));

fn place(region: &str, city: &str, number: u64) -> Place {
    (region.into(), city.into(), number)
}

fn held(cache: &Cache<Place, u64>, keys: &[Place]) -> Vec<bool> {
    keys.iter().map(|key| cache.contains(key)).collect()
}

fn filled() -> (Cache<Place, u64>, [Place; 5]) {
    let cache = manager().0.open(&PLACES).unwrap();
    let keys = [
        place("eu", "paris", 1),
        place("eu", "lyon", 2),
        place("europe", "paris", 3),
        place("eu:paris", "x", 4),
        place("", "paris", 5),
    ];
    for (value, key) in (1_u64..).zip(&keys) {
        block_on(cache.set(key, value));
    }
    (cache, keys)
}

#[test]
fn a_prefix_never_hits_a_name_that_only_begins_like_it() {
    let (cache, keys) = filled();
    let receipt = block_on(cache.under(path!["eu"]).clear());
    assert!(receipt.targets <= 2, "however many lie below");
    assert_eq!(held(&cache, &keys), [false, false, true, true, true]);
    block_on(cache.under(path!["eu:paris"]).clear());
    assert_eq!(held(&cache, &keys), [false, false, true, false, true]);
    block_on(cache.under(path![""]).clear());
    assert_eq!(held(&cache, &keys), [false, false, true, false, false]);
}

#[test]
fn a_deeper_path_ends_less_and_a_whole_key_itself_alone() {
    let (cache, keys) = filled();
    block_on(cache.under(path!["eu", "paris"]).clear());
    assert_eq!(held(&cache, &keys), [false, true, true, true, true]);
    block_on(cache.under(path!["eu", "lyon", 2]).clear());
    assert_eq!(held(&cache, &keys), [false, false, true, true, true]);
    block_on(cache.set(&keys[0], 9_u64));
    assert!(cache.contains(&keys[0]), "what is written since is valid");
    block_on(cache.under(KeyPath::new()).clear());
    assert_eq!(held(&cache, &keys), [false; 5]);
}

#[test]
fn text_is_cut_where_its_spec_says() {
    let cache = manager().0.open(&TEXTS).unwrap();
    let keys = ["img/a/1.png", "img/ab/1.png", "img/a", "imgs/a/1.png"];
    for key in keys {
        block_on(cache.set(key, 1_u64));
    }
    block_on(cache.under(path!["img", "a"]).clear());
    assert_eq!(keys.map(|key| cache.contains(key)), [false, true, false, true]);
}

#[test]
fn a_soft_end_of_a_path_leaves_a_fallback() {
    let (cache, keys) = filled();
    block_on(cache.under(path!["eu"]).clear().soft());
    assert_eq!(held(&cache, &keys), [false, false, true, true, true]);
    let load = || async { Err::<u64, _>("the origin is down") };
    assert_eq!(*block_on(cache.try_get_with(&keys[0], load)).unwrap(), 1);
}

#[test]
fn absence_below_a_path_ends_with_it_even_in_the_load_that_is_under_way() {
    let cache = manager().0.open(&PLACES).unwrap();
    let key = place("eu", "nice", 1);
    let absent = |key: &Place| block_on(cache.get_opt_with(key, || async { None::<u64> }));
    assert!(absent(&key).is_none());
    block_on(cache.under(path!["eu"]).clear());
    let found = block_on(cache.get_opt_with(&key, || async { Some(2_u64) }));
    assert_eq!(found.map(|value| *value), Some(2));

    let other = place("eu", "metz", 1);
    let gate = std::cell::Cell::new(false);
    let load = || {
        std::future::poll_fn(|_| match gate.get() {
            true => std::task::Poll::Ready(None::<u64>),
            false => std::task::Poll::Pending,
        })
    };
    let mut first = Box::pin(cache.get_opt_with(&other, load));
    waits(&mut first);
    block_on(cache.under(path!["eu"]).clear());
    let mut second = Box::pin(cache.get_opt_with(&other, || async { Some(3_u64) }));
    waits(&mut second);
    gate.set(true);
    assert!(poll(&mut first).is_ready());
    let found = block_on(second);
    assert_eq!(found.map(|value| *value), Some(3), "it asked after the end of the path");
}

#[test]
fn a_load_that_a_path_overtakes_is_not_served_to_those_who_come_later() {
    let cache = manager().0.open(&PLACES).unwrap();
    let key = place("eu", "paris", 1);
    block_on(cache.get_with(&key, || async {
        block_on(cache.under(path!["eu"]).clear());
        1_u64
    }));
    assert!(!cache.contains(&key));
}

#[test]
fn a_cache_without_paths_ends_as_a_whole_and_says_so() {
    let cache = manager().0.open(&PLAIN).unwrap();
    block_on(cache.set(&1, 1_u64));
    let error = block_on(cache.under(path![2]).clear().strict()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!cache.contains(&1), "more than was asked for, never less");
}

#[test]
fn nobody_writes_a_tag_that_stands_for_a_path() {
    let cache = manager().0.open(&PLACES).unwrap();
    let key = place("eu", "paris", 1);
    let forged = Tag::from("\u{1}places:europe:");
    assert_eq!(block_on(cache.set(&key, 1_u64).tags([forged.clone()])), SetOutcome::Invalid);
    let loaded = block_on(cache.fetch(&key).tags([forged]).with(|| async { Ok::<_, ()>(1_u64) }));
    assert_eq!(loaded.map(|value| *value).ok(), Some(1), "its caller has the value");
    assert!(!cache.contains(&key), "and nobody stores it");
}
