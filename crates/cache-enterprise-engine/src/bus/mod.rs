//! Between processes: what this one tells, and what it hears.
//!
//! ```text
//! outbox   what is to be told: coalesced, in order, told again until the bus took it
//! ears     what others told: epochs are raised, copies are dropped, loads are detached
//! retold   what they ended, for whoever listens to the events of this process
//! taken    what they told besides: a value for a copy that has to go, a longer life for another
//! ```
//!
//! Who acknowledges an invalidation has told the tiers first and the bus then. So a process that
//! hears of it and reads again reads what came after.

mod ears;
mod outbox;
mod retold;
mod taken;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise_core::coherence::{Belief, Bus, Hearing, SourceId};
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{CacheKey, Millis, Observer, mutant, saturating_millis};
use hashbrown::HashMap;
use tokio::task::AbortHandle;

pub(crate) use outbox::Outbox;
use taken::Taking;

use crate::cache::{CacheCore, Periodic};
use crate::shared::Shared;

/// How long level 1 is believed after the bus was heard last.
pub(crate) const UNSURE_MAX: Duration = Duration::from_secs(1);

/// The bus of one manager.
#[derive(Debug)]
pub(crate) struct Broadcast {
    bus: Arc<dyn Bus>,
    source: SourceId,
    pub(crate) unsure_max: Duration,
    /// Bytes of the largest value that goes along with its notice; 0 for none.
    pub(crate) push_max: usize,
    pub(crate) outbox: Arc<Outbox>,
    hearing: Mutex<Hearing>,
    /// Caches by the name they have in stored keys.
    caches: Mutex<HashMap<Box<str>, Heeding>>,
    counts: Counts,
    tasks: Mutex<Vec<AbortHandle>>,
}

/// A cache that heeds notices.
#[derive(Clone)]
struct Heeding {
    periodic: Arc<dyn Periodic>,
    taking: Arc<dyn Taking>,
}

impl std::fmt::Debug for Heeding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a cache")
    }
}

#[derive(Debug, Default)]
struct Counts {
    heard: AtomicU64,
    ignored: AtomicU64,
    touched: AtomicU64,
    lost: AtomicU64,
    doubts: AtomicU64,
    adopted: AtomicU64,
    extended: AtomicU64,
}

/// Numbers of a manager's bus.
///
/// ```
/// use cache_enterprise_engine::BusStats;
///
/// fn is_lagging(stats: &BusStats) -> bool {
///     stats.waiting > 1_000 || stats.is_in_doubt
/// }
/// # assert!(!is_lagging(&BusStats::default()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusStats {
    /// Frames the bus took from this manager.
    pub frames: u64,
    /// Notices in them.
    pub told: u64,
    /// Notices that wait to be told.
    pub waiting: u64,
    /// Calls of the bus that failed.
    pub failures: u64,
    /// Times more notices waited than are kept: each became the end of a tenant.
    pub overflows: u64,
    /// Notices of other managers that were heeded.
    pub heard: u64,
    /// Frames of this manager itself, heard again.
    pub ignored: u64,
    /// Keys that a bus which watches them said were changed below, by whomever.
    pub touched: u64,
    /// Times frames were missed that nobody could give any more: level 1 was verified.
    pub lost: u64,
    /// Times the bus was silent for so long that level 1 was doubted.
    pub doubts: u64,
    /// Whether level 1 is in doubt now.
    pub is_in_doubt: bool,
    /// Values that went along with notices.
    pub pushed: u64,
    /// Values that were left out because too many waited, or did not fit into a frame.
    pub withheld: u64,
    /// Values of other managers that took the place of a copy in level 1.
    pub adopted: u64,
    /// Copies in level 1 that live on because another manager's load confirmed them.
    pub extended: u64,
}

impl Broadcast {
    pub(crate) fn new(
        bus: Arc<dyn Bus>,
        manager: &str,
        unsure_max: Duration,
        push_max: usize,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let source = match mutant::breaks("each manager tells under a name of its own") {
            true => SourceId(1),
            false => SourceId(crate::builder::entropy_wide()),
        };
        Self {
            outbox: Outbox::new(Arc::clone(&bus), manager, source, observer),
            bus,
            source,
            unsure_max,
            push_max,
            hearing: Mutex::new(Hearing::new(saturating_millis(unsure_max))),
            caches: Mutex::default(),
            counts: Counts::default(),
            tasks: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.bus.name()
    }

    /// Starts to tell and to hear; both end with the manager.
    pub(crate) fn start(&self, shared: &Arc<Shared>, runtime: &tokio::runtime::Handle) {
        let ears = runtime.spawn(ears::listen(Arc::downgrade(shared), Arc::clone(&self.bus)));
        let mouth = runtime.spawn(Arc::clone(&self.outbox).run());
        self.tasks.lock().extend([ears.abort_handle(), mouth.abort_handle()]);
    }

    /// Lets notices reach a cache, under the name it has in stored keys.
    pub(crate) fn enlist<K: CacheKey, V: Send + Sync + 'static>(
        &self,
        name: &str,
        cache: &Arc<CacheCore<K, V>>,
    ) {
        let periodic = Arc::clone(cache) as Arc<dyn Periodic>;
        let taking = Arc::clone(cache) as Arc<dyn Taking>;
        self.caches.lock().insert(name.into(), Heeding { periodic, taking });
    }

    /// The cache that has this name in stored keys.
    fn cache(&self, name: &str) -> Option<Heeding> {
        self.caches.lock().get(name).cloned()
    }

    /// What silence means for level 1 at `now`; called by the ticker.
    pub(crate) fn turn(&self, now: Millis) -> Option<Belief> {
        let belief = self.hearing.lock().turn(now)?;
        if belief == Belief::Doubt {
            if mutant::breaks("a silent bus is doubted") {
                return None;
            }
            self.counts.doubts.fetch_add(1, Ordering::Relaxed);
        }
        Some(belief)
    }

    /// Whether the bus has been silent for too long.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.hearing.lock().is_in_doubt()
    }

    /// Tells what still waits and ends. What could not be told in time is counted.
    pub(crate) async fn end(&self, until: tokio::time::Instant) -> u64 {
        let _ = tokio::time::timeout_at(until, self.outbox.drained()).await;
        self.stop();
        let _ = tokio::time::timeout_at(until, self.bus.close()).await;
        self.outbox.waiting()
    }

    fn stop(&self) {
        self.tasks.lock().drain(..).for_each(|task| task.abort());
    }

    pub(crate) fn stats(&self) -> BusStats {
        let counts = &self.counts;
        BusStats {
            heard: counts.heard.load(Ordering::Relaxed),
            ignored: counts.ignored.load(Ordering::Relaxed),
            touched: counts.touched.load(Ordering::Relaxed),
            lost: counts.lost.load(Ordering::Relaxed),
            doubts: counts.doubts.load(Ordering::Relaxed),
            is_in_doubt: self.is_in_doubt(),
            adopted: counts.adopted.load(Ordering::Relaxed),
            extended: counts.extended.load(Ordering::Relaxed),
            ..self.outbox.stats()
        }
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.stop();
    }
}
