//! What a Redis backend does when something goes wrong, on real servers. `docs/backends.md` has a
//! line for each story. Times are asserted nowhere.
#![allow(clippy::unwrap_used)]

mod borders;
mod certificates;
mod functions;
mod keys;
mod leaving_callers;
mod logins;
mod outages;
mod refusals;
mod replicas;
mod wires;

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{
    Backend, Error, ErrorKind, KeySpace, OpContext, Put, PutOutcome, Result, Sequence, StoredKey,
    ms,
};
use cache_enterprise_redis::{Redis, RedisBackend};

/// A backend whose timeouts end soon: stories wait for them.
fn hasty(url: &str) -> Redis {
    let redis = Redis::url(url).unwrap();
    redis.connect_timeout(ms(500)).read_timeout(ms(400)).write_timeout(ms(600))
}

async fn open(url: &str) -> Arc<RedisBackend> {
    hasty(url).open().await.unwrap()
}

fn key(text: &str) -> StoredKey {
    KeySpace::new("shop", "acme", "users").unwrap().key(&text.to_owned()).unwrap()
}

/// A value that spells its key over and over, so that a mixed or cut one shows.
fn value_of(key: &StoredKey, bytes: usize) -> Bytes {
    key.as_str().bytes().cycle().take(bytes).collect()
}

async fn get(backend: &dyn Backend, key: &StoredKey) -> Result<Option<Bytes>> {
    backend.get(key, &OpContext::default()).await
}

async fn put(
    backend: &dyn Backend,
    key: &StoredKey,
    value: impl Into<Bytes>,
) -> Result<PutOutcome> {
    backend.put(key, value.into(), Put::default(), &OpContext::default()).await
}

async fn remove(backend: &dyn Backend, key: &StoredKey, at: u64) -> Result<bool> {
    backend.remove(key, Sequence(at), &OpContext::default()).await
}

/// The kind of a failure that may pass by itself.
#[track_caller]
fn assert_transient<T: Debug>(answer: Result<T>) -> ErrorKind {
    let error = answer.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    error.kind()
}

/// A failure that only a person can mend, with what to do.
#[track_caller]
fn assert_config<T: Debug>(answer: Result<T>, fix: &str) -> Error {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(!error.is_transient() && error.to_string().contains(fix), "{error:?}");
    error
}
