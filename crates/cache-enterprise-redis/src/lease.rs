//! One load of a key in the whole fleet, by a lease in the slot of the value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken, LeasedPut};
use cache_enterprise_core::{
    Put, PutOutcome, Result, Sequence, StoredKey, mutant, saturating_millis,
};
use redis::{Cmd, Value};

use crate::backend::PIPELINE_BYTES;
use crate::error;
use crate::functions::{self, Function, Invoke, Over, Record, millis};
use crate::key::RedisKey;
use crate::link::slot_of_key;
use crate::names;
use crate::record;
use crate::servers::Servers;

/// Longest life of a lease: sums of two are still numbers that Redis takes.
const LIFE_MS_MAX: u64 = 1 << 50;

/// Leases in Redis. [`RedisBackend::opened`](crate::RedisBackend::opened) gives it.
///
/// A lease is a record of some 20 bytes beside the value, with an end by the clock of the server.
/// It is remembered for ten minutes after its end, and for as long as it lived, so that tokens
/// rise. A record that Redis lost begins anew at the server's time, above every token before it.
/// Cost: a round trip for each call. A batch is a pipeline to each of its nodes, cut after
/// `pipeline_size` calls or 1 MiB.
///
/// ```no_run
/// use cache_enterprise_core::coherence::{Acquired, Lease};
/// use cache_enterprise_core::{KeySpace, secs};
/// use cache_enterprise_redis::Redis;
///
/// # async fn example() -> cache_enterprise_core::Result<()> {
/// let redis = Redis::url("redis://localhost:6379")?.open().await?;
/// let key = KeySpace::new("shop", "acme", "users")?.key(&42_u64)?;
/// let lease = redis.lease();
/// if let Acquired::Held(token) = lease.acquire(&key, secs(10)).await? {
///     lease.release(&key, token).await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct RedisLease {
    servers: Arc<Servers>,
}

impl RedisLease {
    pub(crate) fn new(servers: Arc<Servers>) -> Self {
        Self { servers }
    }

    /// A put, or what becomes of one over the limit: its value stays here, all else is as with one.
    fn asked_put(&self, value: Bytes, how: Put, token: LeaseToken) -> Asked {
        match value.len() > self.servers.limits.value_bytes_max {
            true => Asked::Refuse { version: how.version, token },
            false => Asked::Put { value, how, token },
        }
    }

    async fn call(&self, key: &StoredKey, asked: Asked) -> Result<Value> {
        let call = LeaseCall { key, asked, removal: &self.servers.removal };
        let operation = call.asked.operation();
        self.servers.call(&call).await.map_err(|fault| self.servers.told(operation, fault))
    }

    /// Makes several calls of one kind; the answers in their order.
    async fn call_all(&self, asked: Vec<(&StoredKey, Asked)>) -> Result<Vec<Value>> {
        let servers = &*self.servers;
        let Some((_, first)) = asked.first() else { return Ok(Vec::new()) };
        let operation = first.operation();
        let mut answers = Vec::with_capacity(asked.len());
        let mut asked = asked.into_iter().peekable();
        while asked.peek().is_some() {
            let (mut chunk, mut bytes) = (Vec::new(), 0);
            while chunk.len() < servers.limits.pipeline_size && bytes < PIPELINE_BYTES {
                let Some((key, asked)) = asked.next() else { break };
                let call = LeaseCall { key, asked, removal: &servers.removal };
                bytes += call.payload();
                chunk.push(call);
            }
            let called = servers.functions.call_all(&servers.link, &chunk, Over::Shared, || None);
            let (given, _) = called.await.map_err(|fault| servers.told(operation, fault))?;
            answers.extend(given);
        }
        Ok(answers)
    }
}

fn acquired(answer: Value) -> Result<Acquired> {
    let Value::Array(parts) = answer else { return Err(error::strange_reply()) };
    let [Value::BulkString(token), Value::Int(left)] = &parts[..] else {
        return Err(error::strange_reply());
    };
    Ok(match record::number(token) {
        Some(token) => Acquired::Held(LeaseToken(token.0)),
        None => Acquired::Busy(Duration::from_millis(left.unsigned_abs())),
    })
}

/// What a put came to, of a value that is over the limit or not.
fn outcome(answer: Value, is_over: bool) -> Result<PutOutcome> {
    Ok(match (functions::number(answer)?, is_over) {
        (1, false) => PutOutcome::Stored,
        (1, true) => PutOutcome::Refused,
        _ => PutOutcome::Fenced,
    })
}

#[async_trait]
impl Lease for RedisLease {
    async fn acquire(&self, key: &StoredKey, life: Duration) -> Result<Acquired> {
        acquired(self.call(key, Asked::Acquire { life }).await?)
    }

    async fn renew(&self, key: &StoredKey, token: LeaseToken, life: Duration) -> Result<bool> {
        let answer = self.call(key, Asked::Renew { token, life }).await?;
        Ok(functions::number(answer)? == 1)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        token: LeaseToken,
    ) -> Result<PutOutcome> {
        let token = match mutant::breaks("a late holder's value is refused") {
            true => LeaseToken(u64::MAX),
            false => token,
        };
        let asked = self.asked_put(value, how, token);
        let is_over = asked.is_refusal();
        outcome(self.call(key, asked).await?, is_over)
    }

    async fn release(&self, key: &StoredKey, token: LeaseToken) -> Result<()> {
        self.call(key, Asked::Release { token }).await.map(drop)
    }

    async fn acquire_many(&self, keys: &[StoredKey], life: Duration) -> Result<Vec<Acquired>> {
        let asked = keys.iter().map(|key| (key, Asked::Acquire { life })).collect();
        self.call_all(asked).await?.into_iter().map(acquired).collect()
    }

    async fn put_many(&self, items: Vec<LeasedPut>) -> Result<Vec<PutOutcome>> {
        let mut asked = Vec::with_capacity(items.len());
        for LeasedPut { key, value, how, token } in &items {
            asked.push((key, self.asked_put(value.clone(), *how, *token)));
        }
        let are_over: Vec<_> = asked.iter().map(|(_, asked)| asked.is_refusal()).collect();
        let answers = self.call_all(asked).await?;
        let answers = answers.into_iter().zip(are_over);
        answers.map(|(answer, is_over)| outcome(answer, is_over)).collect()
    }

    async fn release_many(&self, leases: &[(StoredKey, LeaseToken)]) -> Result<()> {
        let asked = leases.iter().map(|(key, token)| (key, Asked::Release { token: *token }));
        self.call_all(asked.collect()).await.map(drop)
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease").field("link", &self.servers.link).finish_non_exhaustive()
    }
}

enum Asked {
    Acquire { life: Duration },
    Renew { token: LeaseToken, life: Duration },
    Put { value: Bytes, how: Put, token: LeaseToken },
    Refuse { version: Sequence, token: LeaseToken },
    Release { token: LeaseToken },
}

impl Asked {
    fn operation(&self) -> &'static str {
        match self {
            Self::Acquire { .. } => "acquire_lease",
            Self::Renew { .. } => "renew_lease",
            Self::Put { .. } | Self::Refuse { .. } => "put_leased",
            Self::Release { .. } => "release_lease",
        }
    }

    fn is_refusal(&self) -> bool {
        matches!(self, Self::Refuse { .. })
    }
}

struct LeaseCall<'a> {
    key: &'a StoredKey,
    asked: Asked,
    removal: &'a str,
}

impl Invoke for LeaseCall<'_> {
    fn function(&self) -> Function {
        match self.asked {
            Asked::Acquire { .. } => Function::AcquireLease,
            Asked::Renew { .. } => Function::RenewLease,
            Asked::Put { .. } => Function::PutLeased,
            Asked::Refuse { .. } => Function::RefuseLeased,
            Asked::Release { .. } => Function::ReleaseLease,
        }
    }

    fn slot(&self) -> u16 {
        slot_of_key(self.key)
    }

    fn write(&self, command: &mut Cmd) {
        let lease = names::lease(self.key);
        match &self.asked {
            Asked::Put { value, how, token } => command
                .arg(2)
                .arg(RedisKey::of(self.key))
                .arg(lease)
                .arg(Record(how.version, value))
                .arg(millis(how.ttl))
                .arg(self.removal)
                .arg(token_bytes(*token).as_slice()),
            Asked::Refuse { version, token } => command
                .arg(2)
                .arg(RedisKey::of(self.key))
                .arg(lease)
                .arg(record::version(*version).as_slice())
                .arg(self.removal)
                .arg(token_bytes(*token).as_slice()),
            Asked::Acquire { life } => command.arg(1).arg(lease).arg(life_ms(*life)),
            Asked::Renew { token, life } => {
                command.arg(1).arg(lease).arg(token_bytes(*token).as_slice()).arg(life_ms(*life))
            }
            Asked::Release { token } => {
                command.arg(1).arg(lease).arg(token_bytes(*token).as_slice())
            }
        };
    }

    fn payload(&self) -> usize {
        match &self.asked {
            Asked::Put { value, .. } => value.len(),
            _ => 0,
        }
    }
}

fn token_bytes(token: LeaseToken) -> [u8; 8] {
    record::version(Sequence(token.0))
}

fn life_ms(life: Duration) -> u64 {
    saturating_millis(life).clamp(1, LIFE_MS_MAX)
}
