//! Bringing what was loaded, or confirmed, to the tiers.

use std::sync::Arc;

use cache_enterprise_core::coherence::Change;
use cache_enterprise_core::{
    CacheKey, CacheLevel, Lookup, Millis, NEVER, Result, Sequence, StoredKey,
};

use super::below::Sealed;
use super::forms::Forms;
use super::lease::Held;
use super::stack::{Job, Stack, joined};
use crate::access::Access;
use crate::cache::Cache;
use crate::read::Stale;
use crate::shared::TenantState;
use crate::write::Plan;

/// Longest etag that other processes are told.
const ETAG_TOLD_MAX: usize = 512;

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Writes a loaded value to every tier by its policy, but those that the call passes by.
    pub(crate) async fn fill_below(&self, sealed: Sealed, access: Access, held: Option<Held>) {
        let Some(stack) = self.stack() else { return };
        // The caller has its value; a tier that did not take it was reported as an event.
        let (job, life) = sealed.into_parts();
        let _ = stack.fill(&self.view.tenant, (job, life), access, held).await;
    }

    /// A confirmed value for the tiers: the bytes that one of them gave, with other dates. What is
    /// not in a tier is sealed anew.
    pub(crate) fn seal_renewed<Q: Lookup<K> + ?Sized>(
        &self,
        key: &Q,
        stale: &Stale<V>,
        plan: &Plan,
        load_ms: Millis,
    ) -> Option<Sealed> {
        let stack = self.stack()?;
        let sealed = match &stale.hold {
            Some(hold) if !self.view.tenant.epochs.sequence().is_provisional(plan.version) => {
                let bytes = stack.pipeline.renew(hold.pass().key(), hold.bytes(), plan).ok();
                bytes.map(|bytes| {
                    let pass = stack.gates.enter(hold.pass().key());
                    let forms = Forms::One(bytes);
                    Sealed::renewed(Job::new(pass, forms, plan.version, plan.dates.expires))
                })
            }
            _ => None,
        };
        let sealed = sealed.or_else(|| self.seal(key, &stale.value, plan, load_ms))?;
        let life = stack.has_bus().then(|| extended(stack, sealed.key(), plan)).flatten();
        Some(sealed.confirming(life))
    }

    /// Removes what the tiers hold of a value that its origin has no more.
    pub(crate) async fn drop_below<Q: Lookup<K> + ?Sized>(&self, key: &Q, at: Sequence) {
        let Some(stack) = self.stack() else { return };
        let Ok(stored) = self.view.space.key(&key.to_key()) else { return };
        // A tier that failed was reported; until it is told, what it still holds is a miss.
        let _ = stack.remove(&self.view.tenant, stack.gates.enter(&stored), at).await;
    }

    /// As [`drop_below`](Self::drop_below) for several keys, those of one number together.
    /// Survives its caller.
    pub(crate) async fn drop_below_many(&self, mut gone: Vec<(Sequence, K)>) {
        let Some(stack) = self.stack() else { return };
        gone.sort_by_key(|(at, _)| *at);
        let enter = |key: &K| self.view.space.key(key).ok().map(|key| stack.gates.enter(&key));
        let removals: Vec<(Sequence, Vec<_>)> = gone
            .chunk_by(|(left, _), (right, _)| left == right)
            .map(|gone| (gone[0].0, gone.iter().filter_map(|(_, key)| enter(key)).collect()))
            .collect();
        let (stack, tenant) = (Arc::clone(stack), Arc::clone(&self.view.tenant));
        let runtime = stack.runtime.clone();
        let task = runtime.spawn(async move {
            for (at, passes) in removals {
                // A tier that failed was reported; until it is told, what it holds is a miss.
                let _ = stack.remove_many(&tenant, passes, at).await;
            }
        });
        // Lost with its runtime alone.
        let _ = task.await;
    }
}

/// What other processes are told of a value that its origin confirmed. Where the origin gave it no
/// etag nobody can tell that their copy is the same: two loads may have one version.
fn extended(stack: &Stack, key: &StoredKey, plan: &Plan) -> Option<Change> {
    let etag = plan.etag.as_deref().filter(|etag| etag.len() <= ETAG_TOLD_MAX)?;
    let wall = |at: Millis| (at != NEVER).then(|| stack.clock.wall_of(at));
    Some(Change::Extended {
        key: key.clone(),
        etag: etag.into(),
        from_wall_ms: stack.clock.wall_of(plan.dates.created),
        until_wall_ms: wall(plan.dates.fresh_until),
        expires_wall_ms: wall(plan.dates.expires),
    })
}

impl Stack {
    /// Writes a job to every level that `access` writes, deepest first. A level that is passed by
    /// loses what it holds. Survives its caller.
    async fn fill(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        (mut job, life): (Job, Option<Change>),
        access: Access,
        held: Option<Held>,
    ) -> Result<()> {
        let (stack, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let task = self.runtime.spawn(async move {
            let mut result = stack.reserve_for(&tenant, std::iter::once(&mut job)).await;
            let job = Arc::new(job);
            for (index, level) in stack.levels.iter().enumerate().rev() {
                let number = CacheLevel::numbered(level.number);
                let filled = if number.is_some_and(|number| !access.writes(number)) {
                    let _turn = job.pass.turn.lock().await;
                    stack.remove_from(index, job.pass.key(), job.version).await.map(drop)
                } else if let Some(held) = held.as_ref().filter(|held| held.index == index) {
                    stack.put_as(index, &job, Some(held)).await.map(drop)
                } else {
                    stack.store_in(index, &job).await.map(drop)
                };
                result = result.and(filled);
            }
            // The value is there before anybody else may load.
            drop(held);
            if let Some(life) = life {
                stack.tell_confirmed(&tenant, job.version, life);
            }
            result
        });
        joined(task.await)
    }
}
