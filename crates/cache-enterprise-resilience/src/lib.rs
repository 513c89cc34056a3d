//! Wrappers over any cache-enterprise backend: timeout, budgeted retry, circuit breaker.
//!
//! Each wrapper holds an `Arc<dyn Backend>` and is a [`Backend`](cache_enterprise_core::Backend)
//! itself, so that they stack in any number. The order that keeps a slow tier harmless is
//!
//! ```text
//! caller -> CircuitBreaker -> Retry -> Timeout -> the backend
//! ```
//!
//! * [`Timeout`] is innermost: it bounds each attempt, so that a hung attempt becomes an error
//!   the others can count.
//! * [`Retry`] sees those errors, tries again what may be tried again, within the deadline of the
//!   whole call and a shared [`RetryBudget`].
//! * [`CircuitBreaker`] is outermost: it counts a call once, whatever the attempts, and an open
//!   one answers before any deadline or retry starts.
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
//! What is not here: falling back to another level (the engine walks on after an error), and
//! bulkheads and hedged reads, which arrive with the networked tiers.
//!
//! Deadlines and back-off run on tokio's time; the breaker runs on core's
//! [`Clock`](cache_enterprise_core::Clock). A backend that blocks its thread inside a poll cannot
//! be bounded by any of them; the contract of `Backend` forbids it.

mod breaker;
mod budget;
mod circuit;
mod ext;
mod retry;
mod timeout;

pub use breaker::{BreakerChange, CircuitBreaker};
pub use budget::RetryBudget;
pub use circuit::{BreakerState, CircuitBreakerConfig};
pub use ext::BackendExt;
pub use retry::{Retry, RetryConfig};
pub use timeout::{Timeout, TimeoutConfig};
