//! Leases on keys. A lease lies in the item of its key; `change` has the rules.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken, LeasedPut};
use cache_enterprise_core::{Put, PutOutcome, Result, StoredKey, unsupported};

use crate::Protocol;
use crate::backend::{MemcachedBackend, NAME};
use crate::change::{Done, Wish};
use crate::error;

/// By the meta and the binary protocol: by the text protocol its client does not tell whether an
/// `add` was refused, and two processes that ask in the same millisecond write the same item. Taking a lease where nothing stands costs one exchange; where something
/// stands, three, which move it twice. The keys of a batch go side by side, over as many
/// connections as there are.
#[async_trait]
impl Lease for MemcachedBackend {
    async fn acquire(&self, key: &StoredKey, life: Duration) -> Result<Acquired> {
        if self.protocol == Protocol::Ascii {
            return Err(unsupported(NAME, "acquire"));
        }
        match self.change(key, Wish::Acquire { life }).await {
            Ok(Done::Acquired(acquired)) => Ok(acquired),
            Ok(_) => Err(error::out_of_step(self.server_of(key)).operation("acquire")),
            Err(failure) => Err(failure.operation("acquire")),
        }
    }

    async fn renew(&self, key: &StoredKey, token: LeaseToken, life: Duration) -> Result<bool> {
        let renewed = self.was_there(key, Wish::Renew { token, life }).await;
        renewed.map_err(|failure| failure.operation("renew"))
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        token: LeaseToken,
    ) -> Result<PutOutcome> {
        let outcome = self.put_under(key, value, how, Some(token)).await;
        outcome.map_err(|failure| failure.operation("put"))
    }

    async fn release(&self, key: &StoredKey, token: LeaseToken) -> Result<()> {
        let released = self.was_there(key, Wish::Release { token }).await;
        released.map(drop).map_err(|failure| failure.operation("release"))
    }

    async fn acquire_many(&self, keys: &[StoredKey], life: Duration) -> Result<Vec<Acquired>> {
        self.check_open()?;
        self.change_all(keys.iter(), |index| self.acquire(&keys[index], life)).await
    }

    async fn put_many(&self, items: Vec<LeasedPut>) -> Result<Vec<PutOutcome>> {
        let put = |index: usize| {
            let LeasedPut { key, value, how, token } = &items[index];
            self.put_under(key, value.clone(), *how, Some(*token))
        };
        self.check_open()?;
        let outcomes = self.change_all(items.iter().map(|item| &item.key), put).await;
        outcomes.map_err(|failure| failure.operation("put"))
    }

    async fn release_many(&self, leases: &[(StoredKey, LeaseToken)]) -> Result<()> {
        self.check_open()?;
        let release = |index: usize| {
            let (key, token) = &leases[index];
            self.release(key, *token)
        };
        self.change_all(leases.iter().map(|(key, _)| key), release).await.map(drop)
    }
}
