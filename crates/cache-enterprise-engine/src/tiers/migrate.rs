//! Moving what calls put into one named backend over to another.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::envelope::Envelope;
use cache_enterprise_core::{Error, ErrorKind, KeyPrefix, Pattern, Result, StoredKey};
use cache_enterprise_resilience::Migration;

use super::{Pipeline, Stack};
use crate::manager::CacheManager;
use crate::path::{name_of, text_of_name};

impl<C: Clone> CacheManager<C> {
    /// A move of this tenant's entries from the space of one named backend to that of another (see
    /// [`backend`](Self::backend)): those whose key matches a glob, in every cache. It has not
    /// begun: say `dry_run`, `rate`, `keys_max` or `resume`, then `run`. Life, version and tags
    /// are kept; the entry is sealed anew, since it is sealed to its key.
    ///
    /// A whole tier moves without new names: that is [`MigratingTier`] with a [`Migration`] of its
    /// own.
    ///
    /// [`MigratingTier`]: cache_enterprise_resilience::MigratingTier
    ///
    /// ```
    /// # use cache_enterprise_core::Result;
    /// # use cache_enterprise_engine::CacheManager;
    /// async fn move_heavy<C: Clone>(manager: &CacheManager<C>) -> Result<()> {
    ///     let report = manager.migrate_data("disk", "redis", "heavy_data:*")?.rate(500).run().await?;
    ///     println!("{report}");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a name there is not; [`ErrorKind::InvalidInput`] for a pattern that
    /// is none; [`ErrorKind::Unsupported`] for level 1, which holds values and no bytes: read and
    /// set them.
    pub fn migrate_data(&self, from: &str, to: &str, pattern: &str) -> Result<Migration> {
        let pattern = Pattern::new(pattern)?;
        let source = self.backend(from)?.space_of(from)?;
        let target = self.backend(to)?.space_of(to)?;
        let prefix = KeyPrefix::tenant(&self.shared.name, &self.tenant.name);
        let backend = |stack: &Arc<Stack>| Arc::clone(&stack.levels[0].backend);
        let clock = self.shared.clock.clone();
        let migration = Migration::new(backend(&source), backend(&target), prefix, clock);
        let (old, new) = (ending(from), ending(to));
        let suffix = old.clone();
        // Whatever is moved may need the dictionaries of its cache.
        let is_wanted = move |key: &StoredKey| {
            let is_meant = || key.is_reserved() || pattern.matches(&text_of_name(name_of(key)));
            key.cache().ends_with(&*suffix) && is_meant()
        };
        let rewrite = move |key: &StoredKey, bytes: &Bytes| {
            let renamed = renamed(key, &old, &new)?;
            let sealed = resealed(&source.pipeline, &target.pipeline, key, &renamed, bytes)?;
            Ok((renamed, sealed))
        };
        // What stays behind may need them, too.
        let migration = migration.keep_source_of(StoredKey::is_reserved);
        Ok(migration.only(is_wanted).rewriting(rewrite))
    }

    /// The one backend behind a name.
    fn space_of(&self, name: &str) -> Result<Arc<Stack>> {
        match (&self.route, self.stack()) {
            (Some(_), Some(stack)) => Ok(Arc::clone(stack)),
            _ => {
                let text = "the name stands for no backend of its own, whose entries could move";
                let error = Error::new(ErrorKind::Unsupported, text);
                Err(error.operation("migrate_data").with("backend", name))
            }
        }
    }
}

/// What the caches in the space of a backend are called at the end, as keys are written.
fn ending(backend: &str) -> String {
    let mut text = String::new();
    cache_enterprise_core::KeyWriter::new(&mut text).part(&format!("@{backend}"));
    text
}

/// The key of the same cache in another backend's space.
fn renamed(key: &StoredKey, old: &str, new: &str) -> Result<StoredKey> {
    let cache = key.cache();
    let foreign = || Error::invalid("the key belongs to another space").operation("migrate_data");
    let bare = cache.strip_suffix(old).ok_or_else(foreign)?;
    let at = key.as_str().len() - name_of(key).len();
    let (before, name) = key.as_str().split_at(at);
    let text = format!("{before}{bare}{new}{}", &name[cache.len()..]);
    StoredKey::parse(&text).ok_or_else(foreign)
}

/// The same entry under another key; the payload is not touched.
fn resealed(
    from: &Pipeline,
    to: &Pipeline,
    key: &StoredKey,
    renamed: &StoredKey,
    bytes: &Bytes,
) -> Result<Bytes> {
    let mut envelope = Envelope::open(bytes, key, from.transform.as_deref(), &from.limits)?;
    envelope.header.suite = to.transform.as_ref().map_or(0, |transform| transform.suite());
    envelope.seal(renamed, to.transform.as_deref())
}
