//! Keys that memcached would not take, or would take for something else.

use bytes::Bytes;
use cache_enterprise_core::{Backend, ErrorKind, KeySpace, StoredKey};
use cache_enterprise_testkit::servers::MemcachedServer;

use super::{PROTOCOLS, get, key, open, put, remove, value_of};

/// Writes all keys, then reads and removes each: none is another.
async fn all_apart(backend: &dyn Backend, keys: &[StoredKey]) {
    for key in keys {
        put(backend, key, value_of(key, 100)).await.unwrap();
    }
    for key in keys {
        assert_eq!(get(backend, key).await.unwrap(), Some(value_of(key, 100)), "{key:?}");
    }
    for key in keys {
        assert!(remove(backend, key).await.unwrap(), "{key:?}");
        assert_eq!(get(backend, key).await.unwrap(), None, "{key:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_around_250_bytes_are_kept_apart() {
    let prefix = key("").len();
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let backend = open(&server.address(), protocol);
        let lengths = [249, 250, 251, 252, 1_000, 8_192];
        let ends = ["a", "b"];
        let keys: Vec<StoredKey> = lengths
            .iter()
            .flat_map(|length| ends.map(|end| key(&("k".repeat(length - prefix - 1) + end))))
            .collect();
        assert_eq!((keys[2].len(), keys[11].len()), (250, 8_192));
        all_apart(&*backend, &keys).await;
        put(&*backend, &keys[2], "Ada".into()).await.unwrap();
        assert!(server.ask(&format!("mg {} s", keys[2])).starts_with("HD"), "under its own name");
        put(&*backend, &keys[4], "Ada".into()).await.unwrap();
        assert!(server.ask(&format!("mg {} s", keys[4])).starts_with("CLIENT_ERROR"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_feeds_spaces_and_odd_bytes_in_keys_reach_no_command() {
    let texts = [
        "a b",
        " ",
        "a\r\nflush_all\r\n",
        "\r\nset x 0 0 1\r\nx",
        "a\0b",
        "\t",
        "\x7f",
        "é",
        "\u{1f980}",
        "%20",
        "a%20b",
        "#",
        "b",
        "noreply",
        "0 0 5",
        "END",
    ];
    let mut keys: Vec<StoredKey> = texts.iter().map(|text| key(text)).collect();
    // As a backend elsewhere may have listed them, without any escaping.
    keys.extend(texts.iter().filter_map(|text| StoredKey::parse(&format!("s:t:u:{text}"))));
    let bytes = KeySpace::new("shop", "acme", "blobs").unwrap();
    for not_text in [vec![0xff, 0xfe], vec![0xff, 0x20, 0x0d, 0x0a], vec![0]] {
        keys.push(bytes.key(&not_text).unwrap());
    }
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let backend = open(&server.address(), protocol);
        let witness = key("witness");
        put(&*backend, &witness, "Ada".into()).await.unwrap();
        all_apart(&*backend, &keys).await;
        assert_eq!(get(&*backend, &witness).await.unwrap(), Some(Bytes::from("Ada")));
        assert_eq!(server.stat("cmd_flush"), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_of_another_program_is_an_error_to_readers_and_room_to_writers() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let backend = open(&server.address(), protocol);
        let key = key("user");
        assert_eq!(server.ask(&format!("set {key} 0 0 5\r\nhello")), "STORED");
        let error = get(&*backend, &key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(!format!("{error:?}").contains("hello"), "{error:?}");
        put(&*backend, &key, "Ada".into()).await.unwrap();
        assert_eq!(get(&*backend, &key).await.unwrap(), Some(Bytes::from("Ada")));
    }
}
