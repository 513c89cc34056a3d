//! Time: one coarse reading for the hit path, one wall reading for stored dates.
//!
//! A hit reads a millisecond counter that somebody else writes: the process's ticker thread (in
//! the engine), or a test that moves time by hand. Reading it is one relaxed load. Inside one
//! process every date is in these milliseconds; dates that leave the process are wall time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds on a [`Clock`] since the clock was made. Never goes back.
pub type Millis = u64;

/// The date that never comes.
pub const NEVER: Millis = u64::MAX;

/// Where time comes from. Cloning shares the clock.
///
/// ```
/// use cache_enterprise_core::Clock;
/// use std::time::Duration;
///
/// let clock = Clock::manual();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now() - start, 60_000);
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    now: AtomicU64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Follows the machine; `tick` copies the precise time into `now`.
    System { origin: Instant, wall_at_origin: AtomicI64 },
    /// Moves only by `advance`.
    Manual { wall_at_origin: AtomicI64 },
}

/// Wall time at which a manual clock starts: a fixed date, so that runs repeat.
const MANUAL_WALL_START_MS: i64 = 1_800_000_000_000;

/// Wall time is followed in steps of more than this.
const WALL_SLACK_MS: u64 = 10;

impl Clock {
    /// A clock that follows the machine. Its reading moves when [`tick`](Self::tick) is called.
    pub fn system() -> Self {
        let source = Source::System {
            origin: Instant::now(),
            wall_at_origin: AtomicI64::new(system_wall_ms()),
        };
        Self { shared: Arc::new(Shared { now: AtomicU64::new(0), source }) }
    }

    /// A clock for tests that stands still until [`advance`](Self::advance) moves it.
    pub fn manual() -> Self {
        let source = Source::Manual { wall_at_origin: AtomicI64::new(MANUAL_WALL_START_MS) };
        Self { shared: Arc::new(Shared { now: AtomicU64::new(0), source }) }
    }

    /// The coarse reading in milliseconds: one relaxed load.
    #[inline]
    pub fn now(&self) -> Millis {
        self.shared.now.load(Ordering::Relaxed)
    }

    /// Whether time is moved by hand.
    pub fn is_manual(&self) -> bool {
        matches!(self.shared.source, Source::Manual { .. })
    }

    /// Copies precise time into the coarse reading and returns it. The ticker calls this every
    /// millisecond; on a manual clock it changes nothing.
    pub fn tick(&self) -> Millis {
        match &self.shared.source {
            Source::System { origin, .. } => {
                let now = saturating_millis(origin.elapsed());
                self.shared.now.fetch_max(now, Ordering::Relaxed).max(now)
            }
            Source::Manual { .. } => self.now(),
        }
    }

    /// The precise reading in microseconds, on the same scale: for what is measured off the hit
    /// path, such as the time of a load.
    ///
    /// ```
    /// use cache_enterprise_core::{Clock, ms};
    ///
    /// let clock = Clock::manual();
    /// let begun = clock.micros();
    /// clock.advance(ms(5));
    /// assert_eq!(clock.micros() - begun, 5_000);
    /// ```
    pub fn micros(&self) -> u64 {
        match &self.shared.source {
            Source::System { origin, .. } => {
                u64::try_from(origin.elapsed().as_micros()).unwrap_or(u64::MAX)
            }
            Source::Manual { .. } => self.now().saturating_mul(1_000),
        }
    }

    /// Moves a manual clock forward. A system clock ignores it.
    pub fn advance(&self, by: Duration) {
        if self.is_manual() {
            self.shared.now.fetch_add(saturating_millis(by), Ordering::Relaxed);
        }
    }

    /// Wall time of the coarse reading, in milliseconds since the Unix epoch.
    pub fn wall_ms(&self) -> i64 {
        self.wall_of(self.now())
    }

    /// Wall time of a reading of this clock.
    pub fn wall_of(&self, at: Millis) -> i64 {
        let offset = i64::try_from(at).unwrap_or(i64::MAX);
        self.wall_at_origin().load(Ordering::Relaxed).saturating_add(offset)
    }

    /// The reading of this clock at a wall time; a past date from before the clock reads zero.
    pub fn at_wall(&self, wall_ms: i64) -> Millis {
        let offset = wall_ms.saturating_sub(self.wall_at_origin().load(Ordering::Relaxed));
        u64::try_from(offset).unwrap_or(0)
    }

    /// Takes the machine's wall time over again: it may have been set since, or the machine slept.
    /// Coarse readings are untouched, and so is a manual clock.
    pub fn follow_wall(&self) {
        let Source::System { origin, wall_at_origin } = &self.shared.source else { return };
        let elapsed = i64::try_from(saturating_millis(origin.elapsed())).unwrap_or(i64::MAX);
        let at_origin = system_wall_ms().saturating_sub(elapsed);
        // What rounding to milliseconds makes of the same time is no news.
        if wall_at_origin.load(Ordering::Relaxed).abs_diff(at_origin) > WALL_SLACK_MS {
            wall_at_origin.store(at_origin, Ordering::Relaxed);
        }
    }

    /// Shifts wall time against the monotonic reading: a test plays a jump of the machine's clock.
    /// Coarse readings are untouched.
    pub fn shift_wall(&self, by_ms: i64) {
        self.wall_at_origin().fetch_add(by_ms, Ordering::Relaxed);
    }

    fn wall_at_origin(&self) -> &AtomicI64 {
        match &self.shared.source {
            Source::System { wall_at_origin, .. } | Source::Manual { wall_at_origin } => {
                wall_at_origin
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// A duration in whole milliseconds, rounded up so that a positive duration is never zero, and
/// capped far below overflow.
///
/// ```
/// use cache_enterprise_core::saturating_millis;
/// use std::time::Duration;
///
/// assert_eq!(saturating_millis(Duration::from_nanos(1)), 1);
/// assert_eq!(saturating_millis(Duration::ZERO), 0);
/// assert!(saturating_millis(Duration::MAX) < u64::MAX / 2);
/// ```
pub fn saturating_millis(duration: Duration) -> Millis {
    // In 64 bits: a division of 128 bits would cost more than reading the clock.
    let fraction = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
    duration.as_secs().saturating_mul(1_000).saturating_add(fraction).min(u64::MAX / 4)
}

fn system_wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual();
        let wall = clock.wall_ms();
        assert_eq!(clock.tick(), 0);
        clock.advance(Duration::from_millis(5));
        assert_eq!(clock.now(), 5);
        assert_eq!(clock.wall_ms(), wall + 5);
        assert_eq!(clock.at_wall(wall + 5), 5);
        assert_eq!(clock.at_wall(i64::MIN), 0);
    }

    #[test]
    fn a_wall_jump_leaves_the_monotonic_reading_alone() {
        let clock = Clock::manual();
        clock.advance(Duration::from_secs(1));
        clock.shift_wall(-86_400_000);
        assert_eq!(clock.now(), 1_000);
        assert_eq!(clock.wall_ms(), MANUAL_WALL_START_MS + 1_000 - 86_400_000);
    }

    #[test]
    fn a_system_clock_moves_with_its_ticks_and_never_back() {
        let clock = Clock::system();
        let first = clock.tick();
        let second = clock.tick();
        assert!(second >= first);
        clock.advance(Duration::from_secs(100));
        assert!(clock.now() < 100_000);
    }

    #[test]
    fn wall_time_that_was_set_is_followed_and_rounding_is_not() {
        let clock = Clock::system();
        let before = clock.wall_of(0);
        clock.follow_wall();
        assert_eq!(clock.wall_of(0), before);
        clock.shift_wall(600_000);
        clock.follow_wall();
        assert!(clock.wall_of(0).abs_diff(before) < 60_000);
        let manual = Clock::manual();
        manual.shift_wall(600_000);
        let shifted = manual.wall_ms();
        manual.follow_wall();
        assert_eq!(manual.wall_ms(), shifted);
    }
}
