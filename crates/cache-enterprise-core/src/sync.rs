//! Locks, atomics and thread-locals of the crates above: the machine's, or a model checker's.
//!
//! Not part of the interface: it may change in any release. A build with `--cfg shuttle` is for
//! `cargo xtask model` alone; there every lock and atomic below is a point at which the checker
//! may run another thread, and works inside one of its executions only. Statistics and clocks
//! keep the atomics of `std`: no decision about an entry hangs on the order of two of them.

#[cfg(not(shuttle))]
pub use self::machine::*;
#[cfg(shuttle)]
pub use self::model::*;

#[cfg(not(shuttle))]
mod machine {
    pub use hashbrown::DefaultHashBuilder as MapHashBuilder;
    pub use parking_lot::{Mutex, MutexGuard, RwLock};
    pub use std::sync::atomic;
    pub use std::thread_local;
}

/// The same names, each with the part of the real signature that is used.
#[cfg(shuttle)]
mod model {
    use std::hash::{BuildHasherDefault, DefaultHasher};
    use std::sync::{PoisonError, TryLockError};

    pub use shuttle::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard, atomic};
    pub use shuttle::thread_local;

    /// The same in every execution: a schedule replays only if keys fall into the same shards.
    pub type MapHashBuilder = BuildHasherDefault<DefaultHasher>;

    /// Does not poison, as the real one.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub const fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }

        pub fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
        }

        pub fn into_inner(self) -> T {
            self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Does not poison, as the real one.
    #[derive(Debug, Default)]
    pub struct RwLock<T>(shuttle::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub const fn new(value: T) -> Self {
            Self(shuttle::sync::RwLock::new(value))
        }

        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        pub fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
