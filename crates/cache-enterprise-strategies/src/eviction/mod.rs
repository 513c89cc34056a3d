//! Eviction policies, and the list of their names.

mod fifo;

pub use fifo::Fifo;

use std::sync::Arc;

use cache_enterprise_core::PolicyFactory;

/// Every policy of this crate with its usual parameters, in the order documents list them.
///
/// ```
/// let names: Vec<_> = cache_enterprise_strategies::eviction::all()
///     .iter()
///     .map(|policy| policy.name().to_owned())
///     .collect();
/// assert!(names.contains(&"fifo".to_owned()));
/// ```
pub fn all() -> Vec<Arc<dyn PolicyFactory>> {
    vec![Arc::new(Fifo)]
}
