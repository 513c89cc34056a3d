//! Backends and epoch stores behind the simulated network.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{EpochMark, EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Clock, KeyPrefix, OpContext, Put, PutOutcome, Result,
    ScanPage, StoredKey, Swapped, unsupported,
};
use parking_lot::Mutex;

use super::network::Line;
use crate::ModelBackend;

tokio::task_local! {
    /// What shared tiers gave to the operation of this task.
    static GIVEN: Mutex<Vec<Bytes>>;
}

/// Runs `operation`, and gives besides what shared tiers gave it in this task.
pub(super) async fn noting_tiers<F: Future>(operation: F) -> (F::Output, Vec<Bytes>) {
    let scope = GIVEN.scope(Mutex::default(), async move {
        let output = operation.await;
        (output, GIVEN.with(|given| std::mem::take(&mut *given.lock())))
    });
    scope.await
}

/// The server of a tier: what every process sees, and what a restart loses. Cloning shares it.
#[derive(Clone)]
pub struct TierServer {
    // Every call takes the server with it, on the wire.
    shared: Arc<Server>,
}

struct Server {
    name: String,
    clock: Clock,
    capabilities: Capabilities,
    inner: Mutex<Arc<ModelBackend>>,
    /// Values it may be given that it does not keep, out of 1 000.
    refused: AtomicU64,
}

impl TierServer {
    /// An empty server whose entries end by `clock`.
    pub fn new(name: impl Into<String>, clock: Clock, capabilities: Capabilities) -> Self {
        let inner = ModelBackend::new(clock.clone()).claiming(capabilities);
        let inner = Mutex::new(Arc::new(inner));
        let refused = AtomicU64::new(0);
        let shared = Arc::new(Server { name: name.into(), clock, capabilities, inner, refused });
        Self { shared }
    }

    /// Loses everything, fences too.
    pub fn restart(&self) {
        let Server { clock, capabilities, inner, .. } = &*self.shared;
        *inner.lock() = Arc::new(ModelBackend::new(clock.clone()).claiming(*capabilities));
    }

    /// Refuses to keep this many of 1 000 values from now on.
    pub fn refuse(&self, of_1000: u64) {
        self.shared.refused.store(of_1000, Ordering::Relaxed);
    }

    /// The tier as a process sees it over `line`.
    pub fn over(&self, line: Line) -> RemoteTier {
        RemoteTier { server: self.clone(), line }
    }

    fn inner(&self) -> Arc<ModelBackend> {
        Arc::clone(&self.shared.inner.lock())
    }
}

impl fmt::Debug for TierServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TierServer").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

/// A [`TierServer`] seen from one life of a process.
#[derive(Debug)]
pub struct RemoteTier {
    server: TierServer,
    line: Line,
}

impl RemoteTier {
    fn note(&self, found: &Option<Bytes>) {
        if let Some(bytes) = found.as_ref().filter(|_| self.server.shared.capabilities.shared) {
            // Outside of an operation nobody asks.
            let _ = GIVEN.try_with(|given| given.lock().push(bytes.clone()));
        }
    }

    fn refuses(&self) -> bool {
        let share = self.server.shared.refused.load(Ordering::Relaxed);
        share > 0 && self.line.draw(1_000) < share
    }
}

#[async_trait]
impl Backend for RemoteTier {
    fn name(&self) -> &str {
        &self.server.shared.name
    }

    fn capabilities(&self) -> Capabilities {
        self.server.shared.capabilities
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        let (server, key, ctx) = (self.server.clone(), key.clone(), *ctx);
        let effect = async move { server.inner().get(&key, &ctx).await };
        let found = self.line.call("get", effect).await?;
        self.note(&found);
        Ok(found)
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        let (server, keys, ctx) = (self.server.clone(), keys.to_vec(), *ctx);
        let effect = async move { server.inner().get_many(&keys, &ctx).await };
        let found = self.line.call("get_many", effect).await?;
        found.iter().for_each(|value| self.note(value));
        Ok(found)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        let (server, key, ctx, refuses) = (self.server.clone(), key.clone(), *ctx, self.refuses());
        let effect = async move {
            let outcome = server.inner().put(&key, value, how, &ctx).await?;
            if outcome == PutOutcome::Stored && refuses {
                // Nothing older is left, and nothing newer kept.
                server.inner().remove(&key, how.version, &ctx).await?;
                return Ok(PutOutcome::Refused);
            }
            Ok(outcome)
        };
        self.line.call("put", effect).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        let (server, ctx) = (self.server.clone(), *ctx);
        let effect = async move { server.inner().put_many(items, &ctx).await };
        self.line.call("put_many", effect).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        let (server, key, ctx) = (self.server.clone(), key.clone(), *ctx);
        let effect = async move { server.inner().remove(&key, at, &ctx).await };
        self.line.call("remove", effect).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        let (server, keys, ctx) = (self.server.clone(), keys.to_vec(), *ctx);
        let effect = async move { server.inner().remove_many(&keys, at, &ctx).await };
        self.line.call("remove_many", effect).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        let (server, key, ctx) = (self.server.clone(), key.clone(), *ctx);
        let effect = async move { server.inner().swap(&key, value, how, expected, &ctx).await };
        self.line.call("swap", effect).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        let (server, key, ctx) = (self.server.clone(), key.clone(), *ctx);
        let effect = async move { server.inner().touch(&key, ttl, &ctx).await };
        self.line.call("touch", effect).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        let (server, prefix) = (self.server.clone(), prefix.clone());
        let effect = async move { server.inner().scan(&prefix, from, limit).await };
        self.line.call("scan", effect).await
    }

    async fn clear_prefix(&self, _: &KeyPrefix) -> Result<()> {
        Err(unsupported(&self.server.shared.name, "clear_prefix"))
    }

    async fn health(&self) -> BackendHealth {
        BackendHealth::Up
    }

    /// The server goes on without the process.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// An epoch store behind the network.
#[derive(Debug)]
pub struct RemoteEpochs {
    inner: Arc<dyn EpochStore>,
    line: Line,
    is_shared: bool,
}

impl RemoteEpochs {
    /// `inner` as a process sees it over `line`.
    pub fn new(inner: Arc<dyn EpochStore>, line: Line) -> Self {
        Self { inner, line, is_shared: true }
    }

    /// `inner` as the store of one process alone.
    pub fn own(inner: Arc<dyn EpochStore>, line: Line) -> Self {
        Self { inner, line, is_shared: false }
    }

    /// Calls the store with the names that every call carries.
    async fn call<T, F>(
        &self,
        what: &'static str,
        (manager, tenant): (&str, &str),
        effect: impl FnOnce(Arc<dyn EpochStore>, String, String) -> F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let effect = effect(Arc::clone(&self.inner), manager.to_owned(), tenant.to_owned());
        // Without its record or a number a process goes on with numbers of its own.
        let gives_number = matches!(what, "load" | "next");
        let mut number = Wanted { line: gives_number.then_some(&self.line), is_given: false };
        let answer = self.line.call(what, effect).await;
        number.is_given = answer.is_ok();
        answer
    }
}

/// A number that a process waits for; one that it waits for no longer is not given.
struct Wanted<'a> {
    line: Option<&'a Line>,
    is_given: bool,
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.line {
            line.note_number(self.is_given);
        }
    }
}

#[async_trait]
impl EpochStore for RemoteEpochs {
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord> {
        let effect = |inner: Arc<dyn EpochStore>, manager: String, tenant: String| async move {
            inner.load(&manager, &tenant, newest).await
        };
        self.call("load", (manager, tenant), effect).await
    }

    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        let targets = targets.to_vec();
        let effect = |inner: Arc<dyn EpochStore>, manager: String, tenant: String| async move {
            inner.raise(&manager, &tenant, &targets, above).await
        };
        self.call("raise", (manager, tenant), effect).await
    }

    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()> {
        let effect = |inner: Arc<dyn EpochStore>, manager: String, tenant: String| async move {
            inner.reserve(&manager, &tenant, upto).await
        };
        self.call("reserve", (manager, tenant), effect).await
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    async fn next(&self, manager: &str, tenant: &str, above: Sequence) -> Result<Sequence> {
        let effect = |inner: Arc<dyn EpochStore>, manager: String, tenant: String| async move {
            inner.next(&manager, &tenant, above).await
        };
        self.call("next", (manager, tenant), effect).await
    }

    async fn mark(&self, manager: &str, tenant: &str) -> Result<EpochMark> {
        let effect = |inner: Arc<dyn EpochStore>, manager: String, tenant: String| async move {
            inner.mark(&manager, &tenant).await
        };
        self.call("mark", (manager, tenant), effect).await
    }

    async fn since(
        &self,
        manager: &str,
        tenant: &str,
        mark: EpochMark,
        newest: Sequence,
    ) -> Result<EpochRecord> {
        let effect = |inner: Arc<dyn EpochStore>, manager: String, tenant: String| async move {
            inner.since(&manager, &tenant, mark, newest).await
        };
        self.call("since", (manager, tenant), effect).await
    }
}
