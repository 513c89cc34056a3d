//! Faults on purpose: a backend that fails, hangs, slows down or lies when a test says so, and a
//! codec that fails or lies.

mod backend;
mod codec;
mod counts;
mod mode;
mod nodes;

pub use backend::ChaosBackend;
pub use codec::{ChaosCodec, CodecMode};
pub use counts::{Fault, Operation};
pub use mode::Mode;
pub use nodes::ChaosNodes;
