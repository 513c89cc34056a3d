//! Odd bytes in keys and values.

use cache_enterprise_core::{Backend, KeySpace, OpContext};
use cache_enterprise_testkit::servers::RedisServer;

use super::{get, key, open, put, remove, value_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_feeds_spaces_nul_and_non_utf8_in_keys_reach_no_command() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    let texts = [
        "",
        " ",
        "\r\n",
        "a\r\nFLUSHALL\r\n",
        "$3\r\nfoo\r\n",
        "*1\r\n$8\r\nFLUSHALL\r\n",
        "a\0b",
        "{other}",
        "}{",
        "%",
        "*",
        "?",
        "[a]",
        "\\",
        "'",
        "\"",
        "é",
        "🦀",
    ];
    let mut keys: Vec<_> = texts.iter().map(|text| key(text)).collect();
    let bytes = KeySpace::new("shop", "a\r\nb", "\0").unwrap();
    for raw in [vec![0xff, 0xfe], vec![0xc3], vec![0, 13, 10, 32], (0..=255).collect()] {
        keys.push(bytes.key(&raw).unwrap());
    }
    for key in &keys {
        put(&*backend, key, value_of(key, 50)).await.unwrap();
    }
    let found = backend.get_many(&keys, &OpContext::default()).await.unwrap();
    for (key, batched) in keys.iter().zip(found) {
        assert_eq!(get(&*backend, key).await.unwrap(), Some(value_of(key, 50)), "{key}");
        assert_eq!(batched, Some(value_of(key, 50)), "{key}");
    }
    assert_eq!(server.cli(&["DBSIZE"]), keys.len().to_string());
    assert!(!server.cli(&["INFO", "commandstats"]).contains("cmdstat_flushall"));
    for key in &keys {
        assert!(remove(&*backend, key, 0).await.unwrap(), "{key}");
    }
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_values_lie_as_the_documentation_says() {
    let server = RedisServer::start();
    let backend = open(&server.url()).await;
    put(&*backend, &key("1"), "Ada").await.unwrap();
    assert_eq!(server.cli(&["KEYS", "*"]), "{shop:acme:0}shop:acme:users:1");
    assert_eq!(server.cli(&["STRLEN", "{shop:acme:0}shop:acme:users:1"]), "12");
    remove(&*backend, &key("1"), 7).await.unwrap();
    assert_eq!(server.cli(&["STRLEN", "{shop:acme:0}shop:acme:users:1"]), "9");
    let life: u64 = server.cli(&["TTL", "{shop:acme:0}shop:acme:users:1"]).parse().unwrap();
    assert!((1..=300).contains(&life), "a removal is remembered for five minutes: {life}");
    let commands = server.cli(&["INFO", "commandstats"]);
    // The command line of this test asked for KEYS, nobody else.
    assert!(commands.contains("cmdstat_keys:calls=1,"), "{commands}");
}
