//! Leases in memory, for managers that share a tier as processes would; fails or hangs when told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken};
use cache_enterprise_core::{
    Backend, Clock, Error, ErrorKind, Millis, OpContext, OpenedBackend, Put, PutOutcome, Result,
    StoredKey, saturating_millis,
};
use cache_enterprise_testkit::ModelBackend;
use parking_lot::Mutex;

/// What the store of leases does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Work,
    Fail,
    Hang,
}

/// A tier that processes share, and its leases.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) backend: Arc<ModelBackend>,
    clock: Clock,
    /// The newest token of each key, and until when it holds.
    held: Mutex<HashMap<StoredKey, (LeaseToken, Millis)>>,
    pub(crate) manner: Mutex<Manner>,
    pub(crate) acquired: AtomicU64,
    /// Calls for several keys.
    pub(crate) batches: AtomicU64,
    pub(crate) renewed: AtomicU64,
    pub(crate) fenced: AtomicU64,
}

impl Leased {
    pub(crate) fn new(clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            backend: Arc::new(ModelBackend::new(clock.clone())),
            clock: clock.clone(),
            held: Mutex::default(),
            manner: Mutex::new(Manner::Work),
            acquired: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            renewed: AtomicU64::new(0),
            fenced: AtomicU64::new(0),
        })
    }

    /// The tier as one process opens it.
    pub(crate) fn opened(self: &Arc<Self>) -> OpenedBackend {
        let backend: Arc<dyn Backend> = self.backend.clone();
        OpenedBackend::new(backend).with_lease(self.clone())
    }

    /// Takes every lease over, as later holders would.
    pub(crate) fn take_over(&self) {
        self.held.lock().values_mut().for_each(|(token, _)| token.0 += 1);
    }

    pub(crate) fn is_held(&self) -> bool {
        let now = self.clock.now();
        self.held.lock().values().any(|(_, until)| now < *until)
    }

    async fn enter(&self) -> Result<()> {
        let manner = *self.manner.lock();
        match manner {
            Manner::Work => Ok(()),
            Manner::Fail => Err(Error::new(ErrorKind::Unavailable, "the script says so")),
            Manner::Hang => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Lease for Leased {
    async fn acquire(&self, key: &StoredKey, life: Duration) -> Result<Acquired> {
        self.enter().await?;
        let now = self.clock.now();
        let mut held = self.held.lock();
        let (token, until) = held.get(key).copied().unwrap_or((LeaseToken(0), 0));
        if now < until {
            return Ok(Acquired::Busy(Duration::from_millis(until - now)));
        }
        self.acquired.fetch_add(1, Ordering::SeqCst);
        let token = LeaseToken(token.0 + 1);
        held.insert(key.clone(), (token, now + saturating_millis(life)));
        Ok(Acquired::Held(token))
    }

    async fn renew(&self, key: &StoredKey, token: LeaseToken, life: Duration) -> Result<bool> {
        self.enter().await?;
        let now = self.clock.now();
        let mut held = self.held.lock();
        let holder = held.get_mut(key).filter(|(held, until)| *held == token && now < *until);
        let Some((_, until)) = holder else { return Ok(false) };
        self.renewed.fetch_add(1, Ordering::SeqCst);
        *until = now + saturating_millis(life);
        Ok(true)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        token: LeaseToken,
    ) -> Result<PutOutcome> {
        self.enter().await?;
        if self.held.lock().get(key).is_some_and(|(newest, _)| token < *newest) {
            self.fenced.fetch_add(1, Ordering::SeqCst);
            return Ok(PutOutcome::Fenced);
        }
        self.backend.put(key, value, how, &OpContext::default()).await
    }

    async fn acquire_many(&self, keys: &[StoredKey], life: Duration) -> Result<Vec<Acquired>> {
        self.batches.fetch_add(1, Ordering::SeqCst);
        let mut all = Vec::new();
        for key in keys {
            all.push(self.acquire(key, life).await?);
        }
        Ok(all)
    }

    async fn release(&self, key: &StoredKey, token: LeaseToken) -> Result<()> {
        self.enter().await?;
        if let Some((_, until)) = self.held.lock().get_mut(key).filter(|(held, _)| *held == token) {
            *until = 0;
        }
        Ok(())
    }
}
