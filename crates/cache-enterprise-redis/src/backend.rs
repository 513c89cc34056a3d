//! The backend.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Error, ErrorKind, KeyPrefix, OpContext, OpenedBackend,
    Put, PutOutcome, Result, ScanPage, Sequence, StoredKey, Swapped, saturating_millis,
};
use redis::Value;
use tokio::time::timeout;

use crate::config::{Limits, Redis};
use crate::epochs::RedisEpochs;
use crate::error;
use crate::functions::{self, Over, Request, ValueCall};
use crate::lease::RedisLease;
use crate::link::{Call, slot_of_key};
use crate::record::{self, Record};
use crate::scan;
use crate::servers::Servers;

pub(crate) const NAME: &str = "redis";
/// Bytes of values that one pipeline of puts carries.
pub(crate) const PIPELINE_BYTES: usize = 1 << 20;

/// Entries in Redis. Made by [`Redis::open`].
///
/// Expiry follows the clock of the server. Dropping it closes its connections.
///
/// ```no_run
/// use cache_enterprise_core::{Backend, KeySpace, OpContext, Put, secs};
/// use cache_enterprise_redis::Redis;
///
/// # async fn example() -> cache_enterprise_core::Result<()> {
/// let redis = Redis::url("redis://localhost:6379")?.open().await?;
/// let key = KeySpace::new("shop", "acme", "users")?.key(&42_u64)?;
/// let how = Put { ttl: Some(secs(60)), ..Put::default() };
/// redis.put(&key, "Ada".into(), how, &OpContext::default()).await?;
/// # Ok(())
/// # }
/// ```
pub struct RedisBackend {
    pub(crate) servers: Arc<Servers>,
}

impl RedisBackend {
    /// Starts to connect.
    pub(crate) async fn new(redis: Redis) -> Result<Self> {
        Ok(Self { servers: Servers::new(redis).await? })
    }

    /// Waits until the servers answer.
    pub(crate) async fn connected(&self) -> Result<()> {
        self.servers.link.connected().await.map_err(|fault| fault.operation("open"))
    }

    /// Sequence and epochs on the same servers, over the same connections.
    pub fn epochs(&self) -> RedisEpochs {
        RedisEpochs::new(Arc::clone(&self.servers))
    }

    /// Leases of keys on the same servers, over the same connections.
    pub fn lease(&self) -> RedisLease {
        RedisLease::new(Arc::clone(&self.servers))
    }

    /// What a tier takes: the backend with its epochs and leases. With
    /// [`RedisBus::sharing`](crate::RedisBus::sharing) all four share their connections.
    ///
    /// ```no_run
    /// use cache_enterprise_redis::{Redis, RedisBus};
    ///
    /// # async fn example() -> cache_enterprise_core::Result<()> {
    /// let redis = Redis::url("redis://localhost:6379")?.open().await?;
    /// let bus = RedisBus::sharing(&redis);
    /// let tier = redis.opened();
    /// # drop((bus, tier));
    /// # Ok(())
    /// # }
    /// ```
    pub fn opened(self: &Arc<Self>) -> OpenedBackend {
        let backend = OpenedBackend::new(Arc::clone(self) as Arc<dyn Backend>);
        backend.with_epochs(Arc::new(self.epochs())).with_lease(Arc::new(self.lease()))
    }

    fn limits(&self) -> &Limits {
        &self.servers.limits
    }

    fn request<'a>(&'a self, key: &'a StoredKey, request: Request) -> ValueCall<'a> {
        ValueCall { key, request, removal: &self.servers.removal }
    }

    async fn get_now(&self, key: &StoredKey) -> Result<Option<Bytes>> {
        value_of(self.servers.link.get(key).await?)
    }

    async fn get_many_now(&self, keys: &[StoredKey]) -> Result<Vec<Option<Bytes>>> {
        self.servers.link.get_many(keys).await?.into_iter().map(value_of).collect()
    }

    async fn put_now(&self, key: &StoredKey, value: Bytes, how: Put) -> Result<PutOutcome> {
        if value.len() > self.limits().value_bytes_max {
            let is_refused = self.end(key, Request::Refuse { version: how.version }).await?;
            return Ok(if is_refused { PutOutcome::Refused } else { PutOutcome::Fenced });
        }
        let request = Request::Put { version: how.version, value, life: how.ttl };
        let stored = self.servers.call(&self.request(key, request)).await?;
        Ok(outcome(functions::number(stored)?))
    }

    async fn put_many_now(&self, items: Vec<(StoredKey, Bytes, Put)>) -> Result<Vec<PutOutcome>> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut chunk = Vec::new();
        let mut bytes = 0;
        for (key, value, how) in items {
            if value.len() > self.limits().value_bytes_max {
                self.put_chunk(std::mem::take(&mut chunk), &mut outcomes).await?;
                outcomes.push(self.put_now(&key, value, how).await?);
                continue;
            }
            bytes += value.len();
            chunk.push((key, Request::Put { version: how.version, value, life: how.ttl }));
            if chunk.len() == self.limits().pipeline_size || bytes >= PIPELINE_BYTES {
                self.put_chunk(std::mem::take(&mut chunk), &mut outcomes).await?;
                bytes = 0;
            }
        }
        self.put_chunk(chunk, &mut outcomes).await?;
        Ok(outcomes)
    }

    async fn put_chunk(
        &self,
        chunk: Vec<(StoredKey, Request)>,
        outcomes: &mut Vec<PutOutcome>,
    ) -> Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        let calls: Vec<_> =
            chunk.iter().map(|(key, request)| self.request(key, request.clone())).collect();
        let numbers = self.numbers(&calls).await?;
        outcomes.extend(numbers.into_iter().map(outcome));
        Ok(())
    }

    async fn remove_now(&self, key: &StoredKey, at: Sequence) -> Result<bool> {
        self.end(key, Request::Remove { at }).await
    }

    /// Takes away what stands under a key, on as many replicas as a removal has to reach.
    async fn end(&self, key: &StoredKey, request: Request) -> Result<bool> {
        if self.limits().replicas == 0 {
            let ended = self.servers.call(&self.request(key, request)).await?;
            return Ok(functions::number(ended)? == 1);
        }
        self.end_replicated(key, request).await
    }

    /// `WAIT` answers for the writes of its own connection, so both go over one that is bound.
    async fn end_replicated(&self, key: &StoredKey, request: Request) -> Result<bool> {
        let replicas = self.limits().replicas;
        // Less than the call may take, so that its answer arrives.
        let millis = saturating_millis(self.limits().write_timeout / 2).max(1);
        let wait = || {
            let mut command = redis::cmd("WAIT");
            command.arg(replicas).arg(millis);
            Some(Call { slot: slot_of_key(key), command, payload: 0 })
        };
        let requests = [self.request(key, request)];
        let (answers, waited) = self
            .servers
            .functions
            .call_all(&self.servers.link, &requests, Over::Bound, wait)
            .await?;
        match waited {
            Some(Value::Int(have)) if usize::try_from(have).is_ok_and(|have| have >= replicas) => {
                let ended = answers.into_iter().next().ok_or_else(error::strange_reply)?;
                Ok(functions::number(ended)? == 1)
            }
            Some(Value::Int(have)) => Err(Error::new(
                ErrorKind::Unavailable,
                "under-replicated: the removal is made, and may be lost in a failover",
            )
            .with("replicas", have)
            .with("wanted", replicas)),
            _ => Err(error::strange_reply()),
        }
    }

    async fn remove_many_now(&self, keys: &[StoredKey], at: Sequence) -> Result<u64> {
        let mut removed = 0;
        if self.limits().replicas > 0 {
            for key in keys {
                removed += u64::from(self.remove_now(key, at).await?);
            }
            return Ok(removed);
        }
        for chunk in keys.chunks(self.limits().pipeline_size) {
            let calls: Vec<_> =
                chunk.iter().map(|key| self.request(key, Request::Remove { at })).collect();
            let numbers = self.numbers(&calls).await?;
            removed += numbers.into_iter().filter(|number| *number == 1).count() as u64;
        }
        Ok(removed)
    }

    async fn touch_now(&self, key: &StoredKey, life: Duration) -> Result<bool> {
        let touched = self.servers.call(&self.request(key, Request::Touch { life })).await?;
        Ok(functions::number(touched)? == 1)
    }

    async fn swap_now(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
    ) -> Result<Swapped> {
        if value.len() > self.limits().value_bytes_max {
            let is_closed = self.servers.link.is_closed();
            return if is_closed { Err(error::closed()) } else { Ok(Swapped::Refused) };
        }
        let Put { version, ttl: life } = how;
        let request = Request::Swap { version, value, life, expected };
        swapped(&self.servers.call(&self.request(key, request)).await?)
    }

    async fn numbers(&self, calls: &[ValueCall<'_>]) -> Result<Vec<i64>> {
        let Servers { functions: caller, link, .. } = &*self.servers;
        let (answers, _) = caller.call_all(link, calls, Over::Shared, || None).await?;
        answers.into_iter().map(functions::number).collect()
    }

    async fn clear_prefix_now(&self, prefix: &KeyPrefix) -> Result<()> {
        scan::each_step(&self.servers.link, prefix, |keys| async move {
            // Removed one by one in a pipeline, so that no removal is forgotten with the values.
            self.remove_many_now(&keys, Sequence::ZERO).await.map(drop)
        })
        .await
    }

    /// Ends a call when its caller's patience ends, and names it. The call is pinned by who makes
    /// it: by value its future would be held, and moved, three times.
    async fn bounded<T>(
        &self,
        operation: &'static str,
        ctx: &OpContext,
        call: Pin<&mut impl Future<Output = Result<T>>>,
    ) -> Result<T> {
        let ended = match ctx.timeout {
            None => call.await,
            Some(within) => timeout(within, call).await.unwrap_or_else(|_| {
                Err(error::late("the server did not answer within the caller's timeout"))
            }),
        };
        ended.map_err(|fault| self.servers.told(operation, fault))
    }
}

fn value_of(record: Option<Bytes>) -> Result<Option<Bytes>> {
    match record.map(record::open) {
        None | Some(Record::Removal) => Ok(None),
        Some(Record::Value(value)) => Ok(Some(value)),
        Some(Record::Foreign) => Err(error::foreign_record()),
    }
}

/// What the function `swap` says.
fn swapped(answer: &Value) -> Result<Swapped> {
    let Value::Array(parts) = answer else { return Err(error::strange_reply()) };
    match &parts[..] {
        [Value::BulkString(what), Value::BulkString(stands)] => match &what[..] {
            b"stored" => Ok(Swapped::Stored),
            b"fenced" => Ok(Swapped::Fenced),
            _ => record::number(stands).map(Swapped::Changed).ok_or_else(error::strange_reply),
        },
        _ => Err(error::strange_reply()),
    }
}

fn outcome(number: i64) -> PutOutcome {
    if number == 1 { PutOutcome::Stored } else { PutOutcome::Fenced }
}

#[async_trait]
impl Backend for RedisBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            expiry: true,
            fence: true,
            touch: true,
            swap: true,
            scan: true,
            clear_prefix: true,
            durable: true,
            shared: true,
            value_bytes_max: Some(self.limits().value_bytes_max),
        }
    }

    fn node(&self, key: &StoredKey) -> u32 {
        self.servers.link.node_of_key(key)
    }

    fn nodes(&self) -> u32 {
        self.servers.link.nodes()
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        self.bounded("get", ctx, pin!(self.get_now(key))).await
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        self.bounded("get_many", ctx, pin!(self.get_many_now(keys))).await
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        self.bounded("put", ctx, pin!(self.put_now(key, value, how))).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        self.bounded("put_many", ctx, pin!(self.put_many_now(items))).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.bounded("remove", ctx, pin!(self.remove_now(key, at))).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        self.bounded("remove_many", ctx, pin!(self.remove_many_now(keys, at))).await
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        self.bounded("swap", ctx, pin!(self.swap_now(key, value, how, expected))).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        self.bounded("touch", ctx, pin!(self.touch_now(key, ttl))).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        let page = scan::page(&self.servers.link, prefix, from, limit).await;
        page.map_err(|fault| self.servers.told("scan", fault))
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        let cleared = self.clear_prefix_now(prefix).await;
        cleared.map_err(|fault| self.servers.told("clear_prefix", fault))
    }

    async fn health(&self) -> BackendHealth {
        if self.servers.link.is_closed() {
            return BackendHealth::Down("the backend is closed".into());
        }
        self.servers.link.health(self.limits().read_timeout).await
    }

    async fn close(&self) -> Result<()> {
        self.servers.link.close();
        Ok(())
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend").field("link", &self.servers.link).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cache_enterprise_core::KeySpace;

    /// What a read costs before it begins: its future is moved into a box.
    #[tokio::test]
    async fn the_future_of_a_read_stays_small() {
        let backend = RedisBackend::new(Redis::url("redis://127.0.0.1:1").unwrap()).await.unwrap();
        let key = KeySpace::new("shop", "acme", "users").unwrap().key(&1_u8).unwrap();
        let call = OpContext::default();
        let bytes = size_of_val(&*backend.get(&key, &call));
        assert!(bytes <= 2_048, "{bytes} bytes");
    }
}
