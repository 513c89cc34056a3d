//! The tiers while they run and when they end: background work, health, numbers, shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_enterprise_core::BackendHealth;
use cache_enterprise_resilience::{BreakerState, CircuitBreaker};

use super::{Level, Stack};
use crate::bus::BusStats;
use crate::manager::{CacheManager, ShutdownReport};
use crate::shared::Shared;

/// How often debts of tiers that answer again are settled.
const SETTLE_EVERY: Duration = Duration::from_millis(500);

/// Debts settled per tier and round.
const SETTLE_MOST: usize = 256;

/// How one level below level 1 feels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelHealth {
    /// Number of the level, from 2; 0 for a backend beside the levels.
    pub level: u8,
    /// Name of its backend; beside the levels the name that calls use.
    pub name: String,
    /// What the backend says; [`BackendHealth::Degraded`] also while its breaker is not closed.
    pub health: BackendHealth,
    /// State of its circuit breaker, the worst of its nodes; `None` without one.
    pub breaker: Option<BreakerState>,
    /// Writes that wait in its queue.
    pub queued: u64,
    /// Removals and values it was not told of yet: what it holds of those keys is a miss.
    pub owed: u64,
}

/// Numbers of one level below level 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierStats {
    /// Number of the level, from 2; 0 for a backend beside the levels.
    pub level: u8,
    /// Name of its backend; beside the levels the name that calls use.
    pub name: String,
    /// Reads it answered with a value that could be served.
    pub hits: u64,
    /// Reads it could not answer, invalid and expired values included.
    pub misses: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Values written, but for those it refused to keep.
    pub puts: u64,
    /// Writes queued behind and not written yet.
    pub behind_queued: u64,
    /// Writes that found the queue full and went through in the caller.
    pub behind_full: u64,
    /// Removals and values it was not told of yet.
    pub debts: u64,
}

/// Starts the background work of a stack; it ends when the stack is dropped.
pub(crate) fn watch(stack: &Arc<Stack>) {
    let weak = Arc::downgrade(stack);
    stack.runtime.spawn(async move {
        loop {
            tokio::time::sleep(SETTLE_EVERY).await;
            let Some(stack) = weak.upgrade() else { return };
            stack.settle_debts(SETTLE_MOST).await;
        }
    });
}

impl Shared {
    /// The walk, then the backends that calls may name.
    pub(super) fn stacks(&self) -> impl Iterator<Item = &Arc<Stack>> {
        let named = self.routes.iter().filter_map(|route| route.stack.as_ref());
        self.stack.iter().chain(named)
    }

    /// Levels of the walk, then backends beside them; a backend that is a level stands there.
    pub(super) fn levels(&self) -> impl Iterator<Item = &Level> {
        let beside = self.routes.iter().filter(|route| !route.is_a_level);
        let beside = beside.filter_map(|route| route.stack.as_ref());
        self.stack.iter().chain(beside).flat_map(|stack| &stack.levels)
    }

    /// As [`levels`](Self::levels), by stack and index.
    fn places(&self) -> impl Iterator<Item = (&Arc<Stack>, usize)> {
        let beside = self.routes.iter().filter(|route| !route.is_a_level);
        let beside = beside.filter_map(|route| route.stack.as_ref());
        let stacks = self.stack.iter().chain(beside);
        stacks.flat_map(|stack| (0..stack.levels.len()).map(move |index| (stack, index)))
    }

    /// Takes over stored epochs and asks each tier once; what fails is told and tried again when
    /// it is needed.
    pub(crate) async fn wake_below(&self) {
        let Some(stack) = &self.stack else { return };
        let tenants: Vec<_> = self.tenants.lock().values().cloned().collect();
        for tenant in tenants {
            if let Err(error) = stack.restore(&tenant).await {
                tracing::warn!(error = %error, "stored epochs are not known; the tiers are skipped");
            }
        }
        for level in self.levels() {
            if let BackendHealth::Down(why) = level.backend.health().await {
                tracing::warn!(tier = %level.name, why, "a tier is down; it is skipped until it answers");
            }
        }
    }

    /// Ends under a number of the store's what ended without one: whoever reads the tiers next
    /// must not find it there.
    async fn tell_owed(&self, until: tokio::time::Instant) {
        let tenants: Vec<_> = self.tenants.lock().values().cloned().collect();
        for tenant in tenants {
            for stack in self.stacks() {
                tenant.marks.ask_at_once();
                let _ = tokio::time::timeout_at(until, stack.tell_owed(&tenant)).await;
            }
        }
    }

    /// Flushes, settles and closes every tier before `deadline` is over. A backend may stand in
    /// two stacks, so that all are done with it before the first is closed.
    pub(crate) async fn end_below(&self, deadline: Duration, report: &mut ShutdownReport) {
        let until = tokio::time::Instant::now() + deadline;
        self.tell_owed(until).await;
        if let Some(broadcast) = &self.broadcast {
            let untold = broadcast.end(until).await;
            if untold > 0 {
                report.failures.push(format!("bus: {untold} notices were not told"));
            }
        }
        for stack in self.stacks() {
            stack.finish(until, report).await;
        }
        for stack in self.stacks() {
            stack.close(until, report).await;
        }
    }
}

impl<C> CacheManager<C> {
    /// How each level below level 1 feels, then each backend beside the levels. Asks the
    /// backends; bounded by their own limits.
    ///
    /// The bus and the store of epochs are no levels and not among them, even where a backend in
    /// the list keeps the epochs. [`bus_stats`](Self::bus_stats) says whether the bus is silent
    /// (`is_in_doubt`), how much waits to be told and how often it failed. A store of epochs that
    /// fails is an event, [`TierFailed`](cache_enterprise_core::Event::TierFailed) of the tier
    /// `epochs`, and while it does no level that others write is believed.
    pub async fn health(&self) -> Vec<LevelHealth> {
        let mut levels = Vec::new();
        for (stack, index) in self.shared.places() {
            let level = &stack.levels[index];
            let breaker = level.breaker.as_ref().map(|breaker| breaker.state());
            let health = match (level.backend.health().await, breaker) {
                (BackendHealth::Up, Some(BreakerState::Open | BreakerState::HalfOpen)) => {
                    BackendHealth::Degraded("its circuit breaker is not closed".to_owned())
                }
                (health, _) => health,
            };
            levels.push(LevelHealth {
                level: level.number,
                name: level.name.clone(),
                health,
                breaker,
                queued: stack.queued(index),
                owed: stack.owed(index),
            });
        }
        levels
    }

    /// The circuit breaker of a level, counted from 2: to look at its circuits, and to open or
    /// close them by hand. `None` for a level without one.
    pub fn breaker(&self, level: u8) -> Option<Arc<CircuitBreaker>> {
        let levels = &self.shared.stack.as_ref()?.levels;
        levels.iter().find(|one| one.number == level)?.breaker.clone()
    }

    /// Numbers of the bus; `None` without one.
    pub fn bus_stats(&self) -> Option<BusStats> {
        self.shared.broadcast.as_ref().map(|broadcast| broadcast.stats())
    }

    /// Numbers of each level below level 1, then of each backend that calls name.
    pub fn tier_stats(&self) -> Vec<TierStats> {
        self.shared.stacks().flat_map(|stack| stack.stats()).collect()
    }
}

impl Stack {
    fn stats(&self) -> impl Iterator<Item = TierStats> {
        self.levels.iter().enumerate().map(|(index, level)| TierStats {
            level: level.number,
            name: level.name.clone(),
            hits: level.counts.hits.sum(),
            misses: level.counts.misses.sum(),
            failures: level.counts.failures.sum(),
            puts: level.counts.puts.sum(),
            behind_queued: self.queued(index),
            behind_full: level.counts.behind_full.sum(),
            debts: self.owed(index),
        })
    }

    /// Writes that wait in the queue of the level at `index`.
    fn queued(&self, index: usize) -> u64 {
        let behind = self.behind[index].as_ref();
        behind.map_or(0, |behind| behind.counts().queued.load(Ordering::Relaxed))
    }

    /// Empties the queues and settles what is owed.
    async fn finish(&self, until: tokio::time::Instant, report: &mut ShutdownReport) {
        for behind in self.behind.iter().flatten() {
            let _ = tokio::time::timeout_at(until, behind.drain()).await;
            let counts = behind.counts();
            report.writes_flushed += counts.flushed.load(Ordering::Relaxed);
            report.writes_lost +=
                counts.queued.load(Ordering::Relaxed) + counts.failed.load(Ordering::Relaxed);
        }
        let _ = tokio::time::timeout_at(until, self.settle_debts(usize::MAX)).await;
    }

    async fn close(&self, until: tokio::time::Instant, report: &mut ShutdownReport) {
        for (index, level) in self.levels.iter().enumerate() {
            let owed = self.owed(index);
            if owed > 0 {
                report.failures.push(format!("{}: {owed} removals were not confirmed", level.name));
            }
            match tokio::time::timeout_at(until, level.backend.close()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => report.failures.push(format!("{}: {error}", level.name)),
                Err(_) => report.failures.push(format!("{}: did not close in time", level.name)),
            }
        }
    }
}
