//! What a failing level means to a call.

/// What a manager does when a level below level 1 fails.
///
/// ```
/// use cache_enterprise_engine::{CacheManager, Failover};
///
/// let builder = CacheManager::builder("shop").failover(Failover::FailFast);
/// # drop(builder);
/// assert_eq!(Failover::default(), Failover::GracefulDegradation);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failover {
    /// The next level is asked, then the loader; a value past its life may answer where its cache
    /// allows that. The failure is an event and a counter.
    #[default]
    GracefulDegradation,
    /// A read that meets a failing level is an error, where it can be one: `get`, `get_entry`,
    /// `get_many`, `try_get_with` and `fetch`. `get_with` and `get_opt_with` cannot fail and go
    /// on to their loader. Writes report as ever: by their outcome, or as an error when strict.
    FailFast,
    /// As graceful degradation, and tiers that say nothing of their writes are written behind, so
    /// that no write waits for a failing level. [`ShutdownReport`](crate::ShutdownReport) tells
    /// what was lost.
    QueueWrites {
        /// Longest queue of each tier; a full one writes through.
        queue_max: usize,
    },
}

impl Failover {
    /// The word for it in settings and descriptions.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GracefulDegradation => "graceful_degradation",
            Self::FailFast => "fail_fast",
            Self::QueueWrites { .. } => "queue_writes",
        }
    }
}
