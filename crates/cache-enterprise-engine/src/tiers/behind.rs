//! Writing later: a bounded queue and one task per tier.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use cache_enterprise_core::sync::Mutex;
use tokio::sync::{mpsc, watch};

use super::stack::{Job, Stack, Taken};

/// Keys of values that left a queue, told to other processes together while more wait.
const TOLD_AT_ONCE: usize = 512;

/// The queue of one tier that is written behind.
#[derive(Debug)]
pub(crate) struct Behind {
    /// Taken at shutdown, so that the task ends once the queue is empty.
    queue: Mutex<Option<mpsc::Sender<Arc<Job>>>>,
    counts: Arc<BehindCounts>,
    ended: watch::Receiver<bool>,
}

#[derive(Debug, Default)]
pub(crate) struct BehindCounts {
    pub(crate) queued: AtomicU64,
    pub(crate) flushed: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Behind {
    pub(crate) fn start(
        stack: Weak<Stack>,
        index: usize,
        queue_max: usize,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let (queue, mut jobs) = mpsc::channel::<Arc<Job>>(queue_max.max(1));
        let (ending, ended) = watch::channel(false);
        let counts = Arc::new(BehindCounts::default());
        let told = Arc::clone(&counts);
        runtime.spawn(async move {
            let mut late = Vec::new();
            while let Some(job) = jobs.recv().await {
                let Some(stack) = stack.upgrade() else { break };
                let done = stack.put(index, &job).await;
                let count = if done.is_ok() { &told.flushed } else { &told.failed };
                count.fetch_add(1, Ordering::Relaxed);
                told.queued.fetch_sub(1, Ordering::Relaxed);
                // Whoever heard of the value while it was queued may have read its elder again.
                if matches!(done, Ok(Taken::Kept)) && stack.levels[index].is_shared() {
                    late.push((job.pass.key().clone(), job.version));
                }
                if jobs.is_empty() || late.len() >= TOLD_AT_ONCE {
                    stack.tell_late(std::mem::take(&mut late)).await;
                }
            }
            let _ = ending.send(true);
        });
        Self { queue: Mutex::new(Some(queue)), counts, ended }
    }

    /// Queues a job; gives it back when the queue is full or closed.
    pub(crate) fn push(&self, job: Arc<Job>) -> Result<(), Arc<Job>> {
        let queue = self.queue.lock();
        let Some(queue) = &*queue else { return Err(job) };
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        queue.try_send(job).map_err(|refused| {
            self.counts.queued.fetch_sub(1, Ordering::Relaxed);
            match refused {
                mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job) => {
                    job
                }
            }
        })
    }

    pub(crate) fn counts(&self) -> &BehindCounts {
        &self.counts
    }

    /// Takes no more jobs and waits until the queue is empty.
    pub(crate) async fn drain(&self) {
        drop(self.queue.lock().take());
        let mut ended = self.ended.clone();
        // An error means that the task is gone, which ends the wait as well.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}
