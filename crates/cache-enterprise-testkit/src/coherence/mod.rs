//! Coherence between the managers of one test process: a bus and a store of epochs that they
//! share, and what can go wrong with either.

mod bus;
mod disturbance;
mod epochs;
mod leases;
mod listener;
mod log;
mod records;

pub use bus::InProcessBus;
pub use disturbance::{Disturbance, Link};
pub use epochs::{EpochCalls, SharedEpochs};
pub use leases::SharedLeases;
