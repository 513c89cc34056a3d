//! A bound on how long a call may take.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Error, ErrorKind, KeyPrefix, OpContext, Put, PutOutcome,
    Result, ScanPage, Sequence, StoredKey, Swapped, mutant, saturating_millis,
};

/// How long calls may take. Zero is no name for "without limit": it ends every call that is not
/// answered at its first poll.
///
/// ```
/// use cache_enterprise_core::ms;
/// use cache_enterprise_resilience::TimeoutConfig;
///
/// let config = TimeoutConfig { read: ms(50), ..TimeoutConfig::default() };
/// assert_eq!(config.write, ms(250));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutConfig {
    /// Bound on `get`, `get_many` and `health`. Default 250 ms.
    pub read: Duration,
    /// Bound on `put`, `put_many`, `remove`, `remove_many`, `swap` and `touch`. Default 250 ms.
    pub write: Duration,
    /// Bound on `scan` (a page) and `clear_prefix`, which walk many keys. Default 30 s.
    pub admin: Duration,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            read: Duration::from_millis(250),
            write: Duration::from_millis(250),
            admin: Duration::from_secs(30),
        }
    }
}

/// A backend whose calls end in time.
///
/// A call may take the smaller of [`OpContext::timeout`] and its limit, then it is dropped and
/// answers [`ErrorKind::Timeout`]; the inner backend is told that bound in its own context.
/// A write that timed out may still have reached the backend. `close` is not bounded, because a
/// flush cut short loses entries: whoever shuts down sets that deadline.
///
/// Needs a tokio runtime with its timer. Costs one timer registration a call that does not
/// answer at once.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::Backend;
/// use cache_enterprise_resilience::{Timeout, TimeoutConfig};
///
/// # fn wrap(disk: Arc<dyn Backend>) -> Timeout {
/// Timeout::new(disk, TimeoutConfig::default())
/// # }
/// ```
#[derive(Debug)]
pub struct Timeout {
    inner: Arc<dyn Backend>,
    config: TimeoutConfig,
}

impl Timeout {
    /// Bounds the calls of `inner`.
    pub fn new(inner: Arc<dyn Backend>, config: TimeoutConfig) -> Self {
        Self { inner, config }
    }

    /// Awaits `call` for at most `limit`.
    async fn bounded<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        if mutant::breaks("a call of a tier ends at its deadline") {
            return call.await;
        }
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer,
            Err(_) => Err(self.timed_out(operation, limit)),
        }
    }

    fn timed_out(&self, operation: &'static str, limit: Duration) -> Error {
        Error::new(ErrorKind::Timeout, "the backend did not answer in time")
            .operation(operation)
            .with("backend", self.inner.name())
            .with("ms", saturating_millis(limit))
    }
}

/// The bound on a call whose kind may take `limit`, and the context that tells it on.
fn bound(ctx: &OpContext, limit: Duration) -> (Duration, OpContext) {
    let limit = ctx.timeout.map_or(limit, |asked| asked.min(limit));
    (limit, OpContext { timeout: Some(limit) })
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Backend for Timeout {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn node(&self, key: &StoredKey) -> u32 {
        self.inner.node(key)
    }

    fn nodes(&self) -> u32 {
        self.inner.nodes()
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        let (limit, ctx) = bound(ctx, self.config.read);
        self.bounded("get", limit, self.inner.get(key, &ctx)).await
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        let (limit, ctx) = bound(ctx, self.config.read);
        self.bounded("get_many", limit, self.inner.get_many(keys, &ctx)).await
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        let (limit, ctx) = bound(ctx, self.config.write);
        self.bounded("put", limit, self.inner.put(key, value, how, &ctx)).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        let (limit, ctx) = bound(ctx, self.config.write);
        self.bounded("put_many", limit, self.inner.put_many(items, &ctx)).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        let (limit, ctx) = bound(ctx, self.config.write);
        self.bounded("remove", limit, self.inner.remove(key, at, &ctx)).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        let (limit, ctx) = bound(ctx, self.config.write);
        self.bounded("remove_many", limit, self.inner.remove_many(keys, at, &ctx)).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        let (limit, ctx) = bound(ctx, self.config.write);
        self.bounded("swap", limit, self.inner.swap(key, value, how, expected, &ctx)).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        let (limit, ctx) = bound(ctx, self.config.write);
        self.bounded("touch", limit, self.inner.touch(key, ttl, &ctx)).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.bounded("scan", self.config.admin, self.inner.scan(prefix, from, limit)).await
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        self.bounded("clear_prefix", self.config.admin, self.inner.clear_prefix(prefix)).await
    }

    async fn health(&self) -> BackendHealth {
        match tokio::time::timeout(self.config.read, self.inner.health()).await {
            Ok(health) => health,
            Err(_) => {
                let ms = saturating_millis(self.config.read);
                BackendHealth::Down(format!("did not answer within {ms} ms"))
            }
        }
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_deadline_and_limit_bounds_a_call() {
        let limit = Duration::from_millis(250);
        for (asked, expected) in [(None, 250), (Some(40), 40), (Some(900), 250)] {
            let ctx = OpContext { timeout: asked.map(Duration::from_millis) };
            let (bound, inner) = bound(&ctx, limit);
            assert_eq!(bound, Duration::from_millis(expected));
            assert_eq!(inner.timeout, Some(bound));
        }
    }
}
