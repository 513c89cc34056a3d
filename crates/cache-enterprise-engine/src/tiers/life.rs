//! The tiers while they run and when they end: background work, health, numbers, shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_enterprise_core::BackendHealth;
use cache_enterprise_resilience::BreakerState;

use super::Stack;
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
    /// Number of the level, from 2.
    pub level: u8,
    /// Name of its backend.
    pub name: String,
    /// What the backend says; [`BackendHealth::Degraded`] also while its breaker is not closed.
    pub health: BackendHealth,
}

/// Numbers of one level below level 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierStats {
    /// Number of the level, from 2.
    pub level: u8,
    /// Name of its backend.
    pub name: String,
    /// Reads it answered with a value that could be served.
    pub hits: u64,
    /// Reads it could not answer, invalid and expired values included.
    pub misses: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Values written.
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
        for level in &stack.levels {
            if let BackendHealth::Down(why) = level.backend.health().await {
                tracing::warn!(tier = %level.name, why, "a tier is down; it is skipped until it answers");
            }
        }
    }

    /// Flushes, settles and closes every tier before `deadline` is over.
    pub(crate) async fn end_below(&self, deadline: Duration, report: &mut ShutdownReport) {
        let Some(stack) = &self.stack else { return };
        let until = tokio::time::Instant::now() + deadline;
        stack.end(until, report).await;
    }
}

impl<C> CacheManager<C> {
    /// How each level below level 1 feels. Asks the backends; bounded by their own limits.
    pub async fn health(&self) -> Vec<LevelHealth> {
        let Some(stack) = &self.shared.stack else { return Vec::new() };
        let mut levels = Vec::with_capacity(stack.levels.len());
        for level in &stack.levels {
            let breaker = level.breaker.as_ref().map(|breaker| breaker.state());
            let health = match (level.backend.health().await, breaker) {
                (BackendHealth::Up, Some(BreakerState::Open | BreakerState::HalfOpen)) => {
                    BackendHealth::Degraded("its circuit breaker is not closed".to_owned())
                }
                (health, _) => health,
            };
            levels.push(LevelHealth { level: level.number, name: level.name.clone(), health });
        }
        levels
    }

    /// Numbers of each level below level 1.
    pub fn tier_stats(&self) -> Vec<TierStats> {
        let Some(stack) = &self.shared.stack else { return Vec::new() };
        let stats = |(index, level): (usize, &super::Level)| TierStats {
            level: level.number,
            name: level.name.clone(),
            hits: level.counts.hits.sum(),
            misses: level.counts.misses.sum(),
            failures: level.counts.failures.sum(),
            puts: level.counts.puts.sum(),
            behind_queued: stack.behind[index]
                .as_ref()
                .map_or(0, |behind| behind.counts().queued.load(Ordering::Relaxed)),
            behind_full: level.counts.behind_full.sum(),
            debts: stack.debts(index).len(),
        };
        stack.levels.iter().enumerate().map(stats).collect()
    }
}

impl Stack {
    async fn end(&self, until: tokio::time::Instant, report: &mut ShutdownReport) {
        for behind in self.behind.iter().flatten() {
            let _ = tokio::time::timeout_at(until, behind.drain()).await;
            let counts = behind.counts();
            report.writes_flushed += counts.flushed.load(Ordering::Relaxed);
            report.writes_lost +=
                counts.queued.load(Ordering::Relaxed) + counts.failed.load(Ordering::Relaxed);
        }
        let _ = tokio::time::timeout_at(until, self.settle_debts(usize::MAX)).await;
        for (index, level) in self.levels.iter().enumerate() {
            let owed = self.debts(index).len();
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
