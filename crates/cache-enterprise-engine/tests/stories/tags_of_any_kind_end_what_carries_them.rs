//! A million tags, tags of a megabyte, tags full of signs that separate elsewhere.

use cache_enterprise_core::{Capacity, Clock, Error, SetOutcome, Tag, mins, ms, tag};
use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};

use crate::manager;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("tagged").ttl(mins(60));

/// Signs that mean something in a stored key, a record of epochs, a protocol or a log.
const ODD: [&str; 14] = [
    "a:b",
    "a",
    "b",
    "a:b:",
    ":a:b",
    "a%3Ab",
    "{a}",
    "a\r\nb",
    "a\0b",
    "a b",
    "*",
    "a*",
    "\"a\"",
    "é\u{301}",
];

#[test]
fn a_million_tags_are_ended_one_by_one_and_leave_a_bounded_trace() {
    let clock = Clock::manual();
    let builder = CacheManager::builder("tags").l1(Capacity::entries(1_000)).clock(clock.clone());
    let manager = builder.build_in_memory().unwrap();
    let cache = manager.open(&SPEC).unwrap();
    let mut most = 0;
    for number in 0..1_000_000_u64 {
        let (key, tag) = (number % 500, tag!("tag:{number}"));
        block_on(cache.set(&key, number).tags([tag.clone()]));
        if number % 2 == 0 {
            block_on(manager.invalidate(tag).strict()).unwrap();
            assert!(!cache.contains(&key), "{number} was ended");
        } else {
            assert!(cache.contains(&key), "{number} was not");
        }
        most = most.max(manager.known_tags());
        if number % 1_000 == 0 {
            clock.advance(ms(20));
            manager.tick();
        }
    }
    // Twice what is kept of tags that were raised and that nobody carries.
    assert!(most <= 202_000, "{most} tags of a million were known at once");
}

#[test]
fn a_tag_of_a_megabyte_is_on_no_entry_and_ends_none() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    let huge = Tag::new("x".repeat(1 << 20));
    block_on(cache.set(&1, 1_u64).tags([tag!("a")]));
    assert_eq!(block_on(cache.set(&2, 2_u64).tags([huge.clone()])), SetOutcome::Invalid);
    assert!(!cache.contains(&2));
    let loaded = block_on(cache.fetch(&2).tags([huge.clone()]).with(|| async { Ok::<u64, ()>(2) }));
    assert_eq!(loaded.map(|value| *value).ok(), Some(2), "its caller has the value");
    assert!(!cache.contains(&2), "and nobody stores what could not be ended");
    let known = manager.known_tags();
    let refused = block_on(manager.invalidate(huge.clone()).strict());
    assert!(
        refused.is_err_and(|error: Error| error.to_string().len() < 1_000),
        "and says it short"
    );
    assert_eq!(manager.known_tags(), known, "it is not remembered");
    let beside = block_on(manager.invalidate([huge, tag!("a")]).strict()).unwrap();
    assert_eq!((beside.targets, cache.contains(&1)), (1, false), "another beside it is ended");
}

#[test]
fn tags_with_separators_end_what_carries_them_and_nothing_else() {
    let (manager, _clock) = manager();
    let cache = manager.open(&SPEC).unwrap();
    for (ended, name) in ODD.iter().enumerate() {
        for (key, name) in (0..).zip(ODD) {
            block_on(cache.set(&key, key).tags([Tag::from(name)]));
        }
        block_on(manager.invalidate(Tag::from(*name)).strict()).unwrap();
        for (place, key) in (0..ODD.len()).zip(0..) {
            assert_eq!(cache.contains(&key), place != ended, "{name:?} and {:?}", ODD[place]);
        }
    }
}
