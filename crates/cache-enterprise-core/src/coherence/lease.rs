//! One load of a key in the whole fleet.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Put, PutOutcome, Result, StoredKey};

/// The right to load a key, for a while. Later tokens of a key are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseToken(pub u64);

/// What [`Lease::acquire`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The caller loads; nobody else does until the lease ends.
    Held(LeaseToken),
    /// Somebody else loads. The lease ends by itself after at most this long.
    Busy(Duration),
}

/// A value that the holder of a lease writes, in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedPut {
    /// Its key.
    pub key: StoredKey,
    /// Its bytes.
    pub value: Bytes,
    /// Its version and life.
    pub how: Put,
    /// The holder's token.
    pub token: LeaseToken,
}

/// Lets one process at a time load a key, and refuses what a holder writes after its time.
///
/// A lease saves work, and no correctness hangs on it: an expired holder may go on loading beside
/// the next one. The token is what keeps its value out.
///
/// Contract:
/// * A key has at most one lease at a time; it ends with `release` or after its life.
/// * Every token of a key is greater than those before it, also after a lease has ended, for at
///   least ten minutes and no shorter than its life.
/// * `put` with a token below the newest of the key answers [`PutOutcome::Fenced`], however large the
///   value is, and otherwise does what [`Backend::put`](crate::Backend::put) does, in one step; what
///   that refuses leaves nothing older.
/// * `release` with another token than the holder's does nothing.
/// * The calls for several keys do to each key what the call for one does, in no order, and answer
///   in the order of their arguments. A batch is not one step, and of one that failed some keys may
///   have been dealt with.
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use cache_enterprise_core::coherence::{Acquired, Lease, Sequence};
/// use cache_enterprise_core::{Put, PutOutcome, Result, StoredKey};
///
/// async fn load_once(lease: &dyn Lease, key: &StoredKey) -> Result<bool> {
///     let Acquired::Held(token) = lease.acquire(key, Duration::from_secs(10)).await? else {
///         return Ok(false);
///     };
///     let how = Put { version: Sequence(7), ttl: None };
///     let outcome = lease.put(key, Bytes::from_static(b"loaded"), how, token).await?;
///     lease.release(key, token).await?;
///     Ok(outcome == PutOutcome::Stored)
/// }
/// ```
#[async_trait]
pub trait Lease: fmt::Debug + Send + Sync + 'static {
    /// Takes the lease of `key` for `life` at most, or says who has it for how long.
    ///
    /// # Errors
    /// When it cannot be known whether anybody holds it.
    async fn acquire(&self, key: &StoredKey, life: Duration) -> Result<Acquired>;

    /// Holds on for another `life` from now. `false` when the lease is somebody else's by now.
    ///
    /// # Errors
    /// When it cannot be known.
    async fn renew(&self, key: &StoredKey, token: LeaseToken, life: Duration) -> Result<bool>;

    /// Writes what the holder of `token` loaded.
    ///
    /// # Errors
    /// As [`Backend::put`](crate::Backend::put).
    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        token: LeaseToken,
    ) -> Result<PutOutcome>;

    /// Ends the lease, if the token is the holder's.
    ///
    /// # Errors
    /// When it may still be held; it ends by itself after its life.
    async fn release(&self, key: &StoredKey, token: LeaseToken) -> Result<()>;

    /// Takes the leases of several keys, those that are free. Callers batch by node. Default: one
    /// after the other.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), for any of the keys. A lease that was taken all the same ends
    /// after its life; the default gives it back.
    async fn acquire_many(&self, keys: &[StoredKey], life: Duration) -> Result<Vec<Acquired>> {
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            match self.acquire(key, life).await {
                Ok(acquired) => all.push(acquired),
                Err(error) => {
                    for (key, acquired) in keys.iter().zip(all) {
                        if let Acquired::Held(token) = acquired {
                            // The error that is told is the first.
                            let _ = self.release(key, token).await;
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    /// Writes what the holders of these leases loaded. Default: one after the other.
    ///
    /// # Errors
    /// As [`put`](Self::put), for any of the keys; others may have been written.
    async fn put_many(&self, items: Vec<LeasedPut>) -> Result<Vec<PutOutcome>> {
        let mut outcomes = Vec::with_capacity(items.len());
        for LeasedPut { key, value, how, token } in items {
            outcomes.push(self.put(&key, value, how, token).await?);
        }
        Ok(outcomes)
    }

    /// Ends several leases. Default: one after the other, all of them.
    ///
    /// # Errors
    /// When one may still be held; it ends by itself after its life.
    async fn release_many(&self, leases: &[(StoredKey, LeaseToken)]) -> Result<()> {
        let mut result = Ok(());
        for (key, token) in leases {
            result = self.release(key, *token).await.and(result);
        }
        result
    }
}
