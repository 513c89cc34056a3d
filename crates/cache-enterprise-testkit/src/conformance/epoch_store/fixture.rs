//! What the author of an epoch store hands to the suite.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cache_enterprise_core::coherence::{EpochMark, EpochRecord, EpochStore, EpochTarget, Sequence};

use crate::conformance::case::{Failure, Verdict};

type Opened = Pin<Box<dyn Future<Output = Arc<dyn EpochStore>> + Send>>;
type Open = Arc<dyn Fn() -> Opened + Send + Sync>;
type Harm = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// An empty store under test.
pub struct Fixture {
    pub(super) store: Arc<dyn EpochStore>,
    pub(super) reopen: Option<Open>,
    pub(super) another: Option<Open>,
    pub(super) lose: Option<Harm>,
    pub(super) restart: Option<Harm>,
    pub(super) set_back: Option<Harm>,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Fixture {
    /// A fixture of a store that holds nothing yet.
    pub fn new(store: Arc<dyn EpochStore>) -> Self {
        Self {
            store,
            reopen: None,
            another: None,
            lose: None,
            restart: None,
            set_back: None,
            kept: Vec::new(),
        }
    }

    /// How to open the same records again after the store was dropped without a word, as a crash
    /// would. Default: none, and the cases about it are counted as not tried; so with all below.
    #[must_use]
    pub fn reopen<R, F>(mut self, reopen: R) -> Self
    where
        R: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Arc<dyn EpochStore>> + Send + 'static,
    {
        self.reopen = Some(Arc::new(move || Box::pin(reopen())));
        self
    }

    /// How another process reaches the same records while the first goes on. Default: none.
    #[must_use]
    pub fn another<R, F>(mut self, another: R) -> Self
    where
        R: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Arc<dyn EpochStore>> + Send + 'static,
    {
        self.another = Some(Arc::new(move || Box::pin(another())));
        self
    }

    /// How the record of the tenant `acme` of the manager `suite` is deleted behind the store's
    /// back. Default: none.
    #[must_use]
    pub fn lose<R, F>(mut self, lose: R) -> Self
    where
        R: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.lose = Some(Arc::new(move || Box::pin(lose())));
        self
    }

    /// How all records and counters are lost, as by a restart of a server that keeps nothing.
    /// Returns when the store can be reached again. Default: none.
    #[must_use]
    pub fn restart<R, F>(mut self, restart: R) -> Self
    where
        R: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.restart = Some(Arc::new(move || Box::pin(restart())));
        self
    }

    /// How the counter that gives the numbers of `acme` is set back to 1. Default: none.
    #[must_use]
    pub fn set_back<R, F>(mut self, set_back: R) -> Self
    where
        R: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.set_back = Some(Arc::new(move || Box::pin(set_back())));
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
        let Self { store, reopen, .. } = self;
        let reopen = reopen.expect("the case needs it");
        drop(store);
        Ok(Self { store: reopen().await, reopen: Some(reopen), ..self })
    }

    /// The client of another process.
    pub(super) async fn other(&self) -> Arc<dyn EpochStore> {
        self.another.as_ref().expect("the case needs it")().await
    }

    /// Number for a key of `acme`, above what the caller saw.
    pub(super) async fn next(&self, above: Sequence) -> Result<Sequence, Failure> {
        Ok(self.store.next("suite", "acme", above).await?)
    }

    pub(super) async fn mark(&self, tenant: &str) -> Result<EpochMark, Failure> {
        Ok(self.store.mark("suite", tenant).await?)
    }

    pub(super) async fn harm(harm: &Option<Harm>) {
        harm.as_ref().expect("the case needs it")().await;
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
