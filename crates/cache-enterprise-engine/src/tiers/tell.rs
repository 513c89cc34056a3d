//! What other processes are told: what ended here, what took its place, and what lives on.
//!
//! What ended is told after the tiers, so that whoever hears of it and reads again reads what came
//! after. A value goes along with its notice only if others could read it from a tier by then: a
//! push saves them that read, and gives them nothing that they could not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use cache_enterprise_core::coherence::{Change, Notice};
use cache_enterprise_core::{Result, Sequence, StoredKey, mutant, unescaped};

use super::stack::{Job, Stack};
use crate::shared::TenantState;

/// What became of a job in the levels that other processes read.
#[derive(Debug, Default)]
pub(crate) struct Shown(AtomicU8);

const TAKEN: u8 = 1;
const REFUSED: u8 = 2;

impl Shown {
    /// Notes whether a shared level keeps the job's bytes now.
    pub(super) fn note(&self, is_taken: bool) {
        self.0.fetch_or(if is_taken { TAKEN } else { REFUSED }, Ordering::Relaxed);
    }

    /// Whether others find the bytes in a shared level, and no such level has something newer.
    fn is_shown(&self) -> bool {
        self.0.load(Ordering::Relaxed) == TAKEN || mutant::breaks("what no tier took is not pushed")
    }
}

impl Stack {
    /// Whether other processes are told of what ends here.
    pub(super) fn has_bus(&self) -> bool {
        self.broadcast.is_some()
    }

    /// Tells other processes that a key was removed or replaced.
    pub(super) async fn tell_key(
        &self,
        tenant: &TenantState,
        key: &StoredKey,
        at: Sequence,
    ) -> Result<()> {
        self.tell_keys(tenant, std::iter::once((at, key))).await
    }

    /// As [`tell_key`](Self::tell_key), of several.
    pub(super) async fn tell_keys<'a>(
        &self,
        tenant: &TenantState,
        keys: impl Iterator<Item = (Sequence, &'a StoredKey)>,
    ) -> Result<()> {
        if !self.has_bus() {
            return Ok(());
        }
        let changes = keys.map(|(at, key)| (at, Change::Key { key: key.clone(), value: None }));
        self.tell(tenant, changes.collect()).await
    }

    /// Tells other processes what the tiers were just given, with small values where that is
    /// wanted.
    pub(super) async fn tell_stored<'a>(
        &self,
        tenant: &TenantState,
        jobs: impl Iterator<Item = &'a Job>,
    ) -> Result<()> {
        let Some(broadcast) = &self.broadcast else { return Ok(()) };
        let change = |job: &Job| {
            let (key, value) = (job.pass.key().clone(), pushed(job, broadcast.push_max));
            (job.version, Change::Key { key, value })
        };
        self.tell(tenant, jobs.map(change).collect()).await
    }

    /// Tells other processes what changed, and waits until the bus took it. A number that the
    /// store did not give says nothing to them: whatever they hold is ended.
    pub(crate) async fn tell(
        &self,
        tenant: &TenantState,
        changes: Vec<(Sequence, Change)>,
    ) -> Result<()> {
        let Some(broadcast) = &self.broadcast else { return Ok(()) };
        let sequence = tenant.epochs.sequence();
        let notice = |(at, change): (Sequence, Change)| {
            let at = if sequence.is_provisional(at) { Sequence::MAX } else { at };
            Notice { tenant: Arc::clone(&tenant.name), at, change }
        };
        broadcast.outbox.tell(changes.into_iter().map(notice).collect()).await
    }

    /// Tells other processes that a value lives on. Nobody waits for it: who does not hear of it
    /// lets go of a copy that could have stayed.
    pub(super) fn tell_confirmed(&self, tenant: &TenantState, at: Sequence, change: Change) {
        let Some(broadcast) = &self.broadcast else { return };
        if !tenant.epochs.sequence().is_provisional(at) {
            broadcast.outbox.post(Notice { tenant: Arc::clone(&tenant.name), at, change });
        }
    }

    /// Tells other processes once more of what a tier they share was told late: since they heard
    /// of it they may have taken up again what the tier still held.
    pub(super) async fn tell_late(&self, late: Vec<(StoredKey, Sequence)>) {
        let Some(broadcast) = &self.broadcast else { return };
        if late.is_empty() || mutant::breaks("what a tier was told late is told again") {
            return;
        }
        let notice = |(key, at): (StoredKey, Sequence)| {
            let tenant = unescaped(key.tenant()).into();
            Notice { tenant, at, change: Change::Key { key, value: None } }
        };
        // What the bus does not take stays in its line.
        let _ = broadcast.outbox.tell(late.into_iter().map(notice).collect()).await;
    }
}

/// The bytes that go along with the notice of a job, if there are any of at most so many.
fn pushed(job: &Job, push_max: usize) -> Option<Bytes> {
    if mutant::breaks("a small value goes along with its notice") {
        return None;
    }
    let bytes = job.forms.smallest();
    let is_newest = job.pass.admits(job.version) && !job.pass.has_ended(job.version);
    (bytes.len() <= push_max && is_newest && job.shown.is_shown()).then(|| bytes.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_once_a_level_took_them_and_while_none_refused() {
        let shown = Shown::default();
        assert!(!shown.is_shown(), "nobody has them yet");
        shown.note(true);
        assert!(shown.is_shown());
        shown.note(false);
        shown.note(true);
        assert!(!shown.is_shown(), "one level has something newer");
    }
}
