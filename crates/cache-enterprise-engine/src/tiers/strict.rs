//! A read that hides nothing.

use cache_enterprise_core::{CacheKey, Cached, Lookup, OpContext, Result};

use super::judge::Found;
use crate::cache::Cache;
use crate::read::Want;

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// As [`get`](Self::get), for those who must know why there is nothing: a tier that fails and
    /// bytes that cannot be used are errors here, not misses. The events and counters are the
    /// same.
    ///
    /// Meant for inspection. It joins no other load and nothing climbs, so a key that is not in
    /// level 1 costs a read of the tiers every time.
    ///
    /// # Errors
    /// When the key is over its length limit, when the tenant's epochs are not known, the error of
    /// the first tier that fails, [`Unsupported`](cache_enterprise_core::ErrorKind::Unsupported)
    /// for bytes of a newer version, and
    /// [`Corrupt`](cache_enterprise_core::ErrorKind::Corrupt) or
    /// [`Codec`](cache_enterprise_core::ErrorKind::Codec) for others that cannot be used.
    pub async fn get_strict<Q>(&self, key: &Q) -> Result<Option<Cached<V>>>
    where
        Q: Lookup<K> + ?Sized,
    {
        if let Some(hit) = self.hit(key) {
            return Ok(Some(hit));
        }
        self.view.core.counts.misses.add(1);
        let Some(stack) = self.stack() else { return Ok(None) };
        let (owned, call) = (key.to_key(), self.call(Want::Lookup));
        let stored = self.view.space.key(&owned)?;
        stack.restore(&self.view.tenant).await?;
        let checked = self.view.tenant.epochs.changes();
        let pass = stack.gates.enter(&stored);
        for (index, level) in stack.levels.iter().enumerate() {
            let read = level.backend.get(&stored, &OpContext::default()).await;
            if level.is_shared() {
                stack.confirm_epochs(&self.view.tenant).await?;
            }
            let bytes = read.inspect_err(|error| stack.failed(index, "get", &stored, error))?;
            stack.answered(index, &stored);
            let Some(bytes) = bytes else {
                level.counts.misses.add(1);
                continue;
            };
            stack.fetch_dictionary(index, &stored, &bytes).await;
            if let Found::Fresh(opened, _) = self.judge_strictly(stack, index, &pass, bytes)? {
                return Ok(Some(self.cached_from(owned.heap_bytes(), checked, opened, &call).0));
            }
        }
        Ok(None)
    }
}
