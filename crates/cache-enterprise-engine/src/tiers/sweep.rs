//! Walking the keys that tiers list, for deletions and expiries by pattern.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::envelope::Envelope;
use cache_enterprise_core::{
    CacheKey, CacheLevel, NEVER, OpContext, Put, PutOutcome, Result, Sequence, StoredKey,
    saturating_millis,
};

use super::stack::{Stack, joined};
use crate::cache::Cache;
use crate::path::name_of;
use crate::shared::TenantState;
use crate::sweep::{AT_ONCE, Fate, SweepReport, Walk, cannot_list};

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Before anything is done: whether every tier can list its keys.
    pub(crate) fn check_sweep(&self) -> Result<()> {
        let Some(stack) = self.stack() else { return Ok(()) };
        let mute = stack.levels.iter().find(|level| !level.backend.capabilities().scan);
        mute.map_or(Ok(()), |level| Err(cannot_list(&level.name, level.number)))
    }

    /// Walks tier by tier from where `walk` begins, until its budget is used up.
    pub(crate) async fn sweep_below(&self, walk: &Walk, report: &mut SweepReport) -> Result<()> {
        let Some(stack) = self.stack() else { return Ok(()) };
        self.prepare_below().await;
        let prefix = self.view.space.prefix();
        let (mut index, mut from) = place_of(walk.from.as_ref());
        let mut left = walk.keys_max;
        while let Some(level) = stack.levels.get(index) {
            let page = level.backend.scan(&prefix, from, left.min(AT_ONCE)).await;
            let page = page.map_err(|error| error.with("tier", &level.name))?;
            left = left.saturating_sub(page.keys.len().max(1));
            report.listed += page.keys.len() as u64;
            let mut keys = page.keys;
            // What is kept for all entries of the cache ends with none of them.
            let is_entry = |key: &StoredKey| prefix.contains(key) && !key.is_reserved();
            keys.retain(|key| is_entry(key) && walk.takes(name_of(key)));
            report.matched += keys.len() as u64;
            if let Err(error) = self.sweep_page(stack, index, keys, walk.fate).await {
                report.failure.get_or_insert(error);
            }
            match page.next {
                Some(next) => from = Some(next),
                None => (index, from) = (index + 1, None),
            }
            if left == 0 && index < stack.levels.len() {
                report.next = Some(cursor(index, from.as_ref()));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Ends what a tier listed. An error says that a tier or the bus was not told of all of it.
    async fn sweep_page(
        &self,
        stack: &Arc<Stack>,
        index: usize,
        keys: Vec<StoredKey>,
        fate: Fate,
    ) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let at = self.numbered(&self.number_below().await);
        let tenant = &self.view.tenant;
        let names = || keys.iter().map(|key| name_of(key).to_owned()).collect::<Vec<_>>();
        match fate {
            Fate::Deleted => {
                let passes = keys.iter().map(|key| stack.gates.fence(key, at)).collect();
                // Until a tier that failed is told, what it holds is a miss.
                let removed = stack.remove_many(tenant, passes, at).await;
                let names = names();
                self.end_dependents_of(&names, false).await;
                self.tell_names(&names, false);
                removed.map(drop)
            }
            Fate::Expired => {
                let mut expired = Ok(());
                for key in &keys {
                    let ended = stack.expire(tenant, stack.gates.end(key, at), at).await;
                    expired = expired.and(ended);
                }
                let names = names();
                self.end_dependents_of(&names, true).await;
                self.tell_names(&names, true);
                expired
            }
            Fate::Shortened(ttl) => {
                let until =
                    self.view.clock.wall_ms().saturating_add_unsigned(saturating_millis(ttl));
                stack.shorten_many(tenant, index, keys, until, at).await
            }
        }
    }

    /// The levels that still owe a removal of `key`.
    pub(crate) fn owing_levels(&self, key: &K) -> Vec<CacheLevel> {
        let Some(stack) = self.stack() else { return Vec::new() };
        let Ok(stored) = self.view.space.key(key) else { return Vec::new() };
        let owes = |index: &usize| stack.owes(*index, &stored);
        let owing = (0..stack.levels.len()).filter(owes);
        owing.filter_map(|index| CacheLevel::numbered(stack.levels[index].number)).collect()
    }
}

impl Stack {
    /// Ends lives in one level at `until`, and has other processes let go of their copies of what
    /// was to live longer: they are older than `at`, and the level has them with the shorter life.
    /// Survives its caller.
    async fn shorten_many(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        index: usize,
        keys: Vec<StoredKey>,
        until_wall_ms: i64,
        at: Sequence,
    ) -> Result<()> {
        let (stack, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let task = self.runtime.spawn(async move {
            stack.reserve(&tenant, at).await;
            let (mut shortened, mut result) = (Vec::new(), Ok(()));
            for key in &keys {
                match stack.shorten(index, key, until_wall_ms).await {
                    Ok(true) => shortened.push((at, key)),
                    Ok(false) => {}
                    Err(error) => {
                        stack.failed(index, "expire", key, &error);
                        let error = error.with("tier", &stack.levels[index].name);
                        result = result.and(Err(error));
                    }
                }
            }
            let told = stack.tell_keys(&tenant, shortened.into_iter()).await;
            result.and(told)
        });
        joined(task.await)
    }

    /// Ends the life of what one level holds under a key at `until`; says whether it was longer.
    async fn shorten(&self, index: usize, key: &StoredKey, until_wall_ms: i64) -> Result<bool> {
        let ctx = OpContext::default();
        let pass = self.gates.enter(key);
        let _turn = pass.turn.lock().await;
        let backend = &self.levels[index].backend;
        let Some(bytes) = backend.get(key, &ctx).await? else { return Ok(false) };
        let transform = self.pipeline.transform.as_deref();
        let opened = Envelope::open(&bytes, key, transform, &self.pipeline.limits);
        // What cannot be read is served to nobody.
        let Ok(mut envelope) = opened else { return Ok(false) };
        let ends = [envelope.header.expires_wall_ms, envelope.body.fresh_until_wall_ms];
        if ends.iter().all(|end| end.is_some_and(|end| end <= until_wall_ms)) {
            return Ok(false);
        }
        let sooner =
            |end: Option<i64>| Some(end.map_or(until_wall_ms, |end| end.min(until_wall_ms)));
        envelope.header.expires_wall_ms = sooner(envelope.header.expires_wall_ms);
        envelope.body.fresh_until_wall_ms = sooner(envelope.body.fresh_until_wall_ms);
        let version = envelope.header.sequence;
        if !self.admits(index, &pass, version) {
            return Ok(false);
        }
        let expires = envelope.header.expires_wall_ms.map_or(NEVER, |at| self.clock.at_wall(at));
        let rest = expires.saturating_sub(self.clock.now());
        let sealed = envelope.seal(key, transform)?;
        let how = Put { ttl: self.levels[index].life(Some(rest)), version };
        Ok(backend.put(key, sealed, how, &ctx).await? == PutOutcome::Stored)
    }
}

/// Where a walk goes on: the tier, and the tier's own cursor.
fn place_of(from: Option<&Bytes>) -> (usize, Option<Bytes>) {
    match from {
        None => (0, None),
        Some(from) => {
            let index = from.first().copied().unwrap_or_default();
            let rest = (from.len() > 1).then(|| from.slice(1..));
            (usize::from(index), rest)
        }
    }
}

fn cursor(index: usize, from: Option<&Bytes>) -> Bytes {
    let mut cursor = vec![u8::try_from(index).unwrap_or(u8::MAX)];
    cursor.extend_from_slice(from.map_or(&[], |from| from));
    cursor.into()
}
