//! What a cache of another size would hit.

use cache_enterprise_workload::simulate::{Replay, Run, Unit};

use super::Room;
use super::strategy::Strategy;
use crate::failure::Failure;

/// Sizes tried, in steps of about a quarter of the capacity.
const STEPS: [i64; 4] = [-2, 1, 2, 4];

/// How much more, or less, a strategy hits with more room, or less.
#[derive(Debug)]
pub(super) struct Advice<'a> {
    pub(super) strategy: &'a str,
    /// Room more in the unit of the capacity, negative for less, and points of hit ratio more.
    pub(super) changes: Vec<(i64, f64)>,
}

impl<'a> Advice<'a> {
    /// Runs the strategy, which came to `run` with this room, with some sizes around it.
    pub(super) fn on(
        strategy: &'a Strategy,
        run: &Run,
        replay: &Replay,
        room: Room,
    ) -> Result<Self, Failure> {
        let step = step(room);
        let mut changes = Vec::new();
        for times in STEPS {
            let more = step.saturating_mul(times);
            let Some(capacity) = room.capacity.checked_add_signed(more).filter(|room| *room > 0)
            else {
                continue;
            };
            let other = strategy.run(replay, Room { capacity, ..room })?;
            changes.push((more, (run.miss_ratio() - other.miss_ratio()) * 100.0));
        }
        Ok(Self { strategy: strategy.name(), changes })
    }
}

/// About a quarter of the capacity as people would say it: a power of two in bytes; one, two or
/// five with zeros in objects.
fn step(room: Room) -> i64 {
    let quarter = (room.capacity / 4).max(1);
    let step = match room.unit {
        Unit::Bytes => 1 << quarter.ilog2(),
        Unit::Objects => {
            let tens = 10_u64.pow(quarter.ilog10());
            tens * [5, 2, 1].into_iter().find(|digit| digit * tens <= quarter).unwrap_or(1)
        }
    };
    i64::try_from(step).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        let of = |capacity, unit| step(Room { capacity, unit });
        assert_eq!(of(256 << 20, Unit::Bytes), 64 << 20);
        assert_eq!(of(300 << 20, Unit::Bytes), 64 << 20);
        assert_eq!([of(1, Unit::Objects), of(10_000, Unit::Objects)], [1, 2_000]);
        assert_eq!([of(39, Unit::Objects), of(40, Unit::Objects)], [5, 10]);
        assert_eq!(of(u64::MAX, Unit::Bytes), 1 << 61);
    }
}
