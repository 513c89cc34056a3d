//! A backend that is left alone while it is failing.
//!
//! The phase and its round are mirrored in one atomic word, so that a healthy backend's calls
//! take no lock: they read the word, and a success in a closed circuit changes nothing. Failures
//! and everything in the other phases go through the lock around the [`Circuit`]; it is held for
//! a few comparisons and never across an await or a callback.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Clock, Error, ErrorKind, KeyPrefix, OpContext, Put,
    PutOutcome, Result, ScanPage, Sequence, StoredKey,
};
use parking_lot::Mutex;

use crate::circuit::{BreakerState, Circuit, CircuitBreakerConfig, Outcome, Round};

/// A change of a breaker's phase.
///
/// [`CircuitBreaker`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerChange {
    /// Name of the backend behind the breaker.
    pub backend: String,
    /// The phase that ended.
    pub from: BreakerState,
    /// The phase that began.
    pub to: BreakerState,
}

type OnChange = Box<dyn Fn(&BreakerChange) + Send + Sync>;

/// A backend that is not asked while it keeps failing.
///
/// [`CircuitBreakerConfig::failure_threshold`] failures within a window open the circuit. While
/// it is open every call answers [`ErrorKind::BreakerOpen`] at once. Then a few calls go through
/// as probes: enough successes close it, one failure opens it again, for twice as long. A probe
/// that is dropped before it ends is given back to the next caller.
///
/// A failure is an error of kind `Timeout`, `Unavailable`, `Overloaded` or `Io`. Other errors are
/// about one key or one call and count neither way. A call without a bound that hangs is never
/// counted: put a [`Timeout`](crate::Timeout) inside.
///
/// `close` always reaches the backend. `health` answers `Down` while the circuit is open.
///
/// A call through a closed circuit costs one atomic load; the first failures cost a lock.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::{Backend, Clock};
/// use cache_enterprise_resilience::{BreakerState, CircuitBreaker, CircuitBreakerConfig};
///
/// # fn wrap(disk: Arc<dyn Backend>) {
/// let breaker = CircuitBreaker::new(disk, CircuitBreakerConfig::default(), Clock::system())
///     .on_change(|change| eprintln!("{}: {:?}", change.backend, change.to));
/// breaker.trip();
/// assert_eq!(breaker.state(), BreakerState::Open);
/// breaker.reset();
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// # }
/// ```
pub struct CircuitBreaker {
    inner: Arc<dyn Backend>,
    clock: Clock,
    circuit: Mutex<Circuit>,
    mirror: AtomicMirror,
    on_change: OnChange,
}

impl CircuitBreaker {
    /// Guards `inner`. Open times are read from `clock`; a system clock need not be ticked by
    /// anybody else, since the breaker ticks it whenever it looks at a date.
    pub fn new(inner: Arc<dyn Backend>, config: CircuitBreakerConfig, clock: Clock) -> Self {
        let circuit = Circuit::new(config);
        let mirror = AtomicMirror::of(&circuit);
        Self { inner, clock, circuit: Mutex::new(circuit), mirror, on_change: Box::new(|_| {}) }
    }

    /// Calls `hear` after each change of phase, in the task or thread that caused it. It must not
    /// block or panic; it may ask for [`state`](Self::state). Default: nobody hears.
    #[must_use]
    pub fn on_change(mut self, hear: impl Fn(&BreakerChange) + Send + Sync + 'static) -> Self {
        self.on_change = Box::new(hear);
        self
    }

    /// The phase now. A circuit whose open time is over says `Open` until the next call probes.
    pub fn state(&self) -> BreakerState {
        self.mirror.load().0
    }

    /// Opens the circuit by hand; it stays open until [`reset`](Self::reset).
    pub fn trip(&self) {
        self.change(Circuit::hold_open);
    }

    /// Closes the circuit by hand and forgets the failures.
    pub fn reset(&self) {
        self.change(Circuit::close);
    }

    /// Runs `call` if the circuit lets it, and notes how it ended.
    async fn guarded<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let pass = self.admit(operation)?;
        let answer = call.await;
        pass.settle(match &answer {
            Ok(_) => Outcome::Success,
            Err(error) if is_failure(error.kind()) => Outcome::Failure,
            Err(_) => Outcome::Neutral,
        });
        answer
    }

    fn admit(&self, operation: &'static str) -> Result<Pass<'_>> {
        let (state, round) = self.mirror.load();
        if state == BreakerState::Closed {
            return Ok(Pass { breaker: self, round, outcome: Outcome::Neutral });
        }
        let now = self.clock.tick();
        let (round, retry_in) = self.change(|circuit| (circuit.admit(now), circuit.retry_in(now)));
        match round {
            Some(round) => Ok(Pass { breaker: self, round, outcome: Outcome::Neutral }),
            None => Err(self.refusal(operation, retry_in)),
        }
    }

    /// Changes the circuit, keeps the mirror equal to it, and tells of a new phase off the lock.
    fn change<T>(&self, change: impl FnOnce(&mut Circuit) -> T) -> T {
        let mut circuit = self.circuit.lock();
        let from = circuit.state();
        let answer = change(&mut circuit);
        let to = circuit.state();
        self.mirror.store(&circuit);
        drop(circuit);
        if from != to {
            let backend = self.inner.name().to_owned();
            (self.on_change)(&BreakerChange { backend, from, to });
        }
        answer
    }

    fn refusal(&self, operation: &'static str, retry_in: Option<u64>) -> Error {
        let error = Error::new(ErrorKind::BreakerOpen, "the backend is left alone after failures")
            .operation(operation)
            .with("backend", self.inner.name());
        match retry_in {
            Some(ms) => error.with("retry_in_ms", ms),
            None => error,
        }
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("inner", &self.inner)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Whether an error says that the backend is in trouble, rather than the key or the call.
fn is_failure(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Timeout | ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::Io
    )
}

/// A call that was let through. Dropped unsettled (its caller went away, or it panicked), it
/// counts neither way and a probe's place is free again.
struct Pass<'a> {
    breaker: &'a CircuitBreaker,
    round: Round,
    outcome: Outcome,
}

impl Pass<'_> {
    fn settle(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let (state, round) = self.breaker.mirror.load();
        let tells_nothing = match state {
            BreakerState::Closed => self.outcome != Outcome::Failure,
            BreakerState::Open => true,
            BreakerState::HalfOpen => false,
        };
        if tells_nothing || round != self.round {
            return;
        }
        let now = self.breaker.clock.tick();
        self.breaker.change(|circuit| circuit.settle(self.round, self.outcome, now));
    }
}

/// Phase and round of the circuit in one word, written under the circuit's lock.
struct AtomicMirror(AtomicU64);

impl AtomicMirror {
    fn of(circuit: &Circuit) -> Self {
        Self(AtomicU64::new(Self::word(circuit)))
    }

    fn store(&self, circuit: &Circuit) {
        self.0.store(Self::word(circuit), Ordering::Release);
    }

    fn load(&self) -> (BreakerState, Round) {
        let word = self.0.load(Ordering::Acquire);
        let state = match word & 0b11 {
            0 => BreakerState::Closed,
            1 => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        };
        (state, Round::from_number(word >> 2))
    }

    fn word(circuit: &Circuit) -> u64 {
        let state = match circuit.state() {
            BreakerState::Closed => 0,
            BreakerState::Open => 1,
            BreakerState::HalfOpen => 2,
        };
        circuit.round().number() << 2 | state
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Backend for CircuitBreaker {
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
        self.guarded("get", self.inner.get(key, ctx)).await
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        self.guarded("get_many", self.inner.get_many(keys, ctx)).await
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        self.guarded("put", self.inner.put(key, value, how, ctx)).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        self.guarded("put_many", self.inner.put_many(items, ctx)).await
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.guarded("remove", self.inner.remove(key, at, ctx)).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        self.guarded("remove_many", self.inner.remove_many(keys, at, ctx)).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        self.guarded("touch", self.inner.touch(key, ttl, ctx)).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.guarded("scan", self.inner.scan(prefix, from, limit)).await
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        self.guarded("clear_prefix", self.inner.clear_prefix(prefix)).await
    }

    async fn health(&self) -> BackendHealth {
        match self.state() {
            BreakerState::Closed => self.inner.health().await,
            BreakerState::Open => BackendHealth::Down("circuit breaker is open".to_owned()),
            BreakerState::HalfOpen => {
                BackendHealth::Degraded("circuit breaker is half open".to_owned())
            }
        }
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
