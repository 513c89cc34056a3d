//! Ending the fresh life of a key in the tiers, which keep the value as a fallback.

use std::sync::Arc;

use cache_enterprise_core::coherence::Change;
use cache_enterprise_core::envelope::Header;
use cache_enterprise_core::{NEVER, OpContext, Put, Result, Sequence, StoredKey, Swapped, mutant};

use super::gate::Pass;
use super::stack::{Stack, joined};
use crate::shared::TenantState;

/// How often a level is asked to exchange bytes that others write at the same time.
const EXCHANGES_MAX: usize = 3;

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
            stack.reserve(&tenant, at).await;
            let _turn = pass.turn.lock().await;
            let mut result = Ok(());
            let is_numbered = !stack.is_unnumbered(&tenant, at);
            for index in (0..stack.levels.len()).rev() {
                let is_fence = is_numbered && stack.can_fence(index);
                let ended = stack.expire_in(index, pass.key(), at, is_fence).await;
                if let Err(error) = &ended {
                    // Until the tier is told, what it holds is a miss: more than was asked for,
                    // but it cannot come back as fresh.
                    stack.debts(index).owe(pass.key(), at);
                    stack.failed(index, "expire", pass.key(), error);
                }
                result = result.and(ended);
            }
            if !is_numbered {
                stack.owe_unnumbered(&tenant, at, std::iter::once(pass.key()));
            }
            let change = Change::Expired { key: pass.key().clone() };
            let told = stack.tell(&tenant, vec![(at, change)]).await;
            result.and(told)
        });
        joined(task.await)
    }

    /// Whether numbers of this process are those of everybody who writes to the level at `index`,
    /// and it refuses what is older.
    fn can_fence(&self, index: usize) -> bool {
        self.is_comparable(index)
            && self.levels[index].backend.capabilities().fence
            && !mutant::breaks("what began before an expire does not replace what was expired")
    }

    /// Exchanges what a level holds for the same bytes past their life. They stand under the number
    /// of the end, if it `is_fence`: a load that began before, in any process, would arrive as
    /// fresh.
    async fn expire_in(
        &self,
        index: usize,
        key: &StoredKey,
        at: Sequence,
        is_fence: bool,
    ) -> Result<()> {
        let (level, ctx) = (&self.levels[index], OpContext::default());
        let mut stands = Sequence::ZERO;
        for _ in 0..EXCHANGES_MAX {
            let found = level.backend.get(key, &ctx).await?;
            let readable = found.and_then(|bytes| {
                let ended = self.pipeline.end_freshness(key, &bytes).ok()?;
                Some((Header::read(&bytes).ok()?, ended))
            });
            let Some((header, ended)) = readable else { break };
            if header.sequence >= at {
                return Ok(());
            }
            let expires = header.expires_wall_ms.map_or(NEVER, |wall| self.clock.at_wall(wall));
            let rest = (expires != NEVER).then(|| expires.saturating_sub(self.clock.now()));
            let mut how = Put { ttl: level.life(rest), version: header.sequence };
            if !is_fence || !level.backend.capabilities().swap {
                return level.backend.put(key, ended, how, &ctx).await.map(drop);
            }
            how.version = at;
            // What was expired before stands under the number of that end.
            let expected = stands.max(header.sequence);
            match level.backend.swap(key, ended, how, expected, &ctx).await? {
                Swapped::Stored | Swapped::Fenced => return Ok(()),
                Swapped::Changed(version) if version >= at => return Ok(()),
                Swapped::Changed(version) => stands = version,
                Swapped::Refused => break,
            }
        }
        // Nothing that could answer as a fallback is left, or others write faster than it is
        // exchanged.
        match is_fence {
            true => self.remove_from(index, key, at).await.map(drop),
            false => Ok(()),
        }
    }
}
