//! Epochs and leases that processes share on real memcached servers: the suites, and what becomes
//! of them when a server forgets.
#![allow(clippy::unwrap_used)]

mod leases;
mod losses;
mod records;
mod suites;

use std::sync::Arc;

use cache_enterprise_core::coherence::{EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{secs, tag};
use cache_enterprise_memcached::{Memcached, MemcachedBackend, Protocol};
use cache_enterprise_testkit::servers::MemcachedServer;
use twox_hash::XxHash3_128;

/// A client that nothing keeps from an answer but a busy machine; each call is another process.
fn client(server: &MemcachedServer) -> Arc<MemcachedBackend> {
    client_by(server, Protocol::Meta)
}

fn client_by(server: &MemcachedServer, protocol: Protocol) -> Arc<MemcachedBackend> {
    let servers = Memcached::servers([server.address()]).unwrap().protocol(protocol);
    let patient = servers.connect_timeout(secs(20)).read_timeout(secs(20)).write_timeout(secs(20));
    Arc::new(patient.open().unwrap())
}

fn hash(name: &str) -> String {
    format!("{:032x}", XxHash3_128::oneshot(name.as_bytes()))
}

/// Where `docs/memcached.md` says that a tenant's record lies.
fn record_of(manager: &str, tenant: &str) -> String {
    format!("@t{}{}", hash(manager), hash(tenant))
}

fn counter_of(manager: &str) -> String {
    format!("@n{}", hash(manager))
}

/// Deletes an item that must be there.
#[track_caller]
fn delete(server: &MemcachedServer, name: &str) {
    assert_eq!(server.ask(&format!("delete {name}")), "DELETED", "{name}");
}

fn tag_named(name: &str) -> EpochTarget {
    EpochTarget::Tag(tag!("{name}"))
}

/// Raises one target of `acme`, as somebody who has seen no number.
async fn raise(store: &dyn EpochStore, target: EpochTarget) -> Sequence {
    store.raise("shop", "acme", &[target], Sequence::ZERO).await.unwrap()
}
