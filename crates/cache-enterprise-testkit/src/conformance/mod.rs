//! One suite for each trait of core: the contract as named cases.
//!
//! A suite takes a closure that makes a fresh subject for every case and gives back a
//! [`Report`]. Cases of a capability that the subject does not claim are counted apart, and its
//! refusal is checked instead. So are cases for which the suite was not given what they need: of
//! those nothing is checked.

pub mod backend;
pub mod bus;
pub mod codec;
pub mod compressor;
pub mod epoch_store;
pub mod lease;
pub mod local_store;

mod case;
mod hostile;
mod report;

pub use report::{CaseResult, Outcome, Report};
