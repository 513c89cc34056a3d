//! A cluster of which no node answers is an error in time, whatever hangs, and is found later.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;

use cache_enterprise_core::{ErrorKind, ms};
use cache_enterprise_redis::Redis;

#[tokio::test]
async fn a_node_that_accepts_and_stays_silent_ends_the_opening_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let redis = Redis::cluster([address]).unwrap().connect_timeout(ms(100));
    assert_eq!(redis.open().await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn nodes_that_do_not_listen_are_named_in_the_error() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let error = Redis::cluster([&address]).unwrap().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient() && error.to_string().contains(&address), "{error}");
}
