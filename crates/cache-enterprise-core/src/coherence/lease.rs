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

/// Lets one process at a time load a key, and refuses what a holder writes after its time.
///
/// A lease saves work, and no correctness hangs on it: an expired holder may go on loading beside
/// the next one. The token is what keeps its value out.
///
/// Contract:
/// * A key has at most one lease at a time; it ends with `release` or after its life.
/// * Every token of a key is greater than those before it, also after a lease has ended, for at
///   least ten minutes and no shorter than its life.
/// * `put` with a token below the newest of the key answers [`PutOutcome::Fenced`], and otherwise
///   does what [`Backend::put`](crate::Backend::put) does, in one step.
/// * `release` with another token than the holder's does nothing.
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
}
