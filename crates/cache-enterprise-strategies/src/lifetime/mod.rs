//! For how long a value is kept: one small trait, and the strategies that need no cache to be
//! tested.
//!
//! | strategy | a value lives |
//! |---|---|
//! | [`FixedTtl`] | as long as every other |
//! | [`JitterTtl`] | as another strategy says, and a random share more |
//! | [`TtlByDataType`] | as long as its kind says |
//! | [`AdaptiveTtl`] | longer each time it was found unchanged, shorter each time it had changed |
//!
//! A strategy is asked once per store and told once per reload, never on a hit.

mod adaptive;
mod fixed;
mod kept;

pub use adaptive::AdaptiveTtl;
pub use fixed::{FixedTtl, JitterTtl, TtlByDataType};

use std::fmt;
use std::time::Duration;

use crate::StrategyContext;

/// Says for how long a value is fresh.
///
/// Called on the task of a writer or loader, from many threads at once: it must not block, and it
/// costs well under a microsecond in all implementations here.
///
/// ```
/// use std::time::Duration;
///
/// use cache_enterprise_strategies::StrategyContext;
/// use cache_enterprise_strategies::lifetime::LifetimeStrategy;
///
/// /// What was dear to load lives longer.
/// #[derive(Debug)]
/// struct ByCost;
///
/// impl LifetimeStrategy for ByCost {
///     fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
///         context.load_time.map(|took| took * 600)
///     }
/// }
///
/// let context = StrategyContext::new("report").load_time(Duration::from_millis(500));
/// assert_eq!(ByCost.ttl(&context), Some(Duration::from_secs(300)));
/// ```
pub trait LifetimeStrategy: fmt::Debug + Send + Sync + 'static {
    /// The fresh life of a value that is stored now. `None` is no opinion: what is configured
    /// counts.
    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration>;

    /// A key whose earlier value is still known was loaded anew. Said before
    /// [`ttl`](Self::ttl) is asked for the new value.
    fn refreshed(&self, context: &StrategyContext<'_>, refresh: Refresh) {
        let _ = (context, refresh);
    }
}

/// What loading a key anew brought to light.
///
/// ```
/// use cache_enterprise_core::secs;
/// use cache_enterprise_strategies::lifetime::Refresh;
///
/// let refresh = Refresh::new(true, secs(90));
/// assert!(refresh.changed && refresh.after == secs(90));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refresh {
    /// Whether the value differs from the one before.
    pub changed: bool,
    /// How long ago the earlier value was loaded or last confirmed.
    pub after: Duration,
}

impl Refresh {
    /// A value that was compared with the one loaded `after` ago.
    pub const fn new(changed: bool, after: Duration) -> Self {
        Self { changed, after }
    }
}
