//! What a Redis backend does when something goes wrong, on real servers. `docs/backends.md` has a
//! line for each story. Times are asserted nowhere.
#![allow(clippy::unwrap_used)]

#[path = "../support/calls.rs"]
mod calls;

mod borders;
mod certificates;
mod functions;
mod keys;
mod leaving_callers;
mod logins;
mod outages;
mod refusals;
mod wires;

use calls::{
    assert_config, assert_transient, get, hasty, key, open, open_hasty, patient, put, remove,
    value_of,
};
