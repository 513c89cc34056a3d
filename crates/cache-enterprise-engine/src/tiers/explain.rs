//! The tiers' part of an explanation.

use cache_enterprise_core::{CacheKey, Error, ErrorKind};

use super::inspect::{StoredEntry, StoredState};
use crate::cache::Cache;
use crate::explain::{CopyView, LevelView, Verdict};
use crate::told::{tag_text, target_text};

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// What each tier holds of `key`; none without tiers.
    pub(crate) async fn explain_below(&self, key: &K) -> Vec<LevelView> {
        let Some(stack) = self.stack() else { return Vec::new() };
        let unknown = self.unknown_epochs().await;
        let stored = self.view.space.key(key);
        let mut views = Vec::with_capacity(stack.levels.len());
        for (index, level) in stack.levels.iter().enumerate() {
            let (verdict, copy) = match (&stored, &unknown) {
                (Err(error), _) | (_, Some(error)) => (Verdict::Unreachable(error.clone()), None),
                (Ok(stored), None) => {
                    let mut tags = Vec::new();
                    self.label(crate::path::name_of(stored), &mut tags);
                    let cache = self.view.cell.name().as_str();
                    let tenant = &self.view.tenant;
                    match stack.inspect_level(index, tenant, cache, stored, &tags).await {
                        Ok(None) => (Verdict::Nothing, None),
                        Ok(Some(found)) => seen(&found),
                        Err(error) => (unusable(error), None),
                    }
                }
            };
            let (level, name) = (level.number, level.name.clone());
            // What leaves a tier is its backend's own affair.
            let (strategy, standing) = (None, None);
            views.push(LevelView { level, name, verdict, copy, strategy, standing });
        }
        views
    }

    /// Why nothing that a tier holds may be believed now, if so.
    async fn unknown_epochs(&self) -> Option<Error> {
        let stack = self.stack()?;
        let tenant = &self.view.tenant;
        match stack.restore(tenant).await {
            Ok(()) => stack.confirm_epochs(tenant).await.err(),
            Err(error) => Some(error),
        }
    }
}

fn seen(found: &StoredEntry) -> (Verdict, Option<CopyView>) {
    let verdict = match &found.state {
        StoredState::Fresh => Verdict::Hit,
        StoredState::Stale => Verdict::Stale,
        StoredState::Expired => Verdict::Expired,
        StoredState::Invalidated(target) => Verdict::Invalidated(target_text(target)),
        StoredState::Superseded => Verdict::Superseded,
    };
    let copy = CopyView {
        age: found.age,
        version: found.version,
        fresh_for: found.fresh_for,
        kept_for: found.kept_for,
        tags: found.tags.iter().map(tag_text).collect(),
    };
    (verdict, Some(copy))
}

/// Bytes that are no entry of this manager, or a tier that did not give any.
fn unusable(error: Error) -> Verdict {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::Codec | ErrorKind::TooLarge => {
            Verdict::Unreadable(error)
        }
        _ => Verdict::Unreachable(error),
    }
}
