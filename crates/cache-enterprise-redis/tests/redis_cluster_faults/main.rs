//! What a Redis Cluster can do to its clients, one story a file. Each starts servers of its own
//! and prints what it saw: `cargo test ... -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod a_master_hangs;
mod a_master_is_killed;
mod access;
mod callers_leave;
mod connections_break;
mod slots_move;
mod traffic;

use tokio::sync::{Mutex, MutexGuard};

static ALONE: Mutex<()> = Mutex::const_new(());

/// One cluster at a time: an election is slow on a machine that plays several.
async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}
