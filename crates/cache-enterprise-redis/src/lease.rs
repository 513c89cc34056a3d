//! One load of a key in the whole fleet, by a lease in the slot of the value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken};
use cache_enterprise_core::{
    Put, PutOutcome, Result, Sequence, StoredKey, mutant, saturating_millis,
};
use redis::{Cmd, Value};

use crate::error;
use crate::functions::{self, Function, Invoke, Record, millis};
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
/// Cost: a round trip for each call.
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

    async fn call(&self, key: &StoredKey, asked: Asked) -> Result<Value> {
        let call = LeaseCall { key, asked, removal: &self.servers.removal };
        let operation = call.asked.operation();
        self.servers.call(&call).await.map_err(|fault| self.servers.told(operation, fault))
    }
}

#[async_trait]
impl Lease for RedisLease {
    async fn acquire(&self, key: &StoredKey, life: Duration) -> Result<Acquired> {
        let answer = self.call(key, Asked::Acquire { life }).await?;
        let Value::Array(parts) = answer else { return Err(error::strange_reply()) };
        let [Value::BulkString(token), Value::Int(left)] = &parts[..] else {
            return Err(error::strange_reply());
        };
        Ok(match record::number(token) {
            Some(token) => Acquired::Held(LeaseToken(token.0)),
            None => Acquired::Busy(Duration::from_millis(left.unsigned_abs())),
        })
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
        if value.len() > self.servers.limits.value_bytes_max {
            return Ok(PutOutcome::Refused);
        }
        let token = match mutant::breaks("a late holder's value is refused") {
            true => LeaseToken(u64::MAX),
            false => token,
        };
        let answer = self.call(key, Asked::Put { value, how, token }).await?;
        Ok(match functions::number(answer)? {
            1 => PutOutcome::Stored,
            _ => PutOutcome::Fenced,
        })
    }

    async fn release(&self, key: &StoredKey, token: LeaseToken) -> Result<()> {
        self.call(key, Asked::Release { token }).await.map(drop)
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
    Release { token: LeaseToken },
}

impl Asked {
    fn operation(&self) -> &'static str {
        match self {
            Self::Acquire { .. } => "acquire_lease",
            Self::Renew { .. } => "renew_lease",
            Self::Put { .. } => "put_leased",
            Self::Release { .. } => "release_lease",
        }
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
