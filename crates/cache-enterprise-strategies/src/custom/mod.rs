//! Strategies that people write: whether a value is cached, for how long, and what it is worth.

mod composite;
mod registry;

pub use composite::{Composite, WithAdmission, WithLifetime};
pub use registry::StrategyRegistry;

use std::fmt;
use std::time::Duration;

use crate::StrategyContext;
use crate::lifetime::Refresh;

/// One object that decides over values on their way in. All methods have defaults that change
/// nothing.
///
/// Called on the task of a writer or loader, from many threads at once, never on a hit: it must not
/// block.
///
/// ```
/// use std::time::Duration;
///
/// use cache_enterprise_strategies::{CacheStrategy, StrategyContext};
///
/// /// Caches what was marked as important, sessions half as long as the rest.
/// #[derive(Debug)]
/// struct BusinessLogic;
///
/// impl CacheStrategy for BusinessLogic {
///     fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
///         context.attribute("cache_priority") == Some("high")
///     }
///
///     fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
///         let is_session = context.key.contains("user_session");
///         Some(Duration::from_secs(if is_session { 1_800 } else { 3_600 }))
///     }
/// }
///
/// let high = [("cache_priority", "high")];
/// let session = StrategyContext::new("user_session:7").attributes(&high);
/// assert!(BusinessLogic.should_cache(&session));
/// assert_eq!(BusinessLogic.ttl(&session), Some(Duration::from_secs(1_800)));
/// assert!(!BusinessLogic.should_cache(&StrategyContext::new("track:1")));
/// ```
pub trait CacheStrategy: fmt::Debug + Send + Sync + 'static {
    /// Whether the value is stored at all. Asked for every value, also of keys that are cached
    /// already.
    fn should_cache(&self, context: &StrategyContext<'_>) -> bool {
        let _ = context;
        true
    }

    /// The fresh life of the value; `None` is no opinion.
    fn ttl(&self, context: &StrategyContext<'_>) -> Option<Duration> {
        let _ = context;
        None
    }

    /// How much more than others the value is worth keeping: 1 is normal. Callers read what is not
    /// finite or not above 0 as 1. Asked also of a value that climbs into level 1 from below; then
    /// nobody says its data type and attributes.
    fn score(&self, context: &StrategyContext<'_>) -> f64 {
        let _ = context;
        1.0
    }

    /// Which class of the business the value belongs to, for policies that keep a share for each;
    /// 0 for none.
    fn class(&self, context: &StrategyContext<'_>) -> u8 {
        let _ = context;
        0
    }

    /// A key whose earlier value is still known was loaded anew; said before the other questions
    /// are asked for the new value.
    fn refreshed(&self, context: &StrategyContext<'_>, refresh: Refresh) {
        let _ = (context, refresh);
    }
}
