//! Ending the fresh life of a key in the tiers, which keep the value as a fallback.

use std::sync::Arc;

use cache_enterprise_core::coherence::Change;
use cache_enterprise_core::{NEVER, OpContext, Put, Result, Sequence, StoredKey};

use super::gate::Pass;
use super::stack::{Stack, joined};
use crate::shared::TenantState;

impl Stack {
    /// Ends the fresh life of what every level holds under a key. Survives its caller.
    pub(crate) async fn expire(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        pass: Pass,
        at: Sequence,
    ) -> Result<()> {
        let (stack, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let task = self.runtime.spawn(async move {
            let _turn = pass.turn.lock().await;
            let mut result = Ok(());
            let is_fence = !tenant.epochs.sequence().is_provisional(at);
            for index in (0..stack.levels.len()).rev() {
                let ended = stack.expire_in(index, pass.key(), at, is_fence).await;
                if let Err(error) = &ended {
                    // Until the tier is told, what it holds is a miss: more than was asked for,
                    // but it cannot come back as fresh.
                    stack.debts(index).owe(pass.key(), at);
                    stack.failed(index, "expire", pass.key(), error);
                }
                result = result.and(ended);
            }
            if tenant.epochs.sequence().is_provisional(at) {
                stack.owe_unnumbered(&tenant, std::iter::once(pass.key()));
            }
            let change = Change::Expired { key: pass.key().clone() };
            let told = stack.tell(&tenant, vec![(at, change)]).await;
            result.and(told)
        });
        joined(task.await)
    }

    async fn expire_in(
        &self,
        index: usize,
        key: &StoredKey,
        at: Sequence,
        is_fence: bool,
    ) -> Result<()> {
        let ctx = OpContext::default();
        let Some(bytes) = self.levels[index].backend.get(key, &ctx).await? else {
            // A load that began before, in any process, would arrive as fresh.
            return match is_fence {
                true => self.remove_from(index, key, at).await.map(drop),
                false => Ok(()),
            };
        };
        let Ok(header) = cache_enterprise_core::envelope::Header::read(&bytes) else {
            return Ok(());
        };
        if header.sequence >= at {
            return Ok(());
        }
        let Ok(ended) = self.pipeline.end_freshness(key, &bytes) else { return Ok(()) };
        let expires = header.expires_wall_ms.map_or(NEVER, |wall| self.clock.at_wall(wall));
        let rest = (expires != NEVER).then(|| expires.saturating_sub(self.clock.now()));
        let how = Put { ttl: self.levels[index].life(rest), version: header.sequence };
        self.levels[index].backend.put(key, ended, how, &ctx).await.map(drop)
    }
}
