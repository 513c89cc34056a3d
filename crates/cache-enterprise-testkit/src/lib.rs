//! For authors of backends, codecs and stores: conformance suites, fault injection, seeded
//! randomness and waiting without sleeping.
//!
//! | to check | run |
//! |---|---|
//! | a [`Backend`](cache_enterprise_core::Backend) | [`conformance::backend::run`] |
//!
//! [`ModelBackend`] is the plainest backend that keeps the whole contract. Time is moved by hand
//! with [`Clock::manual`](cache_enterprise_core::Clock::manual), which is re-exported here.

pub mod conformance;
mod model;
mod seed;
pub mod wait;

pub use cache_enterprise_core::Clock;
pub use model::ModelBackend;
pub use seed::{SEED_VARIABLE, Seed, SeedGuard};
