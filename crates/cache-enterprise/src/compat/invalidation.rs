//! Invalidation under names of its own.

use std::ops::Deref;

use cache_enterprise_core::{Capacity, MIB, MemoryOnly, Result, Tag};
use cache_enterprise_engine::{CacheManager, Invalidate, Pattern, Sweep};

/// A manager that is asked for invalidation first, and nothing else: it dereferences to the
/// manager. What it invalidates ends at every level, and in every process where the manager
/// has a bus or a shared tier; cascades follow by themselves.
///
/// ```
/// use cache_enterprise::compat::InvalidationEngine;
/// use cache_enterprise::prelude::*;
/// use cache_enterprise::block_on;
///
/// let engine = InvalidationEngine::new()?;
/// block_on(async {
///     engine.register_dependency("playlist:456", ["user:123:feed"]).await?;
///     engine.set("user:123:feed", &1_u64).ttl(mins(5)).await?;
///     engine.set("user:123:name", &2_u64).ttl(mins(5)).tags(["user:123"]).await?;
///     engine.delete("playlist:456").await?;
///     assert_eq!(engine.get::<u64>("user:123:feed").await?, None);
///     let receipt = engine.invalidate_by_tag("user:123").await;
///     assert_eq!(receipt.targets, 1);
///     assert_eq!(engine.get::<u64>("user:123:name").await?, None);
///     Ok::<(), cache_enterprise::Error>(())
/// })?;
/// # Ok::<(), cache_enterprise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct InvalidationEngine<C = MemoryOnly> {
    manager: CacheManager<C>,
}

/// The same engine under another name.
pub type InvalidationService<C = MemoryOnly> = InvalidationEngine<C>;

impl InvalidationEngine {
    /// An engine of its own, over 64 MiB of memory.
    ///
    /// # Errors
    /// When the process's ticker thread cannot be started.
    pub fn new() -> Result<Self> {
        Ok(Self { manager: CacheManager::in_memory(Capacity::bytes(64 * MIB))? })
    }
}

impl<C: Clone> InvalidationEngine<C> {
    /// The engine of a manager.
    pub fn of(manager: &CacheManager<C>) -> Self {
        Self { manager: manager.clone() }
    }

    /// Ends every entry with this tag, in O(1): the receipt has the number it took, and no count
    /// of entries, since none is visited.
    pub fn invalidate_by_tag(&self, tag: impl Into<Tag>) -> Invalidate<'_> {
        self.manager.invalidate(tag.into())
    }

    /// Ends every entry with one of these tags, in one step.
    pub fn invalidate_by_tags<I>(&self, tags: I) -> Invalidate<'_>
    where
        I: IntoIterator,
        I::Item: Into<Tag>,
    {
        let tags: Vec<Tag> = tags.into_iter().map(Into::into).collect();
        self.manager.invalidate(tags)
    }

    /// Deletes what matches a pattern with arguments, such as `user:{user_id}:*`; see
    /// [`Pattern::template`] and [`CacheManager::delete_pattern`].
    ///
    /// ```
    /// use cache_enterprise::compat::InvalidationEngine;
    /// use cache_enterprise::prelude::*;
    /// use cache_enterprise::block_on;
    ///
    /// let engine = InvalidationEngine::new()?;
    /// block_on(async {
    ///     engine.set("user:7:feed", &1_u64).ttl(mins(5)).await?;
    ///     engine.invalidate_pattern("user:{id}:*", &[("id", "7")])?.await?;
    ///     assert_eq!(engine.get::<u64>("user:7:feed").await?, None);
    ///     Ok::<(), cache_enterprise::Error>(())
    /// })?;
    /// # Ok::<(), cache_enterprise::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the template is no pattern, or names an argument that is not given.
    pub fn invalidate_pattern(&self, template: &str, values: &[(&str, &str)]) -> Result<Sweep<'_>> {
        let pattern = Pattern::template(template, values)?;
        Ok(self.manager.delete_pattern(pattern.as_str()))
    }
}

impl<C> Deref for InvalidationEngine<C> {
    type Target = CacheManager<C>;

    fn deref(&self) -> &Self::Target {
        &self.manager
    }
}
