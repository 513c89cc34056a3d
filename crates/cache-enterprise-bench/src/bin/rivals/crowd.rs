//! Callers that are known to have asked.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::watch;

/// Counts callers whose call was polled once: each has then been answered, leads a load or waits
/// for one.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Arc<watch::Sender<usize>>);

impl Crowd {
    /// Runs the call of one caller.
    pub(crate) async fn ask<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        let first = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
        self.0.send_modify(|asked| *asked += 1);
        match first {
            Poll::Ready(output) => output,
            Poll::Pending => call.await,
        }
    }

    /// Waits until this many callers have asked.
    pub(crate) async fn asked(&self, callers: usize) {
        let mut asked = self.0.subscribe();
        asked.wait_for(|asked| *asked >= callers).await.expect("the sender lives in self");
    }
}
