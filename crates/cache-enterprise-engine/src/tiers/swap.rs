//! What computations and conditional writes ask of the tiers.

use std::sync::Arc;

use cache_enterprise_core::envelope::Header;
use cache_enterprise_core::{
    CacheKey, Cached, Entry, ErrorKind, Freshness, Merit, OpContext, Result, Sequence, StoredKey,
    Swapped, unsupported,
};

use super::below::is_newest;
use super::gate::Pass;
use super::judge::Found;
use super::pipeline::format_of;
use super::restore::unreserved;
use super::stack::{Job, Stack, joined};
use crate::cache::Cache;
use crate::failover::Failover;
use crate::flight::Lead;
use crate::if_version::IfVersion;
use crate::options::Options;
use crate::read::Want;
use crate::{Fence, Sealed};

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// What the tiers hold of a key whose flight is led: nothing climbs, nothing lands.
    ///
    /// # Errors
    /// That of a level, in a manager where it ends the call.
    pub(crate) async fn peek_below(
        &self,
        key: &K,
        lead: &mut Lead<'_, K, V>,
    ) -> Result<Option<Cached<V>>> {
        let Some(stack) = self.stack() else { return Ok(None) };
        let is_fatal = self.view.shared.failover == Failover::FailFast;
        if !self.is_restored() {
            return if is_fatal { Err(stack.not_known()) } else { Ok(None) };
        }
        let stored = self.view.space.key(key)?;
        let pass = stack.gates.enter(&stored);
        for index in 0..stack.levels.len() {
            let read = stack.read_confirmed(index, &stored, &self.view.tenant);
            let bytes = match lead.run(read).await {
                Ok(Some(bytes)) => bytes,
                Err(error) if is_fatal => return Err(error),
                Ok(None) | Err(_) => continue,
            };
            if let Found::Fresh(opened, _) = self.judge(stack, index, &pass, bytes) {
                let call = self.call(Want::Lookup);
                let found = self.cached_from(lead.key_heap_bytes(), lead.checked(), opened, &call);
                return Ok(Some(found.0));
            }
        }
        Ok(None)
    }

    /// Writes what took the place of older bytes to every tier, or removes those where it cannot
    /// be written.
    pub(crate) async fn replace_below(
        &self,
        sealed: Option<Sealed>,
        fence: Fence,
        at: Sequence,
    ) -> Result<()> {
        let Some(stack) = self.stack() else { return Ok(()) };
        match (sealed, fence.into_pass()) {
            (Some(sealed), _pass) => {
                stack.store_and_tell(&self.view.tenant, sealed.into_job()).await
            }
            (None, Some(pass)) => stack.remove(&self.view.tenant, pass, at).await.map(drop),
            (None, None) => Ok(()),
        }
    }

    /// Lets the deepest tier that can decide whether `value` takes the place of `expected`; the
    /// other levels follow. Survives its caller.
    pub(crate) async fn swap_below(
        &self,
        key: K,
        value: V,
        expected: Sequence,
        (options, merit): (Options, Merit),
    ) -> Result<IfVersion<V>> {
        let Some(stack) = self.stack() else {
            return Err(unsupported("memory", "set_if_version"));
        };
        let index = stack.decides()?;
        self.prepare_below().await;
        if !self.is_restored() {
            return Err(stack.not_known());
        }
        let stored = self.view.space.key(&key)?;
        let number = self.number_below().await;
        if let Some(error) = number.failure() {
            return Err(error.clone().operation("set_if_version"));
        }
        let checked = self.view.tenant.epochs.changes();
        let (at, now) = (self.numbered(&number), self.view.clock.now());
        let tags = self.labelled(&key, Vec::new());
        let plan = self.plan(at, checked, now, tags, &options);
        let sealed = stack.pipeline.seal(&stored, &value, &plan, 0, &format_of(&self.view.core))?;
        let entry = self.make_entry(key.heap_bytes(), value, &plan, Some(sealed.plain_len));
        let pass = stack.gates.enter(&stored);
        let expires = plan.dates.expires;
        let job = Arc::new(Job::new(pass, sealed.forms, at, expires));
        let (cache, stack) = (self.clone(), Arc::clone(stack));
        let runtime = stack.runtime.clone();
        let task = runtime.spawn(async move {
            cache.swap_now(&stack, index, key, (entry, merit), &job, expected).await
        });
        joined(task.await)
    }

    async fn swap_now(
        &self,
        stack: &Stack,
        index: usize,
        key: K,
        (entry, merit): (Arc<Entry<V>>, Merit),
        job: &Arc<Job>,
        expected: Sequence,
    ) -> Result<IfVersion<V>> {
        let (tenant, stored) = (&self.view.tenant, job.pass.key());
        if !stack.reserve(tenant, job.version).await {
            return Err(unreserved().operation("set_if_version"));
        }
        let mut swapped = stack.swap(index, job, expected).await;
        if let Ok((Swapped::Changed(version), _)) = swapped
            && expected == Sequence::ZERO
            && self.is_over_below(stack, index, &job.pass, version).await
        {
            // What stands there is no value any more for anybody who reads.
            swapped = stack.swap(index, job, version).await;
        }
        match swapped {
            Ok((Swapped::Stored, _fence)) => {
                let done =
                    self.follow_swap(key, entry, merit, || is_newest(&job.pass, job.version));
                // What the bus did not take it is told later.
                let _ = stack.tell_stored(tenant, std::iter::once(&**job)).await;
                Ok(done)
            }
            Ok((Swapped::Changed(version), _)) => {
                self.drop_other(&key, version);
                stack.drop_others(index, stored, version).await;
                Ok(IfVersion::Changed(version))
            }
            Ok((Swapped::Fenced, _)) => Ok(IfVersion::Removed),
            Ok((Swapped::Refused, _)) => Ok(IfVersion::Refused),
            Err(error) => {
                // Whether it was stored is not known: what is older is not served here.
                self.drop_other(&key, job.version);
                stack.drop_others(index, stored, job.version).await;
                Err(error)
            }
        }
    }

    /// Whether the bytes of this version that a level holds are a miss for everybody: ended,
    /// invalidated, or broken. What this process alone does not believe or cannot read is somebody
    /// else's value.
    async fn is_over_below(
        &self,
        stack: &Stack,
        index: usize,
        pass: &Pass,
        version: Sequence,
    ) -> bool {
        let read = stack.read_confirmed(index, pass.key(), &self.view.tenant).await;
        let Ok(Some(bytes)) = read else { return false };
        // What was expired is older than the number under which it stands.
        let is_same = Header::read(&bytes).is_ok_and(|header| header.sequence <= version);
        is_same
            && match self.weigh(stack, &stack.levels[index].name, pass, &bytes) {
                Ok((_, freshness)) => freshness != Freshness::Fresh,
                Err(error) => error.kind() == ErrorKind::Corrupt,
            }
    }
}

impl Stack {
    /// The level that decides on conditional writes: the deepest shared one that can, or the
    /// deepest that can where no level is shared.
    fn decides(&self) -> Result<usize> {
        let has_shared = self.levels.iter().any(|level| level.is_shared());
        let can = |level: &&super::Level| level.backend.capabilities().swap;
        let found = self
            .levels
            .iter()
            .enumerate()
            .rev()
            .find(|(_, level)| can(level) && (level.is_shared() || !has_shared));
        // Versions of processes that number by themselves do not tell two values apart.
        let is_numbered = !has_shared || self.shared_epochs().is_some();
        let named = || self.levels.last().map_or("", |level| &level.name);
        let index = found.filter(|_| is_numbered).map(|(index, _)| index);
        index.ok_or_else(|| unsupported(named(), "set_if_version"))
    }

    /// Exchanges the value in the level that decides, then writes it to the others. The pass that
    /// comes back keeps what is older away until it is dropped.
    async fn swap(
        &self,
        index: usize,
        job: &Arc<Job>,
        expected: Sequence,
    ) -> Result<(Swapped, Option<Pass>)> {
        let level = &self.levels[index];
        let key = job.pass.key();
        let turn = job.pass.turn.lock().await;
        if !job.pass.admits(job.version) {
            return Ok((Swapped::Fenced, None));
        }
        let Some((bytes, how)) = self.prepare(index, job) else {
            return Ok((Swapped::Refused, None));
        };
        let ctx = OpContext::default();
        let swapped = match level.backend.swap(key, bytes, how, expected, &ctx).await {
            Ok(swapped) => swapped,
            Err(error) => {
                self.debts(index).owe(key, job.version);
                self.failed(index, "swap", key, &error);
                return Err(error.with("tier", &level.name));
            }
        };
        self.answered(index, key);
        if swapped != Swapped::Stored {
            return Ok((swapped, None));
        }
        level.counts.puts.add(1);
        self.note_shown(index, job, true);
        self.debts(index).settle(key, job.version);
        let fence = self.gates.fence(key, job.version);
        drop(turn);
        for other in (0..self.levels.len()).rev().filter(|other| *other != index) {
            // A tier that failed was reported; until it is told, what it still holds is a miss.
            let _ = self.store_in(other, job).await;
        }
        Ok((swapped, Some(fence)))
    }

    /// Takes what the other levels hold of a key away, where the one that decides has another
    /// value, or may have.
    async fn drop_others(&self, index: usize, key: &StoredKey, version: Sequence) {
        for other in (0..self.levels.len()).filter(|other| *other != index) {
            let pass = self.gates.enter(key);
            let _turn = pass.turn.lock().await;
            // A failure was reported, and is owed.
            let _ = self.remove_from(other, key, version).await;
        }
    }
}
