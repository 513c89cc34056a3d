//! Wrappers over any cache-enterprise backend: timeout, hedge, budgeted retry, circuit breaker,
//! bulkhead.
//!
//! Each wrapper holds an `Arc<dyn Backend>` and is a [`Backend`](cache_enterprise_core::Backend)
//! itself, so that they stack in any number. The order that keeps a slow tier harmless is
//!
//! ```text
//! caller -> Bulkhead -> CircuitBreaker -> Retry -> Hedge -> Timeout -> the backend
//! ```
//!
//! * [`Timeout`] is innermost: it bounds each attempt, so that a hung attempt becomes an error
//!   the others can count.
//! * [`Hedge`] attempts a slow read a second time before its timeout is over, each attempt with a
//!   timeout of its own.
//! * [`Retry`] sees the errors that are left, tries again what may be tried again, within the
//!   deadline of the whole call and a shared [`RetryBudget`] that hedges are paid from too.
//! * [`CircuitBreaker`] counts a call once, whatever the attempts, for the node that serves its
//!   key; an open one answers before any deadline or retry starts.
//! * [`Bulkhead`] is outermost: a call that it turns away is no fault of the backend, so no
//!   circuit counts it and no retry repeats it.
//!
//! [`BackendExt`] builds the stack:
//!
//! ```
//! use std::sync::Arc;
//! use cache_enterprise_core::{Backend, Clock, OpContext, secs};
//! use cache_enterprise_resilience::{
//!     BackendExt, BreakerState, CircuitBreakerConfig, RetryConfig, TimeoutConfig,
//! };
//!
//! # fn wrap(disk: Arc<dyn Backend>) {
//! let breaker = disk
//!     .with_timeout(TimeoutConfig { write: secs(1), ..TimeoutConfig::default() })
//!     .with_retry(RetryConfig::default())
//!     .with_breaker(CircuitBreakerConfig::default(), Clock::system());
//! assert_eq!(breaker.state(), BreakerState::Closed);
//! let backend: Arc<dyn Backend> = breaker.clone();
//! # }
//! ```
//!
//! [`MigratingTier`] joins two backends while entries move from one to the other, and
//! [`Migration`] moves them.
//!
//! What is not here: falling back to another level (the engine walks on after an error), and a
//! bulkhead for each node: calls that a hung node holds take places from the others until its
//! circuit opens.
//!
//! Deadlines, back-off, hedges and queues run on tokio's time; the breaker runs on core's
//! [`Clock`](cache_enterprise_core::Clock). A backend that blocks its thread inside a poll cannot
//! be bounded by any of them; the contract of `Backend` forbids it.

mod breaker;
mod budget;
mod bulkhead;
mod circuit;
mod circuits;
mod ext;
mod hedge;
mod latency;
mod migrating;
mod migration;
mod nodes;
mod retry;
mod timeout;

pub use breaker::{BreakerChange, CircuitBreaker};
pub use budget::RetryBudget;
pub use bulkhead::{Bulkhead, BulkheadConfig};
pub use circuit::{BreakerState, CircuitBreakerConfig};
pub use ext::BackendExt;
pub use hedge::{Hedge, HedgeConfig, HedgeDelay};
pub use migrating::{CutOverReport, MigratingTier};
pub use migration::{Migration, MigrationReport};
pub use nodes::{NodePart, by_node};
pub use retry::{Retry, RetryConfig};
pub use timeout::{Timeout, TimeoutConfig};
