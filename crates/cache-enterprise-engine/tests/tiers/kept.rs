//! A store of epochs that outlives its managers, for one tenant at a time, and hangs when told to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use cache_enterprise_core::coherence::{EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;

/// One record, whatever the tenant.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) record: Mutex<EpochRecord>,
    pub(crate) hangs: AtomicBool,
    pub(crate) reserves_nothing: AtomicBool,
    pub(crate) raises_nothing: AtomicBool,
    pub(crate) calls: AtomicU64,
}

impl Kept {
    async fn enter(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl EpochStore for Kept {
    async fn load(&self, _: &str, _: &str, newest: Sequence) -> Result<EpochRecord> {
        self.enter().await;
        let mut record = self.record.lock();
        record.sequence = record.sequence.max(newest);
        Ok(record.clone())
    }

    async fn raise(
        &self,
        _: &str,
        _: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence> {
        self.enter().await;
        if self.raises_nothing.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the test says so"));
        }
        let mut record = self.record.lock();
        let at = Sequence(record.sequence.max(above).0 + 1);
        record.sequence = at;
        record.epochs.extend(targets.iter().map(|target| (target.clone(), at)));
        Ok(at)
    }

    async fn reserve(&self, _: &str, _: &str, upto: Sequence) -> Result<()> {
        self.enter().await;
        if self.reserves_nothing.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the test says so"));
        }
        let mut record = self.record.lock();
        record.sequence = record.sequence.max(upto);
        Ok(())
    }
}
