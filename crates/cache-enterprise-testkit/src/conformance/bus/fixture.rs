//! What the author of a bus hands to the suite.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::coherence::Bus;

use super::MANAGER;
use super::ear::Ear;
use crate::conformance::case::{Failure, Verdict};

type Done = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A bus under test, as two processes see it.
pub struct Fixture {
    pub(super) one: Arc<dyn Bus>,
    pub(super) two: Arc<dyn Bus>,
    pub(super) cut: Option<Arc<dyn Fn(bool) -> Done + Send + Sync>>,
    pub(super) forget: Option<Arc<dyn Fn() -> Done + Send + Sync>>,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Fixture {
    /// Two ends of one bus, on which nobody was before.
    pub fn new(one: Arc<dyn Bus>, two: Arc<dyn Bus>) -> Self {
        Self { one, two, cut: None, forget: None, kept: Vec::new() }
    }

    /// How the second end is cut off (`true`) and joined again. Default: none, and the cases about
    /// it are counted as not tried.
    #[must_use]
    pub fn cut<C, F>(mut self, cut: C) -> Self
    where
        C: Fn(bool) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.cut = Some(Arc::new(move |is_cut| Box::pin(cut(is_cut))));
        self
    }

    /// How the bus forgets every frame of the manager `suite` up to now, as by trimming its log.
    /// Default: none, as with [`cut`](Self::cut).
    #[must_use]
    pub fn forget<C, F>(mut self, forget: C) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.forget = Some(Arc::new(move || Box::pin(forget())));
        self
    }

    /// Keeps something alive for as long as the case runs, such as a server.
    #[must_use]
    pub fn keep(mut self, kept: impl Any + Send + Sync) -> Self {
        self.kept.push(Arc::new(kept));
        self
    }

    pub(super) async fn listen(bus: &Arc<dyn Bus>) -> Result<Ear, Failure> {
        Ok(Ear::new(bus.listen(MANAGER).await?))
    }

    /// Publishes from the first end.
    pub(super) async fn publish(&self, frame: impl Into<Bytes>) -> Verdict {
        Ok(self.one.publish(MANAGER, frame.into()).await?)
    }

    /// Publishes numbered frames from the first end.
    pub(super) async fn publish_all(&self, numbers: std::ops::Range<u32>) -> Verdict {
        for number in numbers {
            self.publish(number.to_le_bytes().to_vec()).await?;
        }
        Ok(())
    }

    pub(super) async fn set_cut(&self, is_cut: bool) {
        self.cut.as_ref().expect("the case needs it")(is_cut).await;
    }

    pub(super) async fn forget_all(&self) {
        self.forget.as_ref().expect("the case needs it")().await;
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("one", &self.one)
            .field("two", &self.two)
            .field("can_cut", &self.cut.is_some())
            .field("can_forget", &self.forget.is_some())
            .finish_non_exhaustive()
    }
}
