//! Rare events, and who hears them.

use std::fmt;

use crate::ErrorKind;

/// Something rare that an operator may want to know. Hits and misses are counters, not events.
///
/// ```
/// use cache_enterprise_core::{ErrorKind, Event};
///
/// let event =
///     Event::TierFailed { tier: "disk".into(), operation: "get", kind: ErrorKind::Timeout };
/// assert!(matches!(event, Event::TierFailed { operation: "get", .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A call to a tier failed; the next level was asked.
    TierFailed {
        /// Name of the tier's backend.
        tier: String,
        /// The call, such as `get`.
        operation: &'static str,
        /// What went wrong.
        kind: ErrorKind,
    },
    /// A tier that was skipped or failing answers again.
    TierRecovered {
        /// Name of the tier's backend.
        tier: String,
    },
    /// A node of a tier failed too often, or was taken out by hand: it is left alone for a while.
    BreakerOpened {
        /// Name of the tier's backend.
        tier: String,
        /// Number of the node; 0 for a tier that is one.
        node: u32,
    },
    /// A node of a tier that was left alone is asked again.
    BreakerClosed {
        /// Name of the tier's backend.
        tier: String,
        /// Number of the node; 0 for a tier that is one.
        node: u32,
    },
    /// Stored bytes could not be used: corrupt, of an unknown version, or of another shape.
    Undecodable {
        /// Name of the cache.
        cache: String,
        /// Name of the tier's backend.
        tier: String,
        /// What went wrong.
        kind: ErrorKind,
    },
    /// A value could not be written to the tiers; it stays in level 1 only.
    Unencodable {
        /// Name of the cache.
        cache: String,
        /// What went wrong.
        kind: ErrorKind,
    },
    /// The write-behind queue was full; the caller wrote through.
    WriteBehindFull {
        /// Name of the tier's backend.
        tier: String,
    },
    /// Collected invalidations were dropped and nothing was sent; told in debug builds alone.
    InvalidationsDropped {
        /// How many keys.
        keys: u64,
        /// How many tags, paths and caches.
        groups: u64,
    },
    /// A tuner ended a trial of a cache, or a person took a kept change back.
    Tuned {
        /// Name of the cache.
        cache: String,
        /// What was changed, such as `strategy: lru -> lirs`.
        change: String,
        /// How it ended: `kept`, `dropped`, `reverted` or `undone`.
        outcome: &'static str,
    },
    /// A loader panicked; its caller got the panic, a waiter took over.
    LoaderPanicked {
        /// Name of the cache.
        cache: String,
    },
    /// A loader was woken and not polled for too long, or ran past its hard timeout; a waiter
    /// took over.
    LoaderOvertaken {
        /// Name of the cache.
        cache: String,
    },
}

/// Hears rare events. Called in the task or thread where the event happened: must not block, must
/// not call back into the cache, must not panic.
///
/// ```
/// use cache_enterprise_core::{Event, Observer};
///
/// #[derive(Debug)]
/// struct Count(std::sync::atomic::AtomicU64);
///
/// impl Observer for Count {
///     fn on_event(&self, _: &Event) {
///         self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///     }
/// }
/// ```
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// Something happened.
    fn on_event(&self, event: &Event);
}

impl<O: Observer + ?Sized> Observer for std::sync::Arc<O> {
    fn on_event(&self, event: &Event) {
        (**self).on_event(event);
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn on_event(&self, _: &Event) {}
}
