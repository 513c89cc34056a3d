//! Which flights this thread is inside of, so that a loader that asks for its own key is seen.
//! A recursion through a spawned task is not; the hard timeout ends that one.

use std::cell::RefCell;

use cache_enterprise_core::sync::thread_local;

thread_local! {
    static INSIDE: RefCell<Vec<*const ()>> = const { RefCell::new(Vec::new()) };
}

/// Leaves the flight when dropped, in a panic too.
pub(super) struct Inside;

pub(super) fn enter(flight: *const ()) -> Inside {
    INSIDE.with(|inside| inside.borrow_mut().push(flight));
    Inside
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with(|inside| inside.borrow_mut().pop());
    }
}

/// Whether this thread is polling the loader of `flight`.
pub(crate) fn is_inside(flight: *const ()) -> bool {
    INSIDE.with(|inside| inside.borrow().contains(&flight))
}
