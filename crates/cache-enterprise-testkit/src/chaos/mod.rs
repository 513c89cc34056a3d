//! Faults on purpose: a backend that fails, hangs, slows down or lies when a test says so, a codec
//! that fails or lies, and a bus that loses, doubles, delays and falls silent.

mod backend;
mod bus;
mod codec;
mod counts;
mod mode;
mod nodes;

pub use backend::ChaosBackend;
pub use bus::ChaosBus;
pub use codec::{ChaosCodec, CodecMode};
pub use counts::{Fault, Operation};
pub use mode::Mode;
pub use nodes::ChaosNodes;
