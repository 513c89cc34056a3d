//! The limits of memcached: item size, expiry, tokens.

use bytes::Bytes;
use cache_enterprise_core::{
    Backend, ErrorKind, OpContext, Put, PutOutcome, Sequence, days, mins, ms, secs,
};
use cache_enterprise_testkit::servers::MemcachedServer;
use cache_enterprise_testkit::wait::until_async;

use super::{PROTOCOLS, get, key, open, put, value_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_at_the_limit_fits_under_the_longest_key_and_one_over_it_leaves_nothing_older() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let backend = open(&server.address(), protocol);
        let limit = backend.capabilities().value_bytes_max.unwrap();
        assert_eq!(limit, (1 << 20) - 10 * 1024);
        for key in [key("user"), key(&"k".repeat(8 * 1024 - 16))] {
            let largest = value_of(&key, limit);
            assert_eq!(put(&*backend, &key, largest.clone()).await.unwrap(), PutOutcome::Stored);
            assert!(get(&*backend, &key).await.unwrap() == Some(largest));
            let larger = value_of(&key, limit + 1);
            assert_eq!(put(&*backend, &key, larger).await.unwrap(), PutOutcome::Refused);
            assert_eq!(get(&*backend, &key).await.unwrap(), None);
        }
    }
}

/// The server says so, in its own way by each protocol, when its limit is below the usual one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_smaller_limit_refuses_and_keeps_nothing_older() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::options().item_size_max("512k").start();
        let backend = open(&server.address(), protocol);
        let key = key("user");
        let large = value_of(&key, 700 * 1024);
        assert_eq!(put(&*backend, &key, large.clone()).await.unwrap(), PutOutcome::Refused);
        put(&*backend, &key, "old".into()).await.unwrap();
        assert_eq!(put(&*backend, &key, large).await.unwrap(), PutOutcome::Refused);
        assert_eq!(get(&*backend, &key).await.unwrap(), None);
        put(&*backend, &key, "new".into()).await.unwrap();
        assert_eq!(get(&*backend, &key).await.unwrap(), Some(Bytes::from("new")));
    }
}

/// By the meta protocol the server unlinks what stands under the key of an item that is too large.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_outlasts_a_value_that_is_too_large_for_the_server() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::options().item_size_max("512k").start();
        let backend = open(&server.address(), protocol);
        let (key, call) = (key("user"), OpContext::default());
        backend.remove(&key, Sequence(9), &call).await.unwrap();
        let how = Put { version: Sequence(5), ..Put::default() };
        for older in [value_of(&key, 700 * 1024), "small".into()] {
            let outcome = backend.put(&key, older, how, &call).await.unwrap();
            assert_eq!(outcome, PutOutcome::Fenced, "{protocol:?}");
        }
    }
}

/// Over 30 days a number is a date for memcached: a life of 31 days would end in 1970.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lives_around_thirty_days_are_lives_and_not_dates() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let backend = open(&server.address(), protocol);
        for life in [days(30) - secs(30), days(30) - secs(1), days(30), days(31), days(3_000)] {
            let key = key(&format!("{life:?}"));
            let how = Put { ttl: Some(life), ..Put::default() };
            backend.put(&key, "Ada".into(), how, &OpContext::default()).await.unwrap();
            assert!(get(&*backend, &key).await.unwrap().is_some(), "{life:?}");
            let told = server.ask(&format!("mg {key} t"));
            let left: u64 = told.strip_prefix("HD t").unwrap().trim_end().parse().unwrap();
            let life = life.as_secs();
            assert!((life - 60..life + 60).contains(&left), "{left} s are left of {life}");
        }
        let endless = key("endless");
        put(&*backend, &endless, "Ada".into()).await.unwrap();
        assert_eq!(server.ask(&format!("mg {endless} t")).trim_end(), "HD t-1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_below_a_second_ends_though_the_server_still_has_the_item() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let backend = open(&server.address(), protocol);
        let key = key("brief");
        let how = Put { ttl: Some(ms(40)), ..Put::default() };
        backend.put(&key, "Ada".into(), how, &OpContext::default()).await.unwrap();
        until_async("the value has ended", async || get(&*backend, &key).await.unwrap().is_none())
            .await;
        assert!(server.ask(&format!("mg {key} s")).starts_with("HD s"), "the item is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_stands_on_the_server_for_as_long_as_was_asked() {
    for protocol in PROTOCOLS {
        let server = MemcachedServer::start();
        let backend = super::patient([server.address()]).protocol(protocol);
        let backend = backend.tombstone_life(mins(20)).open().unwrap();
        let key = key("user");
        put(&backend, &key, "Ada".into()).await.unwrap();
        assert!(backend.remove(&key, Sequence(7), &OpContext::default()).await.unwrap());
        let told = server.ask(&format!("mg {key} t s"));
        let field = |name: char| -> u64 {
            let fields = told.split_ascii_whitespace();
            fields.skip(1).find_map(|field| field.strip_prefix(name)?.parse().ok()).unwrap()
        };
        assert!((1_100..=1_300).contains(&field('t')), "{told}");
        assert_eq!(field('s'), 24, "a removal is a head alone: {told}");
        let late = Put { version: Sequence(6), ..Put::default() };
        let outcome = backend.put(&key, "late".into(), late, &OpContext::default()).await.unwrap();
        assert_eq!(outcome, PutOutcome::Fenced);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tokens_is_told_and_nothing_is_replaced_blindly() {
    for protocol in PROTOCOLS {
        // `-C` takes no value: what follows it is the next option.
        let server = MemcachedServer::options().arg("-C", "-v").start();
        let backend = open(&server.address(), protocol);
        let key = key("user");
        put(&*backend, &key, "Ada".into()).await.unwrap();
        let error = put(&*backend, &key, "Grace".into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("-C"), "{error}");
        assert_eq!(get(&*backend, &key).await.unwrap(), Some(Bytes::from("Ada")));
    }
}
