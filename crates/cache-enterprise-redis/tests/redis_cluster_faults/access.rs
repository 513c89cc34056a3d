//! Who may enter a cluster: TLS, users and passwords hold for every node.

use std::net::TcpListener;
use std::sync::Arc;

use cache_enterprise_core::{Backend, BackendHealth, ErrorKind, KeySpace, OpContext, Put};
use cache_enterprise_redis::{Password, Redis};
use cache_enterprise_testkit::servers::{RedisCluster, RedisServer};
use cache_enterprise_testkit::wait::until;

use super::traffic::patient;

async fn assert_usable(backend: Arc<dyn Backend>) {
    let space = KeySpace::new("shop", "acme", "users").unwrap();
    let call = OpContext::default();
    let keys: Vec<_> = (0..64_u32).map(|number| space.key(&number).unwrap()).collect();
    for key in &keys {
        backend.put(key, key.as_str().to_owned().into(), Put::default(), &call).await.unwrap();
    }
    let found = backend.get_many(&keys, &call).await.unwrap();
    assert!(keys.iter().zip(found).all(|(key, value)| value.unwrap() == key.as_str()));
    assert_eq!(backend.health().await, BackendHealth::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_opens_every_node_and_a_wrong_one_none() {
    let _alone = super::alone().await;
    let servers = RedisCluster::options().password("hush-hush").start(3, 0);
    assert_usable(patient(Redis::cluster(servers.urls()).unwrap()).open().await.unwrap()).await;

    let wrong = Redis::cluster(servers.addresses()).unwrap().password(Password::new("canary"));
    let error = wrong.open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    let none = Redis::cluster(servers.addresses()).unwrap().open().await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Config);
}

/// One node with all slots: what a cluster says about itself is the same, and all of it is TLS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_a_user_hold_for_the_nodes_that_others_name() {
    let _alone = super::alone().await;
    let bus = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = RedisServer::options()
        .tls()
        .user("shop", "hush-hush")
        .arg("cluster-enabled", "yes")
        .arg("tls-cluster", "yes")
        .arg("cluster-announce-ip", "127.0.0.1")
        .arg("cluster-port", &bus.to_string())
        .start();
    assert_eq!(server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    until("the cluster is whole", || server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
    let redis = || patient(Redis::cluster([server.url()]).unwrap());
    assert_usable(redis().ca_file(server.ca_file()).open().await.unwrap()).await;

    let stranger = redis().open().await.unwrap_err();
    assert_eq!(stranger.kind(), ErrorKind::Config, "nobody vouched for it: {stranger}");
    let database = Redis::cluster([format!("{}3", server.url())]).unwrap_err();
    assert!(database.to_string().contains("database"), "{database}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_outside_a_cluster_says_so() {
    let server = RedisServer::start();
    let error = Redis::cluster([server.url()]).unwrap().open().await.unwrap_err();
    println!("{error}");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("cluster"), "{error}");
}
