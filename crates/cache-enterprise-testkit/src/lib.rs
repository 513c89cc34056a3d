//! For authors of backends, codecs and stores: conformance suites, fault injection, seeded
//! randomness and waiting without sleeping.
//!
//! | to check | run |
//! |---|---|
//! | a [`Backend`](cache_enterprise_core::Backend) | [`conformance::backend::run`] |
//! | a [`Bus`](cache_enterprise_core::coherence::Bus) | [`conformance::bus::run`] |
//! | a [`Codec`](cache_enterprise_core::Codec) | [`conformance::codec::run`] |
//! | a [`Compressor`](cache_enterprise_core::Compressor) | [`conformance::compressor::run`] |
//! | an [`EpochStore`](cache_enterprise_core::coherence::EpochStore) | [`conformance::epoch_store::run`] |
//! | a [`Lease`](cache_enterprise_core::coherence::Lease) | [`conformance::lease::run`] |
//! | a [`LocalStore`](cache_enterprise_core::LocalStore) | [`conformance::local_store::run`] |
//!
//! | feature | gives |
//! |---|---|
//! | `proxy` | `proxy::TcpProxy`, which delays, loses and tears what passes between a client and a server |
//! | `servers` | `servers`: Redis, Redis Cluster, Sentinel and memcached for one test each; Unix only |
//! | `real-servers` | the tests on them, which `cargo xtask test` turns on |
//!
//! [`ChaosBackend`](chaos::ChaosBackend), [`ChaosBus`](chaos::ChaosBus) and
//! [`ChaosCodec`](chaos::ChaosCodec) spoil what passes through any backend, bus and codec on
//! demand. [`InProcessBus`](coherence::InProcessBus), [`SharedEpochs`](coherence::SharedEpochs) and
//! [`SharedLeases`](coherence::SharedLeases) join the managers of one test as if each had a
//! process. [`ModelBackend`] is the plainest backend that keeps the whole contract. Time is moved
//! by hand with [`Clock::manual`], which is re-exported here.

pub mod chaos;
pub mod coherence;
pub mod conformance;
mod model;
#[cfg(feature = "proxy")]
pub mod proxy;
mod seed;
#[cfg(all(unix, feature = "servers"))]
pub mod servers;
pub mod simulation;
mod switch;
pub mod wait;

pub use cache_enterprise_core::Clock;
pub use model::ModelBackend;
pub use seed::{SEED_VARIABLE, Seed, SeedGuard};
