//! The disk fails, then hangs, then answers again, while the load goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_enterprise::ErrorKind;
use cache_enterprise::core::BackendHealth;
use cache_enterprise_testkit::chaos::Mode;

use super::load::Gauge;
use super::world::World;

const FAILS_FOR: Duration = Duration::from_millis(500);
const HANGS_FOR: Duration = Duration::from_millis(2_200);
const REQUESTS_MIN: u64 = 1_000;
const RECOVERY_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// When things happened; what callers saw is counted by the callers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outage {
    pub(crate) failed_for: Duration,
    pub(crate) hung_for: Duration,
    /// Requests answered while every call to the disk hung.
    pub(crate) answered_while_hung: u64,
    /// From the first healthy answer that was possible to the level being used again.
    pub(crate) recovered_in: Option<Duration>,
    /// Calls to the disk that were spoiled.
    pub(crate) spoiled_calls: u64,
}

/// Plays the outage, from now until the level is back in use.
pub(crate) async fn play(world: &Arc<World>, gauge: &Gauge) -> Outage {
    let spoiled_before = world.chaos.all_faults();
    gauge.begin_outage();
    world.chaos.set(Mode::Fail(ErrorKind::Unavailable));
    let failed_for = last(gauge, FAILS_FOR, 1).await.0;
    world.chaos.set(Mode::Hang);
    let (hung_for, answered_while_hung) = last(gauge, HANGS_FOR, REQUESTS_MIN).await;
    world.chaos.set(Mode::Healthy);
    gauge.end_outage();
    Outage {
        failed_for,
        hung_for,
        answered_while_hung,
        recovered_in: recover(world).await,
        spoiled_calls: world.chaos.all_faults() - spoiled_before,
    }
}

/// Waits for so long and for so many answers, whichever comes later.
async fn last(gauge: &Gauge, at_least: Duration, answers_min: u64) -> (Duration, u64) {
    let (begun, before) = (Instant::now(), gauge.answered());
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let answers = gauge.answered() - before;
        if begun.elapsed() >= at_least && answers >= answers_min {
            return (begun.elapsed(), answers);
        }
    }
}

/// Waits until the level is in use again. Writes it missed are settled in the background, and at
/// shutdown at the latest; its older copies are not believed meanwhile.
async fn recover(world: &Arc<World>) -> Option<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < RECOVERY_MAX {
        let health = world.manager.health().await;
        if health.iter().all(|level| level.health == BackendHealth::Up) {
            return Some(begun.elapsed());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}
