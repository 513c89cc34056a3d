//! A level fails, then hangs, then answers again, while the load goes on. Before and after, or all
//! the time where none is broken on purpose, the levels are watched: somebody may end a server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::load::Gauge;
use super::spoiler::Spoiler;
use super::world::World;

const FAILS_FOR: Duration = Duration::from_millis(500);
const HANGS_FOR: Duration = Duration::from_millis(2_200);
const REQUESTS_MIN: u64 = 1_000;
const RECOVERY_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// When things happened; what callers saw is counted by the callers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outage {
    /// What was done to a level on purpose.
    pub(crate) played: Option<Played>,
    /// Which levels were away by themselves.
    pub(crate) seen: Seen,
}

/// An outage on purpose.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    /// Number of the level.
    pub(crate) level: u8,
    pub(crate) failed_for: Duration,
    pub(crate) hung_for: Duration,
    /// Requests answered while every call to the level hung.
    pub(crate) answered_while_hung: u64,
    /// From the first healthy answer that was possible to the level being used again.
    pub(crate) recovered_in: Option<Duration>,
    /// What was spoiled: how many, and of what.
    pub(crate) toll: (u64, &'static str),
}

/// Outages that came by themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Numbers of the levels that were away.
    pub(crate) levels: BTreeSet<u8>,
    /// How long at least one was.
    pub(crate) away_for: Duration,
    /// Since when one is away, as of the last look.
    since: Option<Instant>,
}

impl Seen {
    /// Whether a level was still away at the last look.
    pub(crate) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// Counts what is away until now; nobody looks again.
    pub(crate) fn end(&mut self) {
        self.away_for += self.since.map_or(Duration::ZERO, |since| since.elapsed());
    }
}

impl Outage {
    /// Numbers of all levels that were away.
    pub(crate) fn levels(&self) -> BTreeSet<u8> {
        self.played.iter().map(|played| played.level).chain(self.seen.levels.clone()).collect()
    }
}

/// Breaks a level, from now until it is back in use.
pub(crate) async fn play(world: &World, level: u8, spoiler: &Spoiler, gauge: &Gauge) -> Played {
    let toll_before = spoiler.toll();
    gauge.begin_outage(level);
    spoiler.fail();
    let failed_for = last(gauge, FAILS_FOR, 1).await.0;
    spoiler.hang();
    let (hung_for, answered_while_hung) = last(gauge, HANGS_FOR, REQUESTS_MIN).await;
    let toll = spoiler.toll() - toll_before;
    spoiler.heal();
    gauge.end_outage();
    Played {
        level,
        failed_for,
        hung_for,
        answered_while_hung,
        recovered_in: recover(world, level).await,
        toll: (toll, spoiler.toll_name()),
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
async fn recover(world: &World, level: u8) -> Option<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < RECOVERY_MAX {
        if !world.away().await.contains(&level) {
            return Some(begun.elapsed());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}

/// Looks at the levels until `is_done`, at least once; tells callers while one is away, and notes
/// it in `seen`.
pub(crate) async fn watch(
    world: &World,
    gauge: &Gauge,
    seen: &mut Seen,
    is_done: impl Fn() -> bool,
) {
    loop {
        let away = world.away().await;
        match (away.first(), seen.since) {
            (Some(level), _) => {
                seen.since.get_or_insert_with(Instant::now);
                gauge.begin_outage(*level);
            }
            (None, Some(since)) => {
                seen.away_for += since.elapsed();
                seen.since = None;
                gauge.end_outage();
            }
            (None, None) => {}
        }
        seen.levels.extend(away);
        if is_done() {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
