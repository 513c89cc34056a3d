//! Short words for what stories do to a backend.
#![allow(dead_code, reason = "each target uses its part")]

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{
    Backend, Error, ErrorKind, KeySpace, OpContext, Put, PutOutcome, Result, Sequence, StoredKey,
    secs,
};
use cache_enterprise_redis::{Redis, RedisBackend};

/// A backend that a busy machine makes wait and not fail: for stories in which nothing hangs.
pub(crate) fn patient(url: &str) -> Redis {
    let redis = Redis::url(url).unwrap();
    redis.connect_timeout(secs(20)).read_timeout(secs(20)).write_timeout(secs(20))
}

/// A backend whose timeouts end soon: for stories that wait for them.
pub(crate) fn hasty(url: &str) -> Redis {
    let redis = Redis::url(url).unwrap();
    redis.connect_timeout(secs(2)).read_timeout(secs(2)).write_timeout(secs(2))
}

pub(crate) async fn open(url: &str) -> Arc<RedisBackend> {
    patient(url).open().await.unwrap()
}

pub(crate) async fn open_hasty(url: &str) -> Arc<RedisBackend> {
    hasty(url).open().await.unwrap()
}

pub(crate) fn key(text: &str) -> StoredKey {
    KeySpace::new("shop", "acme", "users").unwrap().key(&text.to_owned()).unwrap()
}

/// A value that spells its key over and over, so that a mixed or cut one shows.
pub(crate) fn value_of(key: &StoredKey, bytes: usize) -> Bytes {
    key.as_str().bytes().cycle().take(bytes).collect()
}

pub(crate) async fn get(backend: &dyn Backend, key: &StoredKey) -> Result<Option<Bytes>> {
    backend.get(key, &OpContext::default()).await
}

pub(crate) async fn put(
    backend: &dyn Backend,
    key: &StoredKey,
    value: impl Into<Bytes>,
) -> Result<PutOutcome> {
    backend.put(key, value.into(), Put::default(), &OpContext::default()).await
}

pub(crate) async fn remove(backend: &dyn Backend, key: &StoredKey, at: u64) -> Result<bool> {
    backend.remove(key, Sequence(at), &OpContext::default()).await
}

/// The kind of a failure that may pass by itself.
#[track_caller]
pub(crate) fn assert_transient<T: Debug>(answer: Result<T>) -> ErrorKind {
    let error = answer.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    error.kind()
}

/// A failure that only a person can mend, with what to do.
#[track_caller]
pub(crate) fn assert_config<T: Debug>(answer: Result<T>, fix: &str) -> Error {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(!error.is_transient() && error.to_string().contains(fix), "{error:?}");
    error
}
