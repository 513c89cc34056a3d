//! TLS that does not fit.

use cache_enterprise_core::ErrorKind;
use cache_enterprise_redis::Redis;
use cache_enterprise_testkit::servers::RedisServer;

use super::{assert_config, get, hasty, key, patient, put};

fn secured(server: &RedisServer) -> Redis {
    patient(&format!("rediss://{}", server.address()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_name_is_refused() {
    let server = RedisServer::options().tls_for_another_name().start();
    let error =
        assert_config(secured(&server).ca_file(server.ca_file()).open().await, "another name");
    assert!(error.to_string().contains(&server.address()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let server = RedisServer::options().tls().start();
    let stranger = server.certificates().stranger_ca_file();
    assert_config(secured(&server).ca_file(stranger).open().await, "ca_file");
    // Without a file the operating system's authorities vouch, none of whom knows this one.
    assert_config(secured(&server).open().await, "ca_file");
    let known = secured(&server).ca_file(server.ca_file()).open().await.unwrap();
    put(&*known, &key("user"), "Ada").await.unwrap();
    assert_eq!(get(&*known, &key("user")).await.unwrap().unwrap(), "Ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_a_certificate_is_refused_where_one_is_asked_for() {
    let server = RedisServer::options().client_certificates().start();
    let error = secured(&server).ca_file(server.ca_file()).open().await.unwrap_err();
    assert!(error.to_string().contains("client_certificate"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_plain_text_do_not_meet() {
    let plain = RedisServer::start();
    let error = hasty(&format!("rediss://{}", plain.address())).open().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Config | ErrorKind::Timeout), "{error:?}");
    let tls = RedisServer::options().tls().start();
    let error = hasty(&format!("redis://{}", tls.address())).open().await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}
