//! The text of a key is where its bytes lie in a tier: another text would lose every entry.
//!
//! `golden/keys-1.txt` holds the text of each key below, a line each, in this order. A new kind of
//! key gets new rows at the end; a line that is there is never changed.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use cache_enterprise_core::{CacheKey, KeySpace, StoredKey};

const GOLDEN: &str = include_str!("golden/keys-1.txt");

fn stored<K: CacheKey>(manager: &str, tenant: &str, cache: &str, key: K) -> StoredKey {
    KeySpace::new(manager, tenant, cache).unwrap().key(&key).unwrap()
}

fn keyed<K: CacheKey>(key: K) -> StoredKey {
    stored("shop", "acme", "users", key)
}

/// Every kind of part, every escape, every place a name stands in.
fn keys() -> Vec<StoredKey> {
    vec![
        keyed(42_u64),
        keyed(-1_i8),
        keyed(u128::MAX),
        keyed(NonZeroU32::MIN),
        keyed(true),
        keyed(':'),
        keyed('ß'),
        keyed(String::new()),
        keyed("plain text".to_owned()),
        keyed("a:b{c}d%e".to_owned()),
        keyed("tab\tnewline\nnull\0delete\x7f".to_owned()),
        keyed("größe 日本 🎵".to_owned()),
        keyed("%3A is no escape of ours".to_owned()),
        keyed(Arc::<str>::from("shared")),
        keyed(Box::<str>::from("boxed")),
        keyed(vec![0_u8, 127, 255]),
        keyed(Vec::<u8>::new()),
        keyed([0xde_u8, 0xad]),
        keyed(None::<u8>),
        keyed(Some("none")),
        keyed(Some(None::<u8>)),
        keyed(("eu", 7_u8, true)),
        keyed((("a", "b"), "c")),
        keyed(("", "")),
        keyed("127.0.0.1".parse::<IpAddr>().unwrap()),
        keyed("::1".parse::<IpAddr>().unwrap()),
        keyed("[::1]:6379".parse::<SocketAddr>().unwrap()),
        stored("shop", "", "users", 1_u8),
        stored("a:b", "c{d}", "e%f", 1_u8),
        stored("größe", "日本", "\n", 1_u8),
    ]
}

#[test]
fn every_key_has_the_text_it_always_had() {
    let texts: Vec<String> = keys().iter().map(StoredKey::to_string).collect();
    assert_eq!(texts, GOLDEN.lines().collect::<Vec<_>>());
}

#[test]
fn every_stored_text_is_read_again_and_means_its_parts() {
    for (text, key) in GOLDEN.lines().zip(keys()) {
        let read = StoredKey::parse(text).unwrap();
        assert_eq!(read, key);
        let parts = [read.manager(), read.tenant(), read.cache(), read.key()].join(":");
        assert_eq!(parts, text);
    }
}
