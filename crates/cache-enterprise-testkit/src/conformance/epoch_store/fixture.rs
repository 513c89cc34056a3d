//! What the author of an epoch store hands to the suite.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cache_enterprise_core::coherence::{EpochRecord, EpochStore, EpochTarget, Sequence};

use crate::conformance::case::{Failure, Verdict};

type Reopened = Pin<Box<dyn Future<Output = Arc<dyn EpochStore>> + Send>>;

/// An empty store under test.
pub struct Fixture {
    pub(super) store: Arc<dyn EpochStore>,
    pub(super) reopen: Option<Arc<dyn Fn() -> Reopened + Send + Sync>>,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Fixture {
    /// A fixture of a store that holds nothing yet.
    pub fn new(store: Arc<dyn EpochStore>) -> Self {
        Self { store, reopen: None, kept: Vec::new() }
    }

    /// How to open the same records again after the store was dropped without a word, as a crash
    /// would. Default: none, and the cases about it are counted as not claimed.
    #[must_use]
    pub fn reopen<R, F>(mut self, reopen: R) -> Self
    where
        R: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Arc<dyn EpochStore>> + Send + 'static,
    {
        self.reopen = Some(Arc::new(move || Box::pin(reopen())));
        self
    }

    /// Keeps something alive for as long as the case runs, such as a temporary directory.
    #[must_use]
    pub fn keep(mut self, kept: impl Any + Send + Sync) -> Self {
        self.kept.push(Arc::new(kept));
        self
    }

    pub(super) async fn load(
        &self,
        tenant: &str,
        newest: Sequence,
    ) -> Result<EpochRecord, Failure> {
        Ok(self.store.load("suite", tenant, newest).await?)
    }

    pub(super) async fn raise(
        &self,
        tenant: &str,
        target: EpochTarget,
        above: Sequence,
    ) -> Result<Sequence, Failure> {
        Ok(self.store.raise("suite", tenant, &[target], above).await?)
    }

    pub(super) async fn reserve(&self, tenant: &str, upto: Sequence) -> Verdict {
        Ok(self.store.reserve("suite", tenant, upto).await?)
    }

    /// Drops the store without closing anything and opens it again.
    pub(super) async fn crash(self) -> Result<Self, Failure> {
        let Self { store, reopen, kept } = self;
        let Some(reopen) = reopen else {
            return Err(Failure(String::from("the fixture cannot reopen the store")));
        };
        drop(store);
        Ok(Self { store: reopen().await, reopen: Some(reopen), kept })
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("store", &self.store)
            .field("can_reopen", &self.reopen.is_some())
            .finish_non_exhaustive()
    }
}
