//! How a backend comes into a manager: described first, opened when the manager is built.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::coherence::{EpochStore, Lease};
use crate::{Backend, Clock, Result};

/// A backend that was opened for a tier.
#[derive(Clone, Debug)]
pub struct OpenedBackend {
    /// Keeps the bytes.
    pub backend: Arc<dyn Backend>,
    /// Keeps sequence and epochs, when this backend can.
    pub epochs: Option<Arc<dyn EpochStore>>,
    /// Lets one process at a time load a key, when this backend can.
    pub lease: Option<Arc<dyn Lease>>,
}

impl OpenedBackend {
    /// A backend that keeps bytes and nothing else.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, epochs: None, lease: None }
    }

    /// Keeps sequence and epochs as well.
    #[must_use]
    pub fn with_epochs(mut self, epochs: Arc<dyn EpochStore>) -> Self {
        self.epochs = Some(epochs);
        self
    }

    /// Gives leases as well.
    #[must_use]
    pub fn with_lease(mut self, lease: Arc<dyn Lease>) -> Self {
        self.lease = Some(lease);
        self
    }
}

/// An option of a backend as text, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedOption {
    /// Its name, as the backend calls it.
    pub name: String,
    /// Its value; a secret is redacted.
    pub value: String,
    /// Whether nobody chose the value.
    pub is_default: bool,
}

/// A description of a backend, such as a path or an address. A manager's builder takes it and
/// opens it once, before anything else happens.
///
/// ```
/// use async_trait::async_trait;
/// use cache_enterprise_core::{BackendSource, Clock, OpenedBackend, Result};
///
/// #[derive(Debug)]
/// struct Opened(OpenedBackend);
///
/// #[async_trait]
/// impl BackendSource for Opened {
///     async fn open(self: Box<Self>, _: &Clock) -> Result<OpenedBackend> {
///         Ok(self.0)
///     }
/// }
/// ```
#[async_trait]
pub trait BackendSource: fmt::Debug + Send + 'static {
    /// Opens the backend. Its expiry follows `clock`.
    ///
    /// # Errors
    /// What keeps the backend from opening, with the fix where there is one.
    async fn open(self: Box<Self>, clock: &Clock) -> Result<OpenedBackend>;

    /// The options in force, secrets redacted. Called once, before `open`. Default: none to tell.
    fn describe(&self) -> Vec<DescribedOption> {
        Vec::new()
    }
}

#[async_trait]
impl BackendSource for Box<dyn BackendSource> {
    async fn open(self: Box<Self>, clock: &Clock) -> Result<OpenedBackend> {
        (*self).open(clock).await
    }

    fn describe(&self) -> Vec<DescribedOption> {
        (**self).describe()
    }
}

#[async_trait]
impl BackendSource for OpenedBackend {
    async fn open(self: Box<Self>, _: &Clock) -> Result<OpenedBackend> {
        Ok(*self)
    }
}

#[async_trait]
impl<B: Backend> BackendSource for Arc<B> {
    async fn open(self: Box<Self>, _: &Clock) -> Result<OpenedBackend> {
        Ok(OpenedBackend::new(*self))
    }
}

#[async_trait]
impl BackendSource for Arc<dyn Backend> {
    async fn open(self: Box<Self>, _: &Clock) -> Result<OpenedBackend> {
        Ok(OpenedBackend::new(*self))
    }
}
