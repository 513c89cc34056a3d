//! How level 1 chooses what leaves it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use cache_enterprise_core::{PolicyFactory, Result};
use cache_enterprise_memory::{DEFAULT_STRATEGY, QUICK};
use cache_enterprise_strategies::eviction;

/// What makes the policies of a store.
pub(crate) type Policies = Arc<dyn PolicyFactory>;

/// What stands for [`DEFAULT_STRATEGY`].
const DEFAULT: &str = "default";

/// What decides which entry leaves a full level 1: an eviction policy by its name, or one of
/// one's own.
///
/// `quick` is quick_cache's own policy; the other names are those of
/// [`cache_enterprise_strategies::eviction`], among them [`DEFAULT_STRATEGY`]. With `quick` values stand in a
/// [`MemoryStore`](cache_enterprise_memory::MemoryStore), else in a
/// [`PolicyStore`](cache_enterprise_memory::PolicyStore).
///
/// ```
/// use std::sync::Arc;
///
/// use cache_enterprise_core::MIB;
/// use cache_enterprise_engine::{CacheManager, Memory};
///
/// let level1 = Memory::bytes(64 * MIB).strategy("s3-fifo");
/// let manager = CacheManager::builder("shop").l1(level1).build_in_memory()?;
/// let row = manager.describe().row("l1.strategy").expect("level 1 is on").clone();
/// assert_eq!(row.value, "s3-fifo");
///
/// let level1 = Memory::bytes(64 * MIB).strategy("s4-fifo");
/// let error = CacheManager::builder("shop").l1(level1).build_in_memory().unwrap_err();
/// assert!(error.to_string().contains("nearest: s3-fifo"));
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Strategy(Chosen);

#[derive(Clone, Debug)]
enum Chosen {
    Named(Cow<'static, str>),
    Own(Arc<dyn PolicyFactory>),
}

impl Strategy {
    /// The strategy of a manager that chooses none.
    pub(crate) const USUAL: Self = Self(Chosen::Named(Cow::Borrowed(DEFAULT)));

    /// The policies of the strategy; `None` where quick_cache decides.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) if there is no policy of this name;
    /// the context lists the known ones and the nearest by spelling.
    pub fn resolve(&self) -> Result<Option<Arc<dyn PolicyFactory>>> {
        let name = match &self.0 {
            Chosen::Own(factory) => return Ok(Some(Arc::clone(factory))),
            Chosen::Named(name) => name.trim(),
        };
        let name = if name.eq_ignore_ascii_case(DEFAULT) { DEFAULT_STRATEGY } else { name };
        if name.eq_ignore_ascii_case(QUICK) {
            return Ok(None);
        }
        let found = eviction::resolve(name);
        found.map(Some).map_err(|error| error.with("and without a policy", QUICK))
    }
}

impl Strategy {
    /// Whether it was chosen by this name of a policy, or another spelling of it.
    pub(crate) fn is_named(&self, policy: &str) -> bool {
        let Chosen::Named(_) = &self.0 else { return false };
        matches!(self.resolve(), Ok(Some(factory)) if factory.name() == policy)
    }
}

impl From<&'static str> for Strategy {
    fn from(name: &'static str) -> Self {
        Self(Chosen::Named(Cow::Borrowed(name)))
    }
}

impl From<String> for Strategy {
    fn from(name: String) -> Self {
        Self(Chosen::Named(Cow::Owned(name)))
    }
}

impl From<Arc<dyn PolicyFactory>> for Strategy {
    fn from(factory: Arc<dyn PolicyFactory>) -> Self {
        Self(Chosen::Own(factory))
    }
}

impl<F: PolicyFactory> From<Arc<F>> for Strategy {
    fn from(factory: Arc<F>) -> Self {
        Self(Chosen::Own(factory))
    }
}

/// The name of the policy that decides.
impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resolve() {
            Ok(Some(factory)) => f.write_str(factory.name()),
            Ok(None) => f.write_str(QUICK),
            Err(_) => f.write_str("unknown"),
        }
    }
}
