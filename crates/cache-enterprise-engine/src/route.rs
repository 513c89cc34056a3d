//! Which backends a handle speaks to: the walk over the levels, or one backend alone.
//!
//! A backend that is asked for by name has a space of its own: keys, copies and flights are those
//! of its name. What is written there is read there and nowhere else, so that level 1 never
//! answers for a backend it was not filled from, and no backend answers for another. The
//! default backend's name stands for the walk itself. Tenants, tags and epochs belong to the
//! manager: an invalidation reaches every space.

use std::sync::Arc;

use cache_enterprise_core::{Error, Result};
use hashbrown::HashMap;

use crate::manager::CacheManager;
use crate::shared::Shared;
#[cfg(feature = "tiers")]
use crate::tiers::Stack;

/// The name under which level 1 alone is asked for, where no backend has it.
const MEMORY: &str = "memory";

/// One backend alone.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    /// The backend as the only tier there is; `None` for level 1 alone.
    #[cfg(feature = "tiers")]
    pub(crate) stack: Option<Arc<Stack>>,
    /// Whether a level of the walk has the same backend, and tells of it.
    #[cfg(feature = "tiers")]
    pub(crate) is_a_level: bool,
}

impl Route {
    /// Level 1 alone.
    fn memory() -> Self {
        Self {
            name: MEMORY.into(),
            #[cfg(feature = "tiers")]
            stack: None,
            #[cfg(feature = "tiers")]
            is_a_level: true,
        }
    }

    pub(crate) fn has_tiers(&self) -> bool {
        #[cfg(feature = "tiers")]
        return self.stack.is_some();
        #[cfg(not(feature = "tiers"))]
        false
    }
}

/// The backends of a manager by name.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_name: HashMap<Arc<str>, Arc<Route>>,
    /// The name of the walk.
    default: Option<String>,
}

impl Routes {
    /// The routes of a manager whose walk may have a name too.
    pub(crate) fn new(default: Option<String>, has_level1: bool, routes: Vec<Route>) -> Self {
        let routes = routes.into_iter().map(|route| (Arc::clone(&route.name), Arc::new(route)));
        let mut by_name: HashMap<_, _> = routes.collect();
        if has_level1 && default.as_deref() != Some(MEMORY) {
            by_name.entry(MEMORY.into()).or_insert_with(|| Arc::new(Route::memory()));
        }
        Self { by_name, default }
    }

    /// The backend of that name; `None` for the walk.
    fn named(&self, name: &str) -> Result<Option<&Arc<Route>>> {
        if self.default.as_deref() == Some(name) {
            return Ok(None);
        }
        self.by_name.get(name).map(Some).ok_or_else(|| {
            let text = "no backend of the manager has this name; write a known one";
            Error::config(text).with("backend", name).with("known", self.names().join(", "))
        })
    }

    /// All names in alphabetical order.
    fn names(&self) -> Vec<&str> {
        let routes = self.by_name.keys().map(|name| &**name);
        let mut names: Vec<_> = routes.chain(self.default.as_deref()).collect();
        names.sort_unstable();
        names
    }

    /// The backends by name, in alphabetical order.
    #[cfg(feature = "tiers")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        let mut routes: Vec<_> = self.by_name.values().collect();
        routes.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        routes.into_iter()
    }

    /// Refuses the name of a cache that means a cache in the space of a backend.
    pub(crate) fn check_cache(&self, name: &str) -> Result<()> {
        match name.rsplit_once('@') {
            Some((_, backend)) if self.by_name.contains_key(backend) => {
                let text = "the name of the cache ends in `@` and the name of a backend; rename it";
                Err(Error::config(text).with("cache", name))
            }
            _ => Ok(()),
        }
    }
}

/// The name of a cache in the space of a backend.
pub(crate) fn name_in(route: Option<&Arc<Route>>, cache: &str) -> String {
    route.map_or_else(|| cache.to_owned(), |route| format!("{cache}@{}", route.name))
}

impl<C: Clone> CacheManager<C> {
    /// The manager seen through one backend alone: `memory` for level 1, a name of
    /// [`Tier::named`](crate::Tier::named) or of the builder's
    /// [`backend`](crate::ManagerBuilder::backend). The name of the default backend gives the
    /// usual walk over the levels.
    ///
    /// What is set through a name is found through that name only: its keys are apart from those
    /// of the walk, level 1 keeps no copy, and each read asks the backend. Tags, epochs and
    /// tenants are shared.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, MIB, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    ///
    /// static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(5));
    ///
    /// let manager = CacheManager::in_memory(Capacity::bytes(16 * MIB))?;
    /// let apart = manager.backend("memory")?.open(&NAMES)?;
    /// block_on(async { apart.set(&7, "Ada").await });
    /// assert!(apart.contains(&7) && !manager.open(&NAMES)?.contains(&7));
    /// assert!(manager.backend("attic").unwrap_err().to_string().contains("known: memory"));
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](cache_enterprise_core::ErrorKind::Config) for a name there is not;
    /// it lists those there are.
    pub fn backend(&self, name: &str) -> Result<Self> {
        let route = self.shared.routes.named(name)?.cloned();
        Ok(Self { route, ..self.clone() })
    }
}

impl<C> CacheManager<C> {
    /// The names that [`backend`](Self::backend) takes, in alphabetical order.
    pub fn backends(&self) -> Vec<&str> {
        self.shared.routes.names()
    }

    /// Whether anything stands below level 1 for this handle.
    pub(crate) fn has_tiers(&self) -> bool {
        has_tiers(&self.shared, self.route.as_ref())
    }

    #[cfg(feature = "tiers")]
    pub(crate) fn stack(&self) -> Option<&Arc<Stack>> {
        stack(&self.shared, self.route.as_ref())
    }
}

pub(crate) fn has_tiers(shared: &Shared, route: Option<&Arc<Route>>) -> bool {
    route.map_or_else(|| shared.has_tiers(), |route| route.has_tiers())
}

/// The tiers below level 1 that a handle walks.
#[cfg(feature = "tiers")]
pub(crate) fn stack<'a>(
    shared: &'a Shared,
    route: Option<&'a Arc<Route>>,
) -> Option<&'a Arc<Stack>> {
    match route {
        Some(route) => route.stack.as_ref(),
        None => shared.stack.as_ref(),
    }
}
