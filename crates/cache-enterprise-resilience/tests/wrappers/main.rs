//! What each wrapper does to each call, told call by call against a scripted backend.

#![allow(clippy::unwrap_used)]

mod breaker;
mod bulkhead;
mod hedge;
mod migrating;
mod nodes;
mod retry;
mod scripted;
mod timeout;
