//! A disk whose directory cannot be used yet.
//!
//! A manager is not held up by it: its calls fail, so the level is degraded, and the directory is
//! tried again, by the first call after each pause. Once it opens, every call goes through.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{EpochRecord, EpochStore, EpochTarget};
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Clock, Error, ErrorKind, KeyPrefix, Millis, NEVER,
    OpContext, Put, PutOutcome, Result, ScanPage, Sequence, StoredKey, Swapped, saturating_millis,
};
use parking_lot::Mutex;

use crate::{Disk, DiskBackend, backend, error};

/// Pause between two attempts to open the directory.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// Stands in for a backend until its directory can be used.
#[derive(Debug)]
pub(crate) struct LateDisk {
    door: Arc<Door>,
    capabilities: Capabilities,
}

#[derive(Debug)]
struct Door {
    disk: Disk,
    clock: Clock,
    opened: OnceLock<Arc<DiskBackend>>,
    shut: Mutex<Shut>,
}

#[derive(Debug)]
struct Shut {
    fault: Error,
    /// When the next attempt is due; never while one is made.
    retry_at: Millis,
    is_closed: bool,
}

impl LateDisk {
    /// Stands in for `disk`, which could not be opened just now because of `fault`.
    pub(crate) fn new(disk: Disk, clock: Clock, fault: Error) -> Self {
        let capabilities = backend::capabilities(disk.value_bytes_max());
        let retry_at = clock.tick() + saturating_millis(PAUSE);
        let shut = Mutex::new(Shut { fault, retry_at, is_closed: false });
        let door = Arc::new(Door { disk, clock, opened: OnceLock::new(), shut });
        Self { door, capabilities }
    }

    /// The backend, if it is open or opens now. An attempt goes on when its caller leaves: the
    /// journal may take longer to replay than a caller waits.
    async fn opened(&self, operation: &'static str) -> Result<&DiskBackend> {
        if self.door.opened.get().is_none() && self.door.begin(operation)? {
            let door = Arc::clone(&self.door);
            // A panic while opening was printed when it happened, and the door stays shut.
            let _ = tokio::spawn(async move { door.attempt().await }).await;
        }
        match self.door.opened.get() {
            Some(disk) => Ok(disk),
            None => Err(self.door.fault(operation)),
        }
    }
}

impl Door {
    /// Whether the caller shall make the next attempt.
    fn begin(&self, operation: &'static str) -> Result<bool> {
        let now = self.clock.tick();
        let mut shut = self.shut.lock();
        if shut.is_closed {
            return Err(error::closed(operation));
        }
        let is_due = now >= shut.retry_at;
        if is_due {
            shut.retry_at = NEVER;
        }
        Ok(is_due)
    }

    async fn attempt(&self) {
        let tried = self.disk.clone().open().await;
        let mut shut = self.shut.lock();
        match tried {
            // Dropped when it was closed meanwhile, which gives the directory back.
            Ok(disk) if !shut.is_closed => drop(self.opened.set(disk)),
            Ok(_) => {}
            Err(fault) => {
                shut.fault = fault;
                shut.retry_at = self.clock.tick() + saturating_millis(PAUSE);
            }
        }
    }

    fn fault(&self, operation: &'static str) -> Error {
        Error::new(ErrorKind::Unavailable, "the cache directory could not be opened yet")
            .operation(operation)
            .source_error(self.shut.lock().fault.clone())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for LateDisk {
    fn name(&self) -> &str {
        backend::NAME
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn node(&self, _: &StoredKey) -> u32 {
        0
    }

    fn nodes(&self) -> u32 {
        1
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        self.opened("get").await?.get(key, ctx).await
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        self.opened("get_many").await?.get_many(keys, ctx).await
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        self.opened("put").await?.put(key, value, how, ctx).await
    }

    async fn put_many(
        &self,
        entries: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        self.opened("put_many").await?.put_many(entries, ctx).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.opened("remove").await?.remove(key, at, ctx).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        self.opened("remove_many").await?.remove_many(keys, at, ctx).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        self.opened("swap").await?.swap(key, value, how, expected, ctx).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        self.opened("touch").await?.touch(key, ttl, ctx).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.opened("scan").await?.scan(prefix, from, limit).await
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        self.opened("clear_prefix").await?.clear_prefix(prefix).await
    }

    async fn health(&self) -> BackendHealth {
        match self.opened("health").await {
            Ok(disk) => disk.health().await,
            Err(why) => BackendHealth::Down(format!("{why:?}")),
        }
    }

    async fn close(&self) -> Result<()> {
        self.door.shut.lock().is_closed = true;
        match self.door.opened.get() {
            Some(disk) => disk.close().await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl EpochStore for LateDisk {
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        self.opened("load").await?.load(manager, tenant, newest).await
    }

    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        self.opened("raise").await?.raise(manager, tenant, targets, above).await
    }

    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()> {
        self.opened("reserve").await?.reserve(manager, tenant, upto).await
    }
}
