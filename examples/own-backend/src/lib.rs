//! A backend of one's own, written against `cache-enterprise-core` alone. Its one test runs the
//! conformance suite of `cache-enterprise-testkit`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Error, ErrorKind, KeyPrefix, OpContext, Put, PutOutcome,
    Result, Sequence, StoredKey,
};

type Entries = BTreeMap<StoredKey, Bytes>;

/// Keeps bytes in a map for as long as the process runs. What it does not claim, the engine does
/// without: expiry comes from the envelope, fences from the key's gate.
///
/// The example `tier_of_your_own` puts it below level 1.
pub struct MapBackend {
    /// `None` once closed.
    entries: Mutex<Option<Entries>>,
    calls: AtomicU64,
}

impl Default for MapBackend {
    fn default() -> Self {
        Self { entries: Mutex::new(Some(Entries::new())), calls: AtomicU64::new(0) }
    }
}

/// Shows no value: the text may end in a log.
impl fmt::Debug for MapBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBackend").finish_non_exhaustive()
    }
}

impl MapBackend {
    /// How often it was called. A batch is one call, however many keys it has.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Does `work` on the entries, unless the backend was closed.
    fn with<T>(&self, operation: &'static str, work: impl FnOnce(&mut Entries) -> T) -> Result<T> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // A map stays whole when a thread panics beside it.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.as_mut() {
            Some(entries) => Ok(work(entries)),
            None => {
                Err(Error::new(ErrorKind::Closed, "the backend was closed").operation(operation))
            }
        }
    }
}

#[async_trait]
impl Backend for MapBackend {
    fn name(&self) -> &str {
        "map"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { clear_prefix: true, ..Capabilities::default() }
    }

    async fn get(&self, key: &StoredKey, _: &OpContext) -> Result<Option<Bytes>> {
        self.with("get", |entries| entries.get(key).cloned())
    }

    // The defaults for several keys ask one by one. Here one lock is enough for all.
    async fn get_many(&self, keys: &[StoredKey], _: &OpContext) -> Result<Vec<Option<Bytes>>> {
        self.with("get_many", |entries| keys.iter().map(|key| entries.get(key).cloned()).collect())
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        _: Put,
        _: &OpContext,
    ) -> Result<PutOutcome> {
        self.with("put", |entries| entries.insert(key.clone(), value))?;
        Ok(PutOutcome::Stored)
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        _: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        let outcomes = vec![PutOutcome::Stored; items.len()];
        let items = items.into_iter().map(|(key, value, _)| (key, value));
        self.with("put_many", |entries| entries.extend(items))?;
        Ok(outcomes)
    }

    async fn remove(&self, key: &StoredKey, _: Sequence, _: &OpContext) -> Result<bool> {
        self.with("remove", |entries| entries.remove(key).is_some())
    }

    async fn remove_many(&self, keys: &[StoredKey], _: Sequence, _: &OpContext) -> Result<u64> {
        self.with("remove_many", |entries| {
            keys.iter().map(|key| u64::from(entries.remove(key).is_some())).sum()
        })
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        self.with("clear_prefix", |entries| entries.retain(|key, _| !prefix.contains(key)))
    }

    async fn health(&self) -> BackendHealth {
        match self.with("health", |_| ()) {
            Ok(()) => BackendHealth::Up,
            Err(closed) => BackendHealth::Down(closed.to_string()),
        }
    }

    async fn close(&self) -> Result<()> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(())
    }
}
