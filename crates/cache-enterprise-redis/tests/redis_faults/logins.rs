//! Users, passwords and what they may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cache_enterprise_core::coherence::{
    Acquired, Bus, EpochStore, EpochTarget, Heard, Lease, Sequence,
};
use cache_enterprise_core::{
    Backend, KeyPrefix, OpContext, Put, Result, SecretSource, StoredKey, secs,
};
use cache_enterprise_redis::{Password, Redis, RedisBackend, RedisBus};
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;

use super::{assert_config, get, key, patient, put};

fn at(server: &RedisServer) -> Redis {
    patient(&format!("redis://{}", server.address()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_an_error_of_the_settings_that_shows_no_password() {
    let server = RedisServer::options().user("app", "secret").start();
    let wrong = at(&server).user("app").password(Password::new("canary"));
    let error = assert_config(wrong.clone().open().await, "user and password");
    assert!(!format!("{error:?} {wrong:?}").contains("canary"));
    let nobody = assert_config(at(&server).open().await, "user and password");
    assert!(format!("{nobody}").contains(&server.address()));
    let right = at(&server).user("app").password(Password::new("secret")).open().await.unwrap();
    put(&*right, &key("user"), "Ada").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_in_the_url_works_and_is_not_shown() {
    let server = RedisServer::options().password("canary").start();
    let redis = patient(&server.url());
    assert!(!format!("{redis:?}").contains("canary"));
    let backend = redis.open().await.unwrap();
    assert!(!format!("{backend:?}").contains("canary"));
    put(&*backend, &key("user"), "Ada").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_rights_is_told_what_to_grant() {
    let server = RedisServer::start();
    server.cli(&["ACL", "SETUSER", "reader", "on", ">secret", "~*", "+get", "+mget", "+ping"]);
    let reader = at(&server).user("reader").password(Password::new("secret"));
    let backend = reader.open().await.unwrap();
    assert_eq!(get(&*backend, &key("user")).await.unwrap(), None);
    let error = assert_config(put(&*backend, &key("user"), "canary").await, "docs/redis.md");
    assert!(!format!("{error:?}").contains("canary"));
}

/// The rights that `docs/redis.md` lists, and keys and channels of one manager alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_are_documented_are_enough() {
    let server = RedisServer::start();
    let mut rights = vec!["ACL", "SETUSER", "shop", "on", ">secret", "resetkeys", "~{shop:*"];
    let page = include_str!("../../../../docs/redis.md");
    let listed = page.lines().skip_while(|line| !line.starts_with("&{manager:*"));
    let listed: Vec<&str> = listed.take_while(|line| *line != "```").collect();
    rights.extend(["resetchannels", "&{shop:*"]);
    assert!(listed.len() > 1, "the page lists rights behind the channels");
    rights.extend(listed[1..].iter().flat_map(|line| line.split_whitespace()));
    assert_eq!(server.cli(&rights), "OK");
    let shop = at(&server).user("shop").password(Password::new("secret")).open().await.unwrap();
    let (ctx, user) = (Default::default(), key("user"));
    put(&*shop, &user, "Ada").await.unwrap();
    assert_eq!(shop.get_many(std::slice::from_ref(&user), &ctx).await.unwrap().len(), 1);
    assert!(shop.touch(&user, secs(60), &ctx).await.unwrap());
    let prefix = KeyPrefix::manager("shop");
    assert_eq!(shop.scan(&prefix, None, 10).await.unwrap().keys, std::slice::from_ref(&user));
    shop.clear_prefix(&prefix).await.unwrap();
    assert_eq!(get(&*shop, &user).await.unwrap(), None);
    coherence_works(&shop, &user).await;
    let other = cache_enterprise_core::KeySpace::new("other", "", "users").unwrap();
    assert_config(put(&*shop, &other.key(&1_u8).unwrap(), "Ada").await, "grant");
}

/// Every call of epochs, bus, leases and swaps.
async fn coherence_works(shop: &Arc<RedisBackend>, user: &StoredKey) {
    let epochs = shop.epochs();
    let loaded = epochs.load("shop", "acme", Sequence::ZERO).await.unwrap();
    let targets = [EpochTarget::Everything, EpochTarget::Tenant];
    epochs.raise("shop", "acme", &targets, loaded.sequence).await.unwrap();
    epochs.raise("shop", "acme", &targets[1..], loaded.sequence).await.unwrap();
    epochs.since("shop", "acme", loaded.mark, loaded.sequence).await.unwrap();
    let lease = shop.lease();
    let Acquired::Held(token) = lease.acquire(user, secs(60)).await.unwrap() else { panic!() };
    lease.put(user, "Ada".into(), Put::default(), token).await.unwrap();
    assert!(lease.renew(user, token, secs(60)).await.unwrap());
    lease.release(user, token).await.unwrap();
    let how = Put { version: Sequence(1), ttl: None };
    shop.swap(user, "Ada".into(), how, Sequence::ZERO, &OpContext::default()).await.unwrap();
    shop.clear_prefix(&KeyPrefix::manager("shop")).await.unwrap();
    let bus = RedisBus::sharing(shop);
    let mut listener = bus.listen("shop").await.unwrap();
    bus.publish("shop", "frame".into()).await.unwrap();
    while !matches!(listener.next().await, Heard::Frame(_)) {}
    assert_config(bus.publish("other", "frame".into()).await, "grant");
}

/// A secret whose value changes, as a file's does.
#[derive(Debug)]
struct Rotating(Arc<AtomicBool>);

impl SecretSource for Rotating {
    fn reveal(&self, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        see(if self.0.load(Ordering::Relaxed) { b"second" } else { b"first" });
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_password_is_taken_up_by_the_next_connection() {
    let server = RedisServer::options().password("first").start();
    let is_changed = Arc::new(AtomicBool::new(false));
    let backend = at(&server).password(Rotating(Arc::clone(&is_changed))).open().await.unwrap();
    put(&*backend, &key("user"), "Ada").await.unwrap();
    server.cli(&["CONFIG", "SET", "requirepass", "second"]);
    is_changed.store(true, Ordering::Relaxed);
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    until_async("the value is read", async || {
        get(&*backend, &key("user")).await.is_ok_and(|found| found.is_some())
    })
    .await;
}
