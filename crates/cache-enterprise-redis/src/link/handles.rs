//! Handles of one connection, kept near the threads that use them.
//!
//! A call needs a handle to itself. Cloning one for each call moves a count between the caches of
//! all cores four times a call, which costs as much as the rest of a read; so handles are lent.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;

const SHELVES: usize = 8;
/// Handles that lie on one shelf at most; more are dropped.
const SPARE_MAX: usize = 64;

/// The handles of one connection.
pub(super) struct Handles {
    origin: MultiplexedConnection,
    shelves: [Shelf; SHELVES],
}

/// Alone on its cache line, as another thread uses the next one.
#[repr(align(128))]
#[derive(Default)]
struct Shelf(Mutex<Vec<MultiplexedConnection>>);

impl Handles {
    pub(super) fn of(origin: MultiplexedConnection) -> Self {
        Self { origin, shelves: Default::default() }
    }

    pub(super) fn take(&self) -> Handle<'_> {
        let spare = self.shelf().lock().pop();
        Handle { handle: Some(spare.unwrap_or_else(|| self.origin.clone())), home: self }
    }

    fn shelf(&self) -> &Mutex<Vec<MultiplexedConnection>> {
        &self.shelves[SHELF.with(|shelf| *shelf)].0
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHELF: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHELVES;
}

/// A handle on loan.
pub(super) struct Handle<'a> {
    handle: Option<MultiplexedConnection>,
    home: &'a Handles,
}

impl Deref for Handle<'_> {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &MultiplexedConnection {
        self.handle.as_ref().expect("it is taken out when it is dropped")
    }
}

impl DerefMut for Handle<'_> {
    fn deref_mut(&mut self) -> &mut MultiplexedConnection {
        self.handle.as_mut().expect("it is taken out when it is dropped")
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        let mut shelf = self.home.shelf().lock();
        if shelf.len() < SPARE_MAX {
            shelf.extend(self.handle.take());
        }
    }
}
