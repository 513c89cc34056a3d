//! Bringing what was loaded, or confirmed, to the tiers.

use std::sync::Arc;

use cache_enterprise_core::{CacheKey, CacheLevel, Lookup, Millis, Result, Sequence};

use super::below::{Hold, Sealed};
use super::forms::Forms;
use super::lease::Held;
use super::stack::{Job, Stack, joined};
use crate::access::Access;
use crate::cache::Cache;
use crate::read::Stale;
use crate::shared::TenantState;
use crate::write::Plan;

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Writes a loaded value to every tier by its policy, but those that the call passes by.
    pub(crate) async fn fill_below(&self, sealed: Sealed, access: Access, held: Option<Held>) {
        let Some(stack) = self.stack() else { return };
        // The caller has its value; a tier that did not take it was reported as an event.
        let _ = stack.fill(&self.view.tenant, sealed.into_job(), access, held).await;
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
        let Some(hold) = &stale.hold else { return self.seal(key, &stale.value, plan, load_ms) };
        let bytes = stack.pipeline.renew(hold.pass().key(), hold.bytes(), plan);
        let Ok(bytes) = bytes else { return self.seal(key, &stale.value, plan, load_ms) };
        let pass = stack.gates.enter(hold.pass().key());
        let expires = plan.dates.expires;
        Some(Sealed::renewed(Job {
            pass,
            forms: Forms::One(bytes),
            version: plan.version,
            expires,
        }))
    }

    /// Removes what the tiers hold of a value that its origin has no more.
    pub(crate) async fn drop_below(&self, hold: &Hold, at: Sequence) {
        let Some(stack) = self.stack() else { return };
        let pass = stack.gates.enter(hold.pass().key());
        // A tier that failed was reported; what it still holds is past its life.
        let _ = stack.remove(&self.view.tenant, pass, at).await;
    }
}

impl Stack {
    /// Writes a job to every level that `access` writes, deepest first. A level that is passed by
    /// loses what it holds. Survives its caller.
    async fn fill(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        job: Job,
        access: Access,
        held: Option<Held>,
    ) -> Result<()> {
        let (stack, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let task = self.runtime.spawn(async move {
            stack.reserve(&tenant, job.version).await;
            let (job, mut result) = (Arc::new(job), Ok(()));
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
            result
        });
        joined(task.await)
    }
}
