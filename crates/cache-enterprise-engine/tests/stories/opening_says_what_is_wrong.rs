//! Mistakes in a spec are errors at the opening, not surprises later.

use std::future::IntoFuture;

use cache_enterprise_core::{ErrorKind, mins, secs};
use cache_enterprise_engine::{CacheSpec, block_on};

use crate::manager;

static FORGOTTEN: CacheSpec<u64, u64> = CacheSpec::new("forgotten");
static FOREVER: CacheSpec<u64, u64> = CacheSpec::new("forever").forever();
static NUMBERS: CacheSpec<u64, u64> = CacheSpec::new("same").ttl(mins(1));
static TEXTS: CacheSpec<u64, String> = CacheSpec::new("same").ttl(mins(1));

#[test]
fn a_forgotten_life_is_an_error_and_forever_is_not() {
    let (manager, _clock) = manager();
    let error = manager.open(&FORGOTTEN).unwrap_err();
    assert!(error.to_string().contains("forever"), "it says what to do: {error}");
    assert!(manager.open(&FOREVER).is_ok());
}

#[test]
fn one_name_with_two_types_is_an_error_that_names_both() {
    let (manager, _clock) = manager();
    manager.open(&NUMBERS).unwrap();
    assert!(manager.open(&NUMBERS).is_ok(), "the same types again are the same cache");
    let error = manager.open(&TEXTS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let text = format!("{error:?}");
    assert!(text.contains("u64") && text.contains("String"), "{text}");
}

#[test]
fn a_manager_that_was_shut_down_opens_nothing() {
    let (manager, _clock) = manager();
    let cache = manager.open(&NUMBERS).unwrap();
    block_on(cache.set(&1, 1_u64).into_future());
    #[cfg(feature = "tiers")]
    {
        assert!(block_on(manager.shutdown(secs(1))).is_clean());
        assert_eq!(manager.open(&FOREVER).unwrap_err().kind(), ErrorKind::Closed);
    }
    assert!(cache.contains(&1), "open handles stay readable");
    let _ = secs(1);
}
