//! What the author of a lease hands to the suite.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache_enterprise_core::coherence::{Acquired, Lease, LeaseToken, Sequence};
use cache_enterprise_core::{
    Backend, Clock, KeySpace, OpContext, Put, PutOutcome, StoredKey, hours, ms, secs,
};

use crate::conformance::case::{Failure, Verdict, ensure, ensure_eq};

/// How much longer than its life a lease may be held on a real clock before a case gives up.
const GRACE: Duration = secs(20);
/// A life that no case outlasts.
pub(super) const LONG: Duration = hours(1);

/// Leases under test, as two processes have them, and the backend they write to.
pub struct Fixture {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) one: Arc<dyn Lease>,
    pub(super) two: Arc<dyn Lease>,
    clock: Option<Clock>,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Fixture {
    /// An empty backend and the leases of two processes on it.
    pub fn new(backend: Arc<dyn Backend>, one: Arc<dyn Lease>, two: Arc<dyn Lease>) -> Self {
        Self { backend, one, two, clock: None, kept: Vec::new() }
    }

    /// The manual clock by which leases end. Default: none, and cases wait for short lives.
    ///
    /// # Panics
    /// When the clock is not manual.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        assert!(clock.is_manual(), "the clock of a fixture is moved by hand");
        self.clock = Some(clock);
        self
    }

    /// Keeps something alive for as long as the case runs, such as a server.
    #[must_use]
    pub fn keep(mut self, kept: impl Any + Send + Sync) -> Self {
        self.kept.push(Arc::new(kept));
        self
    }

    pub(super) fn key(&self, key: &str) -> Result<StoredKey, Failure> {
        Ok(KeySpace::new("suite", "acme", "users")?.key(&key.to_owned())?)
    }

    /// A life that cases can outwait.
    pub(super) fn short(&self) -> Duration {
        if self.clock.is_some() { secs(10) } else { ms(50) }
    }

    pub(super) fn has_manual_time(&self) -> bool {
        self.clock.is_some()
    }

    /// Lets time pass, where it is moved by hand.
    pub(super) fn advance(&self, time: Duration) {
        if let Some(clock) = &self.clock {
            clock.advance(time);
        }
    }

    /// Waits until the second process gets the lease that the first took for a [`short`](Self::short)
    /// life and does not give back.
    pub(super) async fn take_over(&self, key: &StoredKey) -> Result<LeaseToken, Failure> {
        if let Some(clock) = &self.clock {
            clock.advance(self.short());
            return self.hold(&self.two, key, LONG).await;
        }
        let deadline = Instant::now() + self.short() + GRACE;
        loop {
            match self.two.acquire(key, LONG).await? {
                Acquired::Held(token) => return Ok(token),
                Acquired::Busy(left) => {
                    ensure!(Instant::now() < deadline, "a lease outlived its life by {GRACE:?}");
                    tokio::time::sleep(left.clamp(ms(1), ms(20))).await;
                }
            }
        }
    }

    /// Expects to get the lease.
    pub(super) async fn hold(
        &self,
        lease: &Arc<dyn Lease>,
        key: &StoredKey,
        life: Duration,
    ) -> Result<LeaseToken, Failure> {
        match lease.acquire(key, life).await? {
            Acquired::Held(token) => Ok(token),
            Acquired::Busy(left) => Err(Failure(format!("{key} is held for another {left:?}"))),
        }
    }

    /// Expects that somebody has the lease, for no longer than `life`.
    pub(super) async fn expect_busy(
        &self,
        lease: &Arc<dyn Lease>,
        key: &StoredKey,
        life: Duration,
    ) -> Verdict {
        match lease.acquire(key, life).await? {
            Acquired::Held(token) => Err(Failure(format!("{key} was given twice: {token:?}"))),
            Acquired::Busy(left) => {
                ensure!(left <= life, "{key} is busy for {left:?}, it was taken for {life:?}");
                Ok(())
            }
        }
    }

    pub(super) async fn put(
        &self,
        lease: &Arc<dyn Lease>,
        key: &StoredKey,
        (value, version): (&'static str, u64),
        token: LeaseToken,
    ) -> Result<PutOutcome, Failure> {
        let how = Put { ttl: Some(LONG), version: Sequence(version) };
        Ok(lease.put(key, value.into(), how, token).await?)
    }

    pub(super) async fn expect(&self, key: &StoredKey, value: Option<&'static str>) -> Verdict {
        let found = self.backend.get(key, &OpContext::default()).await?;
        ensure_eq!(found, value.map(Bytes::from), "value under {key}");
        Ok(())
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("backend", &self.backend)
            .field("one", &self.one)
            .field("two", &self.two)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
