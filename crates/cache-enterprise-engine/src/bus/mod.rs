//! Between processes: what this one tells, and what it hears.
//!
//! ```text
//! outbox   what is to be told: coalesced, in order, told again until the bus took it
//! ears     what others told: epochs are raised, copies are dropped, loads are detached
//! ```
//!
//! Who acknowledges an invalidation has told the tiers first and the bus then. So a process that
//! hears of it and reads again reads what came after.

mod ears;
mod outbox;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise_core::coherence::{Belief, Bus, Hearing, SourceId};
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Millis, Observer, mutant, saturating_millis};
use hashbrown::HashMap;
use tokio::task::AbortHandle;

pub(crate) use outbox::Outbox;

use crate::cache::Periodic;
use crate::shared::Shared;

/// How long level 1 is believed after the bus was heard last.
pub(crate) const UNSURE_MAX: Duration = Duration::from_secs(1);

/// The bus of one manager.
#[derive(Debug)]
pub(crate) struct Broadcast {
    bus: Arc<dyn Bus>,
    source: SourceId,
    pub(crate) unsure_max: Duration,
    pub(crate) outbox: Arc<Outbox>,
    hearing: Mutex<Hearing>,
    /// Caches by the name they have in stored keys.
    caches: Mutex<HashMap<Box<str>, Heeding>>,
    counts: Counts,
    tasks: Mutex<Vec<AbortHandle>>,
}

/// A cache that heeds notices.
struct Heeding(Arc<dyn Periodic>);

impl std::fmt::Debug for Heeding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a cache")
    }
}

#[derive(Debug, Default)]
struct Counts {
    heard: AtomicU64,
    ignored: AtomicU64,
    lost: AtomicU64,
    doubts: AtomicU64,
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
    /// Times frames were missed that nobody could give any more: level 1 was verified.
    pub lost: u64,
    /// Times the bus was silent for so long that level 1 was doubted.
    pub doubts: u64,
    /// Whether level 1 is in doubt now.
    pub is_in_doubt: bool,
}

impl Broadcast {
    pub(crate) fn new(
        bus: Arc<dyn Bus>,
        manager: &str,
        unsure_max: Duration,
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
            hearing: Mutex::new(Hearing::new(saturating_millis(unsure_max))),
            caches: Mutex::default(),
            counts: Counts::default(),
            tasks: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> String {
        self.bus.name().to_owned()
    }

    /// Starts to tell and to hear; both end with the manager.
    pub(crate) fn start(&self, shared: &Arc<Shared>, runtime: &tokio::runtime::Handle) {
        let ears = runtime.spawn(ears::listen(Arc::downgrade(shared), Arc::clone(&self.bus)));
        let mouth = runtime.spawn(Arc::clone(&self.outbox).run());
        self.tasks.lock().extend([ears.abort_handle(), mouth.abort_handle()]);
    }

    /// Lets notices reach a cache, under the name it has in stored keys.
    pub(crate) fn enlist(&self, name: &str, cache: Arc<dyn Periodic>) {
        self.caches.lock().insert(name.into(), Heeding(cache));
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
            lost: counts.lost.load(Ordering::Relaxed),
            doubts: counts.doubts.load(Ordering::Relaxed),
            is_in_doubt: self.is_in_doubt(),
            ..self.outbox.stats()
        }
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.stop();
    }
}
