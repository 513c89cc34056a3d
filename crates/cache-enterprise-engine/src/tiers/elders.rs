//! Taking away what is older than a value that did not reach a tier.
//!
//! `remove` takes whatever stands under a key. Whoever was overtaken on the way may meet there the
//! value that overtook it, acknowledged by now: so it looks first, under the key's turn, and leaves
//! what is newer. Between look and removal another process may write all the same; its value is a
//! miss then.

use std::sync::Arc;

use cache_enterprise_core::envelope::Header;
use cache_enterprise_core::{OpContext, Result, Sequence, StoredKey, mutant};

use super::gate::Pass;
use super::stack::{Job, Stack, joined};
use crate::shared::TenantState;

impl Stack {
    /// Removes what is no newer than `at` from every level, deepest first, and tells other
    /// processes. Survives its caller.
    pub(super) async fn remove_elders(
        self: &Arc<Self>,
        tenant: &Arc<TenantState>,
        pass: Pass,
        at: Sequence,
    ) -> Result<()> {
        if self.is_unnumbered(tenant, at) {
            // What is older than that nobody knows.
            return self.remove(tenant, pass, at).await.map(drop);
        }
        let (stack, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let task = self.runtime.spawn(async move {
            stack.reserve(&tenant, at).await;
            let _turn = pass.turn.lock().await;
            let mut result = Ok(());
            for index in (0..stack.levels.len()).rev() {
                result = result.and(stack.remove_elder(index, pass.key(), at).await);
            }
            let told = stack.tell_key(&tenant, pass.key(), at).await;
            told.and(result)
        });
        joined(task.await)
    }

    /// Removes what one level holds under a key, unless it is newer than `at`. Asked under the
    /// key's turn.
    pub(super) async fn remove_elder(
        &self,
        index: usize,
        key: &StoredKey,
        at: Sequence,
    ) -> Result<()> {
        if self.is_comparable(index)
            && self.version_in(index, key, at).await?.is_some_and(|held| held > at)
        {
            self.debts(index).settle(key, at);
            return Ok(());
        }
        self.remove_from(index, key, at).await.map(drop)
    }

    /// What a level refused may have met the number of an `expire`: what was expired is older then
    /// than what did not take its place, and answers nobody any more.
    pub(super) async fn drop_elder(&self, index: usize, job: &Job) -> Result<()> {
        if !self.levels[index].backend.capabilities().swap
            || mutant::breaks("what is refused leaves nothing older")
        {
            return Ok(());
        }
        let key = job.pass.key();
        match self.version_in(index, key, job.version).await? {
            Some(held) if held < job.version => {
                self.remove_from(index, key, job.version).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// The version of the bytes that a level holds under a key, if it holds any that can be read.
    /// A level that does not say owes a removal at `at`.
    async fn version_in(
        &self,
        index: usize,
        key: &StoredKey,
        at: Sequence,
    ) -> Result<Option<Sequence>> {
        match self.levels[index].backend.get(key, &OpContext::default()).await {
            Ok(found) => {
                let header = found.and_then(|bytes| Header::read(&bytes).ok());
                Ok(header.map(|header| header.sequence))
            }
            Err(error) => {
                self.debts(index).owe(key, at);
                self.failed(index, "get", key, &error);
                Err(error)
            }
        }
    }

    /// Whether numbers of this process are those of everybody who writes to the level at `index`.
    pub(super) fn is_comparable(&self, index: usize) -> bool {
        !self.levels[index].is_shared() || self.shared_epochs().is_some()
    }
}
