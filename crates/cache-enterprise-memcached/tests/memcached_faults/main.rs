//! What goes wrong between this process and real memcached servers, and what is seen of it.
//! `docs/backends.md` lists every fault with its test.
#![allow(clippy::unwrap_used)]

mod borders;
mod keys;
mod leaving_callers;
mod outages;
mod passwords;
mod wires;

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::{
    Backend, Error, ErrorKind, KeySpace, OpContext, Put, PutOutcome, Sequence, StoredKey, secs,
};
use cache_enterprise_memcached::{Memcached, MemcachedBackend, Protocol};

const PROTOCOLS: [Protocol; 3] = [Protocol::Meta, Protocol::Binary, Protocol::Ascii];

/// Servers with timeouts short enough that a test of many of them ends soon.
fn impatient<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Memcached {
    let servers = Memcached::servers(servers).unwrap();
    servers.connect_timeout(secs(2)).read_timeout(secs(2)).write_timeout(secs(2))
}

/// Servers that nothing keeps from answering but a busy machine.
fn patient<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Memcached {
    let servers = Memcached::servers(servers).unwrap();
    servers.connect_timeout(secs(20)).read_timeout(secs(20)).write_timeout(secs(20))
}

fn open_impatient(server: &str, protocol: Protocol) -> Arc<MemcachedBackend> {
    Arc::new(impatient([server]).protocol(protocol).open().unwrap())
}

fn open(server: &str, protocol: Protocol) -> Arc<MemcachedBackend> {
    Arc::new(patient([server]).protocol(protocol).open().unwrap())
}

fn key(text: &str) -> StoredKey {
    KeySpace::new("shop", "acme", "users").unwrap().key(&text.to_owned()).unwrap()
}

/// A value that tells its key, of the given length.
fn value_of(key: &StoredKey, length: usize) -> Bytes {
    key.as_str().bytes().cycle().take(length).collect::<Vec<u8>>().into()
}

async fn get(backend: &dyn Backend, key: &StoredKey) -> Result<Option<Bytes>, Error> {
    backend.get(key, &OpContext::default()).await
}

async fn put(backend: &dyn Backend, key: &StoredKey, value: Bytes) -> Result<PutOutcome, Error> {
    backend.put(key, value, Put::default(), &OpContext::default()).await
}

async fn remove(backend: &dyn Backend, key: &StoredKey) -> Result<bool, Error> {
    backend.remove(key, Sequence(1), &OpContext::default()).await
}

/// The call failed, and trying it again may help.
#[track_caller]
fn assert_transient<T: std::fmt::Debug>(answer: Result<T, Error>) -> ErrorKind {
    let error = answer.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    error.kind()
}
