//! The engine under a scheduler that decides at each lock and atomic which thread goes on: the
//! real flights, the real store of level 1 with quick_cache in it, the real epochs.
//!
//! Built with `--cfg shuttle` alone; without it this target is empty. `cargo xtask model` builds
//! and runs it. A failure prints the seed and the schedule that failed:
//!
//! ```text
//! CACHE_MODEL_SEED=7 cargo xtask model               other schedules, as many
//! CACHE_MODEL_ROUNDS=50 cargo xtask model            fifty times as many
//! CACHE_MODEL_SCHEDULE=91.. cargo xtask model NAME   the one that failed in the test NAME
//! ```
//!
//! What it can show, and what not: each atomic is sequentially consistent here, so a wrong memory
//! ordering stays hidden; schedules are drawn, not enumerated. Each story names the slips in the
//! engine that were made by hand and that it found.
#![cfg(shuttle)]
// A story says on stdout how often it was played; the harness shows it where one fails.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod anything_at_once;
mod invalidated_values_are_never_read_again;
mod known_absence_ends_with_a_write;
mod late_leader_stores_over_nobody;
mod lost_leader_leaves_nobody_waiting;
mod one_loader_runs_per_generation;
mod removed_values_are_never_read_again;
mod schedules;
mod set_during_a_load_wins;
mod shards_share_one_capacity;
mod world;

use schedules::explore;
use world::World;
