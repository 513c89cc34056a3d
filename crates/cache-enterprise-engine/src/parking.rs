//! Waiting for a future on a thread that may block.

use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future, or a call that becomes one, to its end on this thread, parking it while there is nothing to do.
///
/// A manager with level 1 alone needs no more than this. Never call it inside an async task.
///
/// ```
/// assert_eq!(cache_enterprise_engine::block_on(async { 1 + 1 }), 2);
/// ```
pub fn block_on<F: IntoFuture>(work: F) -> F::Output {
    let mut future = pin!(work.into_future());
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A future that runs by itself.
pub(crate) type Detached = Pin<Box<dyn Future<Output = ()> + Send>>;
