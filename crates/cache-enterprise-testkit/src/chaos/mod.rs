//! Faults on purpose: a backend that fails, hangs, slows down or lies when a test says so.

mod backend;
mod counts;
mod mode;

pub use backend::ChaosBackend;
pub use counts::{Fault, Operation};
pub use mode::Mode;
