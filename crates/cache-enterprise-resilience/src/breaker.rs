//! A backend that is left alone while it is failing, node by node.
//!
//! A batch that touches several nodes is cut along them ([`by_node`]) and its parts travel at the
//! same time, each through its node's circuit: a failing node takes no answer of another along.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Clock, Error, ErrorKind, KeyPrefix, OpContext, Put,
    PutOutcome, Result, ScanPage, Sequence, StoredKey, Swapped,
};
use futures_util::future::join_all;

use crate::circuit::{BreakerState, Circuit, CircuitBreakerConfig, Outcome, Round};
use crate::circuits::{Circuits, NodeCircuit};
use crate::nodes::{NodePart, by_node};

/// A change of phase of one node's circuit.
///
/// [`CircuitBreaker`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerChange {
    /// Name of the backend behind the breaker.
    pub backend: String,
    /// Number of the node, see [`Backend::node`]; 0 for a backend that is one.
    pub node: u32,
    /// The phase that ended.
    pub from: BreakerState,
    /// The phase that began.
    pub to: BreakerState,
}

type OnChange = Box<dyn Fn(&BreakerChange) + Send + Sync>;

/// A backend whose nodes are not asked while they keep failing.
///
/// Each node ([`Backend::node`]) has a circuit; at most 512 are kept, nodes with higher numbers
/// share them. [`CircuitBreakerConfig::failure_threshold`] failures within a window open a
/// circuit. While it is open every call to that node answers [`ErrorKind::BreakerOpen`] at once.
/// Then a few calls go through as probes: enough successes close it, one failure opens it again,
/// for twice as long. A probe that is dropped before it ends is given back to the next caller.
///
/// A failure is an error of kind `Timeout`, `Unavailable`, `Overloaded` or `Io`. Other errors are
/// about one key or one call and count neither way. A call that ended with its caller's own
/// deadline ([`OpContext::timeout`]) is a failure, too: callers in more haste than the backend can
/// answer open the circuit for all. A call without a bound that hangs is never
/// counted: put a [`Timeout`](crate::Timeout) inside.
///
/// Batches that touch several nodes are sent a part a node, at the same time:
/// * `get_many` answers when one part did. Keys of nodes that failed, or are left alone, are then
///   absent and counted by [`unanswered`](Self::unanswered); when no part answered, or an error
///   is not about a node's health, the call fails. Who must know which keys were not asked cuts
///   the batch with [`by_node`] and sends the parts.
/// * `put_many` and `remove_many` fail when one part did; what the other nodes did stays done.
///
/// `scan` and `clear_prefix` walk all nodes: they are refused when every circuit is open, and
/// on several nodes their outcome counts for none. `close` always reaches the backend. `health`
/// answers `Down` while all circuits are open, and is `Degraded` while one is not closed.
///
/// A call through a closed circuit costs two atomic loads; the first failures cost a lock.
///
/// ```
/// use std::sync::Arc;
/// use cache_enterprise_core::{Backend, Clock};
/// use cache_enterprise_resilience::{BreakerState, CircuitBreaker, CircuitBreakerConfig};
///
/// # fn wrap(disk: Arc<dyn Backend>) {
/// let breaker = CircuitBreaker::new(disk, CircuitBreakerConfig::default(), Clock::system())
///     .on_change(|change| eprintln!("{} {}: {:?}", change.backend, change.node, change.to));
/// breaker.trip();
/// assert_eq!(breaker.state(), BreakerState::Open);
/// breaker.reset_node(0);
/// assert_eq!(breaker.state_of(0), BreakerState::Closed);
/// # }
/// ```
pub struct CircuitBreaker {
    inner: Arc<dyn Backend>,
    clock: Clock,
    circuits: Circuits,
    unanswered: AtomicU64,
    on_change: OnChange,
}

impl CircuitBreaker {
    /// Guards `inner`. Open times are read from `clock`; a system clock need not be ticked by
    /// anybody else, since the breaker ticks it whenever it looks at a date.
    pub fn new(inner: Arc<dyn Backend>, config: CircuitBreakerConfig, clock: Clock) -> Self {
        let (circuits, unanswered) = (Circuits::new(config), AtomicU64::new(0));
        Self { inner, clock, circuits, unanswered, on_change: Box::new(|_| {}) }
    }

    /// Calls `hear` after each change of phase, in the task or thread that caused it. It must not
    /// block or panic; it may ask for [`state_of`](Self::state_of). Default: nobody hears.
    #[must_use]
    pub fn on_change(mut self, hear: impl Fn(&BreakerChange) + Send + Sync + 'static) -> Self {
        self.on_change = Box::new(hear);
        self
    }

    /// The worst phase among the nodes there are now. A circuit whose open time is over says
    /// `Open` until the next call probes. Costs a load a node.
    pub fn state(&self) -> BreakerState {
        let states = (0..self.nodes()).map(|node| self.state_of(node));
        states.max().unwrap_or(BreakerState::Closed)
    }

    /// The phase of one node's circuit; closed for a node that was never asked.
    pub fn state_of(&self, node: u32) -> BreakerState {
        self.circuits.state_of(node)
    }

    /// Keys that batches left out of an answer so far, because their node failed or was left
    /// alone while another one answered.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Opens every circuit by hand; they stay open until [`reset`](Self::reset) or
    /// [`reset_node`](Self::reset_node).
    pub fn trip(&self) {
        // Those of the nodes there are now are made, so that each is told of.
        (0..self.nodes()).for_each(|node| _ = self.circuits.of(node));
        self.circuits.hold_all(true, |node, _| self.trip_node(node));
    }

    /// Closes every circuit by hand and forgets the failures.
    pub fn reset(&self) {
        self.circuits.hold_all(false, |node, _| self.reset_node(node));
    }

    /// Opens one node's circuit by hand; it stays open until it is reset.
    pub fn trip_node(&self, node: u32) {
        self.change(node, Circuit::hold_open);
    }

    /// Closes one node's circuit by hand and forgets its failures.
    pub fn reset_node(&self, node: u32) {
        self.change(node, Circuit::close);
    }

    /// Runs `call` if the circuit of `node` lets it, and notes how it ended.
    async fn guarded<T>(
        &self,
        node: u32,
        operation: &'static str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let pass = self.admit(node, operation)?;
        let answer = call.await;
        pass.settle(match &answer {
            Ok(_) => Outcome::Success,
            Err(error) if is_failure(error.kind()) => Outcome::Failure,
            Err(_) => Outcome::Neutral,
        });
        answer
    }

    /// Runs `call`, which walks all nodes, unless each of them is left alone.
    async fn guarded_all<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let nodes = self.nodes();
        if nodes == 1 {
            return self.guarded(0, operation, call).await;
        }
        let now = self.clock.tick();
        let is_open = |node| self.circuits.of(node).look(|circuit| circuit.is_open_at(now));
        if (0..nodes).all(is_open) {
            return Err(self.refusal(operation, None, None));
        }
        call.await
    }

    fn admit(&self, node: u32, operation: &'static str) -> Result<Pass<'_>> {
        let circuit = self.circuits.of(node);
        let (state, round) = circuit.mirror();
        let pass = |round| Pass { breaker: self, circuit, node, round, outcome: Outcome::Neutral };
        if state == BreakerState::Closed {
            return Ok(pass(round));
        }
        let now = self.clock.tick();
        let admit = |circuit: &mut Circuit| (circuit.admit(now), circuit.retry_in(now));
        match self.change(node, admit) {
            (Some(round), _) => Ok(pass(round)),
            (None, retry_in) => {
                let node = (self.nodes() > 1).then_some(node);
                Err(self.refusal(operation, node, retry_in))
            }
        }
    }

    /// Changes a circuit and tells of a new phase off its lock.
    fn change<T>(&self, node: u32, change: impl FnOnce(&mut Circuit) -> T) -> T {
        let (answer, from, to) = self.circuits.of(node).change(change);
        if from != to {
            let backend = self.inner.name().to_owned();
            (self.on_change)(&BreakerChange { backend, node, from, to });
        }
        answer
    }

    /// What the circuits say of the backend's health; nothing while all are closed.
    fn trouble(&self) -> Option<BackendHealth> {
        let nodes = self.nodes();
        let state = self.state();
        let in_it = (0..nodes).filter(|&node| self.state_of(node) == state).count();
        let text = match state {
            BreakerState::Closed => return None,
            BreakerState::HalfOpen => "circuit breaker is half open",
            BreakerState::Open => "circuit breaker is open",
        };
        let is_down = state == BreakerState::Open && in_it == nodes as usize;
        Some(match nodes {
            _ if is_down => BackendHealth::Down(text.to_owned()),
            1 => BackendHealth::Degraded(text.to_owned()),
            _ => BackendHealth::Degraded(format!("{text} for {in_it} of {nodes} nodes")),
        })
    }

    fn refusal(&self, operation: &'static str, node: Option<u32>, retry_in: Option<u64>) -> Error {
        let mut error =
            Error::new(ErrorKind::BreakerOpen, "the backend is left alone after failures")
                .operation(operation)
                .with("backend", self.inner.name());
        if let Some(node) = node {
            error = error.with("node", node);
        }
        match retry_in {
            Some(ms) => error.with("retry_in_ms", ms),
            None => error,
        }
    }

    /// Sends the parts of a batch at the same time, each through its circuit.
    async fn in_parts<T, F>(
        &self,
        operation: &'static str,
        parts: &[NodePart],
        send: impl Fn(&NodePart) -> F,
    ) -> Vec<Result<T>>
    where
        F: Future<Output = Result<T>> + Send,
    {
        join_all(parts.iter().map(|part| self.guarded(part.node, operation, send(part)))).await
    }

    /// One answer to a batch of `len` reads from those of its parts.
    fn merged(
        &self,
        len: usize,
        parts: &[NodePart],
        answers: Vec<Result<Vec<Option<Bytes>>>>,
    ) -> Result<Vec<Option<Bytes>>> {
        let mut found = vec![None; len];
        let (mut unanswered, mut failure) = (0, None);
        for (part, answer) in parts.iter().zip(answers) {
            match answer {
                Ok(values) => {
                    for (&place, value) in part.places.iter().zip(values) {
                        found[place] = value;
                    }
                }
                Err(error) if is_of_the_node(error.kind()) => {
                    unanswered += part.places.len();
                    failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match failure {
            Some(error) if unanswered == len => Err(error),
            _ => {
                self.unanswered.fetch_add(unanswered as u64, Ordering::Relaxed);
                Ok(found)
            }
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

/// Whether an error says that this node did not answer, and nothing about the others.
fn is_of_the_node(kind: ErrorKind) -> bool {
    is_failure(kind) || kind == ErrorKind::BreakerOpen
}

/// The only node of a batch that need not be cut.
fn only_node(parts: &[NodePart]) -> Option<u32> {
    match parts {
        [] => Some(0),
        [part] => Some(part.node),
        _ => None,
    }
}

/// A call that was let through. Dropped unsettled (its caller went away, or it panicked), it
/// counts neither way and a probe's place is free again.
struct Pass<'a> {
    breaker: &'a CircuitBreaker,
    circuit: &'a NodeCircuit,
    node: u32,
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
        let (state, round) = self.circuit.mirror();
        let tells_nothing = match state {
            BreakerState::Closed => self.outcome != Outcome::Failure,
            BreakerState::Open => true,
            BreakerState::HalfOpen => false,
        };
        if tells_nothing || round != self.round {
            return;
        }
        let now = self.breaker.clock.tick();
        self.breaker.change(self.node, |circuit| circuit.settle(self.round, self.outcome, now));
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
        self.guarded(self.node(key), "get", self.inner.get(key, ctx)).await
    }

    async fn get_many(&self, keys: &[StoredKey], ctx: &OpContext) -> Result<Vec<Option<Bytes>>> {
        const NAME: &str = "get_many";
        let parts = by_node(self, keys);
        if let Some(node) = only_node(&parts) {
            return self.guarded(node, NAME, self.inner.get_many(keys, ctx)).await;
        }
        let send = |part: &NodePart| {
            let keys = part.pick(keys);
            async move { self.inner.get_many(&keys, ctx).await }
        };
        let answers = self.in_parts(NAME, &parts, send).await;
        self.merged(keys.len(), &parts, answers)
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        self.guarded(self.node(key), "put", self.inner.put(key, value, how, ctx)).await
    }

    async fn put_many(
        &self,
        items: Vec<(StoredKey, Bytes, Put)>,
        ctx: &OpContext,
    ) -> Result<Vec<PutOutcome>> {
        const NAME: &str = "put_many";
        let parts = by_node(self, items.iter().map(|(key, _, _)| key));
        if let Some(node) = only_node(&parts) {
            return self.guarded(node, NAME, self.inner.put_many(items, ctx)).await;
        }
        let send = |part: &NodePart| self.inner.put_many(part.pick(&items), ctx);
        let answers = self.in_parts(NAME, &parts, send).await;
        let mut outcomes = vec![PutOutcome::Refused; items.len()];
        for (part, answer) in parts.iter().zip(answers) {
            for (&place, outcome) in part.places.iter().zip(answer?) {
                outcomes[place] = outcome;
            }
        }
        Ok(outcomes)
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.guarded(self.node(key), "remove", self.inner.remove(key, at, ctx)).await
    }

    async fn remove_many(&self, keys: &[StoredKey], at: Sequence, ctx: &OpContext) -> Result<u64> {
        const NAME: &str = "remove_many";
        let parts = by_node(self, keys);
        if let Some(node) = only_node(&parts) {
            return self.guarded(node, NAME, self.inner.remove_many(keys, at, ctx)).await;
        }
        let send = |part: &NodePart| {
            let keys = part.pick(keys);
            async move { self.inner.remove_many(&keys, at, ctx).await }
        };
        self.in_parts(NAME, &parts, send).await.into_iter().sum()
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        let swap = self.inner.swap(key, value, how, expected, ctx);
        self.guarded(self.node(key), "swap", swap).await
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, ctx: &OpContext) -> Result<bool> {
        self.guarded(self.node(key), "touch", self.inner.touch(key, ttl, ctx)).await
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.guarded_all("scan", self.inner.scan(prefix, from, limit)).await
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        self.guarded_all("clear_prefix", self.inner.clear_prefix(prefix)).await
    }

    async fn health(&self) -> BackendHealth {
        match self.trouble() {
            Some(trouble @ BackendHealth::Down(_)) => trouble,
            // With one node the backend could only say how its probes fare.
            Some(trouble) if self.nodes() == 1 => trouble,
            trouble => match self.inner.health().await {
                BackendHealth::Up => trouble.unwrap_or(BackendHealth::Up),
                health => health,
            },
        }
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
