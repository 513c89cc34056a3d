//! What the author of a backend hands to the suite.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cache_enterprise_core::{Backend, Clock};

type Reopened = Pin<Box<dyn Future<Output = Arc<dyn Backend>> + Send>>;

/// A backend under test with what the suite needs to know about it.
///
/// The backend must be empty and have room for 32 MiB of values: the suite takes every eviction
/// for a loss. Where the size of a value has a limit, open it with one of at most 8 MiB: cases make
/// values of that size and above it.
pub struct Fixture {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) clock: Option<Clock>,
    pub(super) reopen: Option<Arc<dyn Fn() -> Reopened + Send + Sync>>,
    pub(super) too_large: Option<usize>,
    pub(super) kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Fixture {
    /// A fixture of a backend whose entries end by the machine's clock.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, clock: None, reopen: None, too_large: None, kept: Vec::new() }
    }

    /// The manual clock that ends the backend's entries. With it lives are checked to the
    /// millisecond; without it only short lives are, by asking until they have ended. Default:
    /// none.
    ///
    /// # Panics
    /// When the clock is not manual.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        assert!(clock.is_manual(), "the clock of a fixture is moved by hand");
        self.clock = Some(clock);
        self
    }

    /// How to open the same entries again after the backend was closed. Required of a backend
    /// that claims to be durable. Default: none.
    #[must_use]
    pub fn reopen<R, F>(mut self, reopen: R) -> Self
    where
        R: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Arc<dyn Backend>> + Send + 'static,
    {
        self.reopen = Some(Arc::new(move || Box::pin(reopen())));
        self
    }

    /// A value of this many bytes is refused, by a backend whose limit hangs on its budget and which
    /// claims none. Default: one byte over the limit it claims, if it claims one.
    #[must_use]
    pub fn too_large(mut self, bytes: usize) -> Self {
        self.too_large = Some(bytes);
        self
    }

    /// Keeps something alive for as long as the case runs, such as a temporary directory.
    #[must_use]
    pub fn keep(mut self, kept: impl Any + Send + Sync) -> Self {
        self.kept.push(Arc::new(kept));
        self
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("backend", &self.backend)
            .field("clock", &self.clock)
            .field("can_reopen", &self.reopen.is_some())
            .field("too_large", &self.too_large)
            .finish_non_exhaustive()
    }
}
