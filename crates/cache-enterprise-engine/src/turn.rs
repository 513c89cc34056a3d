//! Whose turn it is to load a key, among processes that share a tier.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cache_enterprise_core::CacheKey;
use pin_project_lite::pin_project;

use crate::batch_load::Claim;
use crate::flight::Lead;
use crate::read::{Answer, Stale};
use crate::{Held, HeldMany};

/// What asking for the turn came to.
pub(crate) enum Turn<'a, K: CacheKey, V> {
    /// Load, with the right to do so where the tier could give it.
    Load(Lead<'a, K, V>, Option<Arc<Stale<V>>>, Option<Held>),
    /// The flight has landed.
    Answered(Answer<V>),
}

/// What asking for the turns of a batch came to.
pub(crate) struct Turns<'a, K: CacheKey, V> {
    /// Load these now.
    pub(crate) ours: Vec<Claim<'a, K, V>>,
    /// The right to, where the tier could give it.
    pub(crate) held: Option<HeldMany>,
    /// Other processes load these.
    pub(crate) others: Vec<Claim<'a, K, V>>,
}

impl<'a, K: CacheKey, V> Turns<'a, K, V> {
    /// All are to be loaded, and nobody was asked.
    pub(crate) fn ours(ours: Vec<Claim<'a, K, V>>) -> Self {
        Self { ours, held: None, others: Vec::new() }
    }
}

/// Work for which something is kept up while it runs.
pub(crate) type Keeper = Pin<Box<dyn Future<Output = ()> + Send>>;

pin_project! {
    /// Ends with its work.
    pub(crate) struct Beside<F> {
        #[pin]
        work: F,
        keeper: Option<Keeper>,
    }
}

/// Runs `work`, and beside it what is kept up for it.
pub(crate) fn beside<F: Future>(work: F, keeper: Option<Keeper>) -> Beside<F> {
    Beside { work, keeper }
}

impl<F: Future> Future for Beside<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(keeper) = this.keeper
            && keeper.as_mut().poll(cx).is_ready()
        {
            *this.keeper = None;
        }
        this.work.poll(cx)
    }
}
