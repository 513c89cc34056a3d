//! SASL.

use bytes::Bytes;
use cache_enterprise_core::{Backend, BackendHealth, Error, ErrorKind};
use cache_enterprise_memcached::{Password, Protocol};
use cache_enterprise_testkit::servers::MemcachedServer;

use super::{get, key, open, patient, put, remove};

fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(!error.is_transient());
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_an_error_of_the_settings_that_shows_no_password() {
    let server = MemcachedServer::options().sasl("shop", "canary-right").start();
    let with = |password: &str| {
        let servers = patient([server.address()]).user("shop").password(Password::new(password));
        servers.open().unwrap()
    };
    let (right, wrong) = (with("canary-right"), with("canary-wrong"));
    let key = key("user");
    put(&right, &key, "Ada".into()).await.unwrap();
    for _ in 0..3 {
        assert_refused(get(&wrong, &key).await);
        assert_refused(put(&wrong, &key, "Grace".into()).await);
        assert_refused(remove(&wrong, &key).await);
    }
    match wrong.health().await {
        BackendHealth::Down(why) => assert!(!why.contains("canary"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(get(&right, &key).await.unwrap(), Some(Bytes::from("Ada")));
    assert_eq!(right.health().await, BackendHealth::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_password_a_server_with_sasl_serves_nobody() {
    let server = MemcachedServer::options().sasl("shop", "canary").start();
    for protocol in [Protocol::Meta, Protocol::Binary, Protocol::Ascii] {
        let backend = open(&server.address(), protocol);
        get(&*backend, &key("user")).await.unwrap_err();
        put(&*backend, &key("user"), "Ada".into()).await.unwrap_err();
    }
}
