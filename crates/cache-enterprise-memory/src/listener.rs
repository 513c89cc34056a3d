//! Telling a listener what left, off every lock.
//!
//! The store puts what leaves into a bounded queue without waiting; one thread of the store's own
//! takes it out and calls the listener. A slow listener fills the queue, then entries go untold
//! and are counted; a writer is never held.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use cache_enterprise_core::{Cached, Entry, Millis, RemovalCause, Scoped};

/// Hears of entries that left level 1 and why, on a thread of its own. It may take its time and
/// may call the cache. Entries that were never taken are not told. Hold the cache weakly in it:
/// a listener that owns its cache keeps it alive for ever.
pub type Listener<K, V> = Arc<dyn Fn(&K, &Cached<V>, RemovalCause) + Send + Sync>;

/// Departures that may wait for the listener; what comes on top is dropped and counted.
pub const LISTENER_QUEUE_MAX: usize = 1_024;

/// The sending end.
pub(crate) struct Teller<K, V> {
    queue: SyncSender<Departure<K, V>>,
    untold: AtomicU64,
}

struct Departure<K, V> {
    key: Scoped<K>,
    entry: Arc<Entry<V>>,
    cause: RemovalCause,
    at: Millis,
}

impl<K, V> Teller<K, V>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Starts the listener's thread, which ends when the teller is dropped. Where the system has
    /// no thread left, every departure counts as untold.
    pub(crate) fn start(listener: Listener<K, V>) -> Self {
        let (queue, departures) = sync_channel(LISTENER_QUEUE_MAX);
        let spawned = thread::Builder::new()
            .name("cache-listener".into())
            .spawn(move || tell_all(&listener, &departures));
        // A failed spawn dropped the receiver: every send will find the queue closed.
        drop(spawned);
        Self { queue, untold: AtomicU64::new(0) }
    }
}

impl<K, V> Teller<K, V> {
    /// Queues a departure; gives it back when it cannot be told.
    pub(crate) fn tell(
        &self,
        key: Scoped<K>,
        entry: Arc<Entry<V>>,
        cause: RemovalCause,
        at: Millis,
    ) -> Option<(Scoped<K>, Arc<Entry<V>>)> {
        match self.queue.try_send(Departure { key, entry, cause, at }) {
            Ok(()) => None,
            Err(TrySendError::Full(untold) | TrySendError::Disconnected(untold)) => {
                self.untold.fetch_add(1, Ordering::Relaxed);
                Some((untold.key, untold.entry))
            }
        }
    }

    pub(crate) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }
}

fn tell_all<K, V>(listener: &Listener<K, V>, departures: &Receiver<Departure<K, V>>) {
    while let Ok(Departure { key, entry, cause, at }) = departures.recv() {
        let value = Cached::new(entry, at);
        // The listener is foreign code: its panic costs this one call, not those that follow.
        let _ = catch_unwind(AssertUnwindSafe(|| listener(&key.key, &value, cause)));
    }
}

impl<K, V> fmt::Debug for Teller<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller").field("untold", &self.untold()).finish_non_exhaustive()
    }
}
