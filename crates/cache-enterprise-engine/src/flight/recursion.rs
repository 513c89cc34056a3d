//! Which flights this thread is inside of, so that a loader that asks for its own key, or for one
//! that waits for it, is seen.

use std::cell::RefCell;

use cache_enterprise_core::sync::thread_local;

use crate::waits::FlightId;

thread_local! {
    static INSIDE: RefCell<Vec<FlightId>> = const { RefCell::new(Vec::new()) };
}

/// Leaves the flight when dropped, in a panic too.
pub(super) struct Inside;

pub(super) fn enter(flight: FlightId) -> Inside {
    INSIDE.with(|inside| inside.borrow_mut().push(flight));
    Inside
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with(|inside| inside.borrow_mut().pop());
    }
}

/// The flights whose loaders this thread is polling.
pub(crate) fn inside() -> Vec<FlightId> {
    INSIDE.with(|inside| inside.borrow().clone())
}
