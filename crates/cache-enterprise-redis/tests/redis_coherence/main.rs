//! What processes tell each other through one server: numbers, epochs, frames, leases, swaps.
#![allow(clippy::unwrap_used)]

#[path = "../support/calls.rs"]
mod calls;
#[path = "../support/hearing.rs"]
mod hearing;

mod bus;
mod bus_outages;
mod epochs;
mod epochs_lost;
mod leases;
mod swaps;
mod tracking;

use calls::{assert_transient, get, hasty, key, open, patient, put, remove};
use hearing::{Ear, MANAGER, publish};
