//! `cachectl simulate`: recorded requests through eviction strategies, and what more memory would
//! bring.

mod advice;
mod report;
mod strategy;

use cache_enterprise::core::MIB;
use cache_enterprise_workload::simulate::{Replay, Run, Unit, opt};

use self::advice::Advice;
use self::strategy::Strategy;
use crate::args::SimulateArgs;
use crate::failure::Failure;
use crate::say;

/// The part of all objects that the cache holds where nothing else is asked for.
const DEFAULT_PART: u64 = 10;

/// What a cache may hold, and in which unit.
#[derive(Clone, Copy, Debug)]
struct Room {
    capacity: u64,
    unit: Unit,
}

/// What was found out.
#[derive(Debug)]
struct Findings<'a> {
    replay: &'a Replay,
    room: Room,
    /// Strategies by hit ratio, the best first.
    runs: Vec<(&'a str, Run)>,
    /// Perfect foresight, where every object counts as one.
    best: Option<Run>,
    advice: Advice<'a>,
}

pub(crate) fn run(options: &SimulateArgs) -> Result<(), Failure> {
    let strategies = match options.strategy.as_slice() {
        [] => Strategy::all()?,
        names => Strategy::named(names)?,
    };
    let replay = Replay::open_all(&options.files)?;
    let room = room(options, &replay)?;
    let mut runs = Vec::new();
    for strategy in &strategies {
        runs.push((strategy, strategy.run(&replay, room)?));
    }
    runs.sort_by_key(|(_, run)| run.misses);
    let Some((winner, won)) = runs.first() else {
        return Err(Failure::input("no strategy was named"));
    };
    let findings = Findings {
        replay: &replay,
        room,
        advice: Advice::on(winner, won, &replay, room)?,
        best: match (room.unit, usize::try_from(room.capacity)) {
            (Unit::Objects, Ok(objects)) => Some(opt(&replay, objects)),
            _ => None,
        },
        runs: runs.iter().map(|(strategy, run)| (strategy.name(), *run)).collect(),
    };
    let text = if options.json { report::json(&findings) } else { report::text(&findings) };
    say(text.as_bytes())
}

fn room(options: &SimulateArgs, replay: &Replay) -> Result<Room, Failure> {
    let unit = match (options.entries, replay.is_sized()) {
        (None, true) => Unit::Bytes,
        _ => Unit::Objects,
    };
    let capacity = match (options.entries, options.capacity) {
        (Some(entries), _) => entries,
        (None, Some(_)) if unit == Unit::Objects => {
            return Err(Failure::input(
                "the requests carry no sizes: say with --entries how many objects fit",
            ));
        }
        (None, Some(mib)) => mib.saturating_mul(MIB),
        (None, None) => (replay.total_weight(unit) / DEFAULT_PART).max(1),
    };
    Ok(Room { capacity, unit })
}
