//! The engine in the test kit's simulated world.
//!
//! The world and its judge stand in `testkit` and know no cache; the engine knows no simulation.
//! Here the two meet: [`Engine`] starts real managers over simulated tiers, epochs and bus, and
//! [`run`] plays the plan of a seed with them. `cargo xtask chaos` runs the program of this crate
//! over many seeds; see `docs/coherence.md`.

mod codec;
mod engine;
mod seeds;

pub use engine::Engine;
pub use seeds::{Tally, run, run_all, run_plan};
