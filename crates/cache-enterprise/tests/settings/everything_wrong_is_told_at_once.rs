//! Names and options that only the registries can judge: all problems, each with place and fix.

use cache_enterprise::settings::{Format, Settings};
use cache_enterprise::{ErrorKind, Wiring};

use crate::World;

const WRONG: &str = r#"
codec = "xml"
[compression]
algorithm = "zip"
[[levels]]
eviction_policy = "sive"
[[levels]]
kind = "etcd"
[[levels]]
kind = "shelf"
options = { pool_size = "many", colour = "red" }
[[levels]]
kind = "disk"
max_size = "1MiB"
[[levels]]
kind = "memory"
max_size = 5
"#;

#[test]
fn with_place_and_fix() {
    let settings = Settings::builder().text(Format::Toml, WRONG).build().unwrap();
    let errors = World::new().wiring().check(&settings).unwrap_err();
    let mut said: Vec<_> = errors.problems().iter().map(ToString::to_string).collect();
    // The list of policies grows; what is said around it stays.
    let policy = said.remove(2);
    let begins = "text:6:1: `levels.0.eviction_policy`: choose the eviction policy: no eviction";
    assert!(policy.starts_with(begins), "{policy}");
    assert!(policy.contains("known: fifo, ") && policy.contains("nearest: sieve"), "{policy}");
    assert!(policy.ends_with("; write one that is known"), "{policy}");
    assert_eq!(
        said,
        [
            "text:2:1: `codec`: no codec has this name (name: xml, known: messagepack, json, \
             postcard, bincode); write one that is known",
            "text:4:1: `compression.algorithm`: no compressor has this name (name: zip, known: \
             none, zstd, lz4, snappy, gzip); write one that is built in, `adaptive`, or `none`",
            "text:8:1: `levels.1.kind`: no backend is named `etcd`; write one of disk, \
             memcached, memory, redis, shelf, or register a factory with `Wiring::backend`",
            "text:11:33: `levels.2.options.colour`: the backend has no such option; remove it or \
             write another (backend: shelf, option: colour, known: label, pool_size, token); \
             correct it",
            "text:14:1: `levels.3.max_size`: the budget of the disk is too small; give it 16 MiB \
             or more (directory: var/cache, bytes: 1048576, option: max_size); correct it",
            "text:17:1: `levels.4.max_size`: a tier in memory is limited in bytes; write a size \
             with a unit (backend: memory, option: max_size); correct it",
        ]
    );
}

#[tokio::test]
async fn and_nothing_is_opened() {
    let settings = Settings::builder().text(Format::Toml, WRONG).build().unwrap();
    let world = World::new();
    let error = world.wiring().manager(&settings).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    for word in ["xml", "zip", "policy", "etcd", "colour", "too small"] {
        assert!(error.to_string().contains(word), "{word} is missing: {error}");
    }
    assert_eq!(world.shelf.all_calls(), 0);
}

#[test]
fn a_name_cannot_be_taken_twice() {
    let world = World::new();
    let error = world.wiring().backend("memory", crate::Shelf(world.shelf.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(Wiring::default().check(&Settings::default()).is_ok());
}

#[test]
fn two_disks_need_two_directories() {
    let settings = Settings::builder()
        .set("levels.1.kind", "disk")
        .set("levels.2.kind", "disk")
        .set("levels.2.path", "var/./cache/")
        .build()
        .unwrap();
    let told = Wiring::new().check(&settings).unwrap_err().to_string();
    let expected = "code: `levels.2.path`: is the directory of `levels.1.path` too; write another";
    assert!(told.ends_with(expected), "{told}");
}
