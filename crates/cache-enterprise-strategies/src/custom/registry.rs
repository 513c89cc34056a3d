//! Strategies by name, for settings and macros.

use std::collections::BTreeMap;
use std::sync::Arc;

use cache_enterprise_core::sync::RwLock;
use cache_enterprise_core::{Error, ErrorKind, Result, check_name};

use super::CacheStrategy;

/// The strategies that settings may name. A look-up is for set-up, not for requests: keep the
/// handle it gives.
///
/// ```
/// use std::sync::Arc;
///
/// use cache_enterprise_strategies::{Composite, StrategyRegistry};
///
/// let registry = StrategyRegistry::default();
/// registry.register("everything", Arc::new(Composite::default()))?;
/// assert!(registry.strategy("everything").is_ok());
/// let error = registry.strategy("evrything").expect_err("not its name").to_string();
/// assert!(error.contains("known: everything"), "{error}");
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct StrategyRegistry {
    by_name: RwLock<BTreeMap<Box<str>, Arc<dyn CacheStrategy>>>,
}

impl StrategyRegistry {
    /// Makes `strategy` known under `name`.
    ///
    /// # Errors
    /// When the name breaks the rules of [`check_name`] or is taken.
    pub fn register(&self, name: &str, strategy: Arc<dyn CacheStrategy>) -> Result<()> {
        check_name("strategy", name)?;
        let mut by_name = self.by_name.write();
        if by_name.contains_key(name) {
            let taken = Error::new(ErrorKind::Conflict, "a strategy of this name is registered");
            return Err(taken.with("strategy", name));
        }
        by_name.insert(name.into(), strategy);
        Ok(())
    }

    /// The strategy of this name.
    ///
    /// # Errors
    /// When there is none; the error lists those there are.
    pub fn strategy(&self, name: &str) -> Result<Arc<dyn CacheStrategy>> {
        if let Some(found) = self.by_name.read().get(name) {
            return Ok(Arc::clone(found));
        }
        let known = self.names();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let unknown = Error::config("there is no strategy of this name");
        Err(unknown.with("strategy", name).with("known", known))
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.by_name.read().keys().map(|name| name.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::custom::Composite;

    #[test]
    fn names_are_checked_taken_once_and_listed() {
        let registry = StrategyRegistry::default();
        let strategy = || Arc::new(Composite::default());
        assert_eq!(registry.strategy("x").unwrap_err().kind(), ErrorKind::Config);
        assert!(registry.strategy("x").unwrap_err().to_string().contains("known: none"));
        registry.register("b", strategy()).unwrap();
        registry.register("a", strategy()).unwrap();
        assert_eq!(registry.register("a", strategy()).unwrap_err().kind(), ErrorKind::Conflict);
        assert!(registry.register("", strategy()).is_err());
        assert!(registry.strategy("c").unwrap_err().to_string().contains("known: a, b"));
        assert_eq!(registry.names(), ["a", "b"]);
    }
}
