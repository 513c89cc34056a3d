//! `--store` sends the requests through the store that serves.

#![allow(clippy::unwrap_used)]

mod lab;

use std::fs;

use lab::{lab, lines};
use serde_json::Value;

/// A loop over one object more than fit: bare, the least recently used never hits. The store has
/// four shards for so many, and one object too many is not enough to overfill each of them.
#[test]
fn a_loop_that_is_too_long_for_the_policy_fits_some_of_the_shards() {
    let directory = tempfile::tempdir().unwrap();
    let keys: String = (0..5 * 4_200).map(|n| format!("{}\n", n % 4_200)).collect();
    fs::write(directory.path().join("loop.csv"), format!("key\n{keys}")).unwrap();
    let arguments =
        ["loop.csv", "--strategy", "opt,lru", "--fraction", "0.99976", "--json", "--store"];
    let bare = lines(&lab(directory.path(), &arguments[..6]));
    let stored = lines(&lab(directory.path(), &arguments));
    let ratio = |line: &Value| line["miss_ratio"].as_f64().unwrap();

    assert_eq!(bare[0]["capacity"], 4_199);
    assert_eq!((&stored[0]["policy"], &stored[1]["policy"]), (&"opt".into(), &"lru".into()));
    // Foresight needs no store.
    assert_eq!(ratio(&stored[0]), ratio(&bare[0]));
    assert_eq!(ratio(&bare[1]), 1.0);
    assert!(ratio(&stored[1]) < 1.0 && ratio(&stored[1]) > ratio(&stored[0]));
}
