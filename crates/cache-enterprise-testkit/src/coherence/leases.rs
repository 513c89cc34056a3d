//! Leases in memory over any backend.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken};
use cache_enterprise_core::{
    Backend, Clock, Millis, OpContext, Put, PutOutcome, Result, StoredKey, saturating_millis,
};
use tokio::sync::Mutex;

/// Leases on the keys of one backend, which all managers of a test process share. They end by the
/// clock, and a token is remembered for ever. Cloning shares them.
///
/// One lock is held over a look at the token and the put behind it, so a backend that hangs holds
/// up every lease.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::coherence::{Acquired, Lease};
/// use cache_enterprise_core::{KeySpace, secs};
/// use cache_enterprise_testkit::coherence::SharedLeases;
/// use cache_enterprise_testkit::{Clock, ModelBackend};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let clock = Clock::manual();
/// let leases = SharedLeases::new(Arc::new(ModelBackend::new(clock.clone())), clock.clone());
/// let key = KeySpace::new("shop", "acme", "users")?.key(&1_u8)?;
/// assert!(matches!(leases.acquire(&key, secs(10)).await?, Acquired::Held(_)));
/// assert_eq!(leases.acquire(&key, secs(10)).await?, Acquired::Busy(secs(10)));
/// clock.advance(secs(10));
/// assert!(matches!(leases.acquire(&key, secs(10)).await?, Acquired::Held(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedLeases {
    backend: Arc<dyn Backend>,
    clock: Clock,
    held: Arc<Mutex<HashMap<StoredKey, Held>>>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    token: LeaseToken,
    /// First millisecond at which it is free.
    until: Millis,
}

impl SharedLeases {
    /// Leases that end by `clock` and write to `backend`.
    pub fn new(backend: Arc<dyn Backend>, clock: Clock) -> Self {
        Self { backend, clock, held: Arc::default() }
    }

    fn end_of(&self, life: Duration) -> Millis {
        self.clock.now().saturating_add(saturating_millis(life))
    }
}

#[async_trait]
impl Lease for SharedLeases {
    async fn acquire(&self, key: &StoredKey, life: Duration) -> Result<Acquired> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        let last = held.get(key).copied().unwrap_or(Held { token: LeaseToken(0), until: 0 });
        if now < last.until {
            return Ok(Acquired::Busy(Duration::from_millis(last.until - now)));
        }
        let token = LeaseToken(last.token.0 + 1);
        held.insert(key.clone(), Held { token, until: self.end_of(life) });
        Ok(Acquired::Held(token))
    }

    async fn renew(&self, key: &StoredKey, token: LeaseToken, life: Duration) -> Result<bool> {
        let mut held = self.held.lock().await;
        let Some(last) = held.get_mut(key).filter(|last| last.token == token) else {
            return Ok(false);
        };
        last.until = self.end_of(life);
        Ok(true)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        token: LeaseToken,
    ) -> Result<PutOutcome> {
        let held = self.held.lock().await;
        if held.get(key).is_some_and(|last| token < last.token) {
            return Ok(PutOutcome::Fenced);
        }
        self.backend.put(key, value, how, &OpContext::default()).await
    }

    async fn release(&self, key: &StoredKey, token: LeaseToken) -> Result<()> {
        let mut held = self.held.lock().await;
        if let Some(last) = held.get_mut(key).filter(|last| last.token == token) {
            last.until = 0;
        }
        Ok(())
    }
}
