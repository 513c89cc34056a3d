//! What a cache does around a load: early, after a failure, with nobody left, beside others.

use std::time::Duration;

/// When an owned loader runs again before the fresh life of its value is over.
///
/// The value answers meanwhile; one refresh of a key runs at a time.
///
/// ```
/// use cache_enterprise_core::mins;
/// use cache_enterprise_engine::{CacheSpec, Refresh};
///
/// static RATES: CacheSpec<u64, f64> = CacheSpec::new("rates").ttl(mins(10)).refresh_at(0.8);
/// assert_eq!(RATES.options().refresh, Some(Refresh::At(0.8)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Refresh {
    /// Not before.
    #[default]
    Never,
    /// From this share of the life on, such as 0.8. Each entry adds up to half of what is left,
    /// drawn when it is made, so that entries made together are not refreshed together.
    At(f32),
    /// At a read that draws it: the likelier, the nearer the end and the longer the load took
    /// (XFetch). A load of 100 ms is mostly refreshed some hundred milliseconds early.
    Probabilistic {
        /// Weight of the load time. 1 is a good start; more refreshes earlier.
        beta: f32,
    },
}

/// What becomes of a loader's error.
///
/// ```
/// use cache_enterprise_core::{mins, secs};
/// use cache_enterprise_engine::{CacheSpec, OnError};
///
/// static RATES: CacheSpec<u64, f64> =
///     CacheSpec::new("rates").ttl(mins(10)).on_error(OnError::CacheFor(secs(1)));
/// # drop(RATES.options());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// All who wait for the load get it. It is not kept.
    #[default]
    Share,
    /// The caller whose loader failed gets it; the next who waits runs its own loader.
    RetryNext,
    /// As [`Share`](Self::Share), and whoever asks for the key within this time gets it too, until
    /// the key is set, removed or invalidated.
    CacheFor(Duration),
}

/// What becomes of an owned load when everybody who waited for it was dropped. A caller that was
/// answered with an older value, or gave up after a timeout, wants the load to go on; so does a
/// refresh that nobody waited for.
///
/// ```
/// use cache_enterprise_core::mins;
/// use cache_enterprise_engine::{CacheSpec, OnNoWaiters};
///
/// static REPORTS: CacheSpec<u64, String> =
///     CacheSpec::new("reports").ttl(mins(10)).on_no_waiters(OnNoWaiters::Cancel);
/// # drop(REPORTS.options());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnNoWaiters {
    /// It goes on and fills the cache.
    #[default]
    Finish,
    /// Its loader is dropped.
    Cancel,
}

/// Which loads ask the fleet for the right to run, where a tier gives leases. One process loads a
/// key then; the others answer with an older value where they may, or wait for the tier to have
/// the new one. A lease saves loads and decides nothing: where its store fails, everybody loads.
///
/// ```
/// use cache_enterprise_core::mins;
/// use cache_enterprise_engine::{CacheSpec, Leases};
///
/// static REPORTS: CacheSpec<u64, String> =
///     CacheSpec::new("reports").ttl(mins(10)).leases(Leases::Loads);
/// # drop(REPORTS.options());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leases {
    /// None.
    Never,
    /// Refreshes in the background: nobody waits for them.
    #[default]
    Refreshes,
    /// Every load. Costs two round trips to the tier each, and up to a quarter of a second more
    /// than the other process's load. A batch asks each node of the tier once.
    Loads,
}
